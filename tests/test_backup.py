"""Keras's own way to go on after a machine was taken away, which the notebooks use."""

import keras
import numpy as np
import pytest

import tfvae

SHAPE = (8, 8, 1)
IMAGES = np.random.default_rng(0).random((24, *SHAPE), np.float32)


class TakenAwayError(Exception):
    pass


class Machine(keras.callbacks.Callback):
    """Is taken away in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.last, self.epoch = epoch, -1

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (self.last, 1):
            raise TakenAwayError


def fitted(folder, *callbacks):
    """A training of five epochs of three steps, with the noise and the order of every start the same."""
    keras.utils.set_random_seed(0)
    shape = {"image_shape": SHAPE, "latent_dim": 3, "network": "mlp"}
    encoder = tfvae.Encoder(**shape, widths=(16,), seed=1)
    decoder = tfvae.Decoder(**shape, widths=(16,), likelihood="gaussian", seed=2)
    vae = tfvae.VAE(encoder, decoder, seed=0)
    vae.compile(keras.optimizers.Adam(1e-2))
    callbacks = [keras.callbacks.BackupAndRestore(folder), *callbacks]
    options = {"batch_size": 8, "epochs": 5, "shuffle": False, "verbose": 0}
    return vae, vae.fit(IMAGES, validation_data=(IMAGES,), callbacks=callbacks, **options)


def test_backup_and_restore_goes_on_as_if_nothing_had_happened(tmp_path):
    whole, history = fitted(tmp_path / "whole")
    assert history.epoch == [0, 1, 2, 3, 4] and not (tmp_path / "whole").exists()
    with pytest.raises(TakenAwayError):
        fitted(tmp_path / "cut", Machine(2))
    again, history = fitted(tmp_path / "cut")
    assert history.epoch == [2, 3, 4] and not (tmp_path / "cut").exists()
    # The noise is that of the epoch that is begun anew, so the two trainings are one.
    for one, other in zip(whole.variables, again.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
