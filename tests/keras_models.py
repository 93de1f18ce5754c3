"""Small models and images for the tests of what Keras offers."""

import keras
import numpy as np
import tensorflow as tf

import tfvae

X = np.random.default_rng(0).random((24, 8, 8, 1)).astype("float32")
SHAPE = {"image_shape": (8, 8, 1), "latent_dim": 3, "network": "mlp", "widths": (16,)}


def vae(likelihood="bernoulli", optimizer="adam", **options):
    model = tfvae.VAE.from_shape(**SHAPE, likelihood=likelihood, seed=0, **options)
    model.compile(optimizer)
    return model


def autoencoder():
    """No noise: two equal batches give equal figures."""
    keras.utils.set_random_seed(0)
    model = tfvae.Autoencoder.from_shape(**SHAPE, seed=0)
    model.compile(keras.optimizers.SGD(1e-3))
    return model


def weights(model):
    return [variable.numpy().copy() for variable in model.trainable_variables]


def moved(model, before):
    return any(not np.array_equal(one, two) for one, two in zip(before, weights(model), strict=True))


def pipeline(x, batch=8):
    return tf.data.Dataset.from_tensor_slices(x).batch(batch)
