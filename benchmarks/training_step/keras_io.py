"""The baseline: the convolutional VAE of keras.io, trained by the same operations in the same order as that page.

What is fast or slow about it must stay: probabilities instead of log-odds at the output, `binary_crossentropy` of them,
one step an execution, and `fit` with its defaults, where `jit_compile="auto"` means XLA, on a processor too.

Source: https://keras.io/examples/generative/vae/ (F. Chollet, 2020; Keras 3 version of 2023)
"""

import keras
import tensorflow as tf
from keras import layers, ops

LATENT_DIM = 2
SEED = 1337  # of the example's noise


class Sampling(layers.Layer):
    """Reparameterised draw: `[mean, log_var]`, each `(batch, latent_dim)`, to `z` of the same shape."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(SEED)

    def call(self, inputs):
        mean, log_var = inputs
        shape = (ops.shape(mean)[0], ops.shape(mean)[1])
        return mean + ops.exp(0.5 * log_var) * keras.random.normal(shape=shape, seed=self.seed_generator)


def encoder() -> keras.Model:
    """Images `(batch, 28, 28, 1)` to `[mean, log_var, z]`."""
    images = keras.Input(shape=(28, 28, 1))
    x = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(images)
    x = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    mean, log_var = layers.Dense(LATENT_DIM)(x), layers.Dense(LATENT_DIM)(x)
    return keras.Model(images, [mean, log_var, Sampling()([mean, log_var])])


def decoder() -> keras.Model:
    """Codes `(batch, latent_dim)` to probabilities `(batch, 28, 28, 1)`."""
    codes = keras.Input(shape=(LATENT_DIM,))
    x = layers.Reshape((7, 7, 64))(layers.Dense(7 * 7 * 64, activation="relu")(codes))
    x = layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same")(x)
    return keras.Model(codes, layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same")(x))


class KerasIoVAE(keras.Model):
    """The example's model with its custom `train_step`."""

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.trackers = {name: keras.metrics.Mean(name=name) for name in ("loss", "reconstruction_loss", "kl_loss")}

    @property
    def metrics(self):
        return list(self.trackers.values())

    def train_step(self, data):
        with tf.GradientTape() as tape:
            mean, log_var, z = self.encoder(data)
            reconstruction = self.decoder(z)
            cross_entropy = keras.losses.binary_crossentropy(data, reconstruction)
            reconstruction_loss = ops.mean(ops.sum(cross_entropy, axis=(1, 2)))
            kl_loss = -0.5 * (1 + log_var - ops.square(mean) - ops.exp(log_var))
            kl_loss = ops.mean(ops.sum(kl_loss, axis=1))
            loss = reconstruction_loss + kl_loss
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for tracker, value in zip(self.metrics, (loss, reconstruction_loss, kl_loss), strict=True):
            tracker.update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}


def build(jit_compile: bool | str = "auto") -> keras.Model:
    """The example's model, compiled as the example compiles it unless `jit_compile` says otherwise."""
    model = KerasIoVAE(encoder(), decoder())
    model.compile(optimizer=keras.optimizers.Adam(), jit_compile=jit_compile)
    return model
