"""Variational autoencoders for images with Keras 3 and TensorFlow."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"tfvae needs the TensorFlow backend of Keras, and '{keras.backend.backend()}' is loaded: "
        "set KERAS_BACKEND=tensorflow before Keras is imported."
    )

from tfvae import layers, likelihoods, objectives, schedules
from tfvae.decoders import Decoder
from tfvae.encoders import Encoder
from tfvae.models.autoencoder import Autoencoder
from tfvae.models.vae import VAE

__version__ = "0.1.0"
__all__ = ["VAE", "Autoencoder", "Decoder", "Encoder", "layers", "likelihoods", "objectives", "schedules"]
