"""Variational autoencoders for images with Keras 3 and TensorFlow."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from tfvae.quiet import native_messages_held

with native_messages_held():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()  # says on stderr what it did not find

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"tfvae needs the TensorFlow backend of Keras, and '{keras.backend.backend()}' is loaded: "
        "set KERAS_BACKEND=tensorflow before Keras is imported."
    )

from tfvae import layers, likelihoods, objectives, priors, schedules
from tfvae.models.autoencoder import Autoencoder
from tfvae.models.base import LatentModel
from tfvae.models.enhancer import Enhancer
from tfvae.models.restorer import Restorer
from tfvae.models.style_vae import StyleVAE
from tfvae.models.vae import VAE
from tfvae.models.vae_gan import VAEGAN
from tfvae.models.video_vae import VideoVAE
from tfvae.models.vq_vae import VQVAE
from tfvae.networks.decoder import Decoder
from tfvae.networks.encoder import Encoder

# Models by the name that recipes use.
MODELS: dict[str, type[LatentModel]] = {
    "vae": VAE,
    "autoencoder": Autoencoder,
    "restorer": Restorer,
    "enhancer": Enhancer,
    "vae_gan": VAEGAN,
    "style_vae": StyleVAE,
    "vq_vae": VQVAE,
    "video_vae": VideoVAE,
}

__version__ = "0.1.0"
__all__ = [
    "MODELS",
    "VAE",
    "VAEGAN",
    "VQVAE",
    "Autoencoder",
    "Decoder",
    "Encoder",
    "Enhancer",
    "Restorer",
    "StyleVAE",
    "VideoVAE",
    "layers",
    "likelihoods",
    "objectives",
    "priors",
    "schedules",
]
