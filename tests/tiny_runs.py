"""Run directories with untrained models of a few hundred weights, for tests of what uses a run."""

import contextlib
import fcntl
import os
import shutil

import keras
import numpy as np
import pytest

import tfvae
from export import pictures
from export.formats import tflite_files
from tfvae.data import DataConfig
from tfvae.toml_sections import write_toml


def vector_vae(likelihood="bernoulli"):
    keras.utils.set_random_seed(1)
    shape = {"image_shape": (8, 8, 1), "latent_dim": 3, "network": "mlp", "widths": (16,)}
    return tfvae.VAE(tfvae.Encoder(**shape), tfvae.Decoder(**shape, likelihood=likelihood), seed=0)


def conditional_vae():
    keras.utils.set_random_seed(1)
    shape = {"image_shape": (8, 8, 1), "latent_dim": 3, "network": "mlp", "widths": (16,)}
    return tfvae.VAE.from_shape(**shape, label_names=range(10), seed=0)


def autoencoder():
    keras.utils.set_random_seed(1)
    shape = {"image_shape": (8, 8, 1), "latent_dim": 3, "network": "mlp", "widths": (16,)}
    return tfvae.Autoencoder(tfvae.Encoder(**shape, stochastic=False), tfvae.Decoder(**shape))


def calibration(predictors):
    """The table of a calibration of uncertainty, nothing in it special."""
    rng = np.random.default_rng(4)
    return {
        "centre": rng.normal(-3.0, 0.5, predictors).tolist(),
        "scale": rng.uniform(0.5, 1.5, predictors).tolist(),
        "weights": rng.uniform(0.05, 0.3, predictors).tolist(),
        "products": rng.normal(0.0, 0.02, (predictors, predictors)).tolist(),
        "knots": [-0.5, 0.0, 1.0],
        "log_error": [-4.0, -3.0, -2.8],
    }


def spatial_vae(channels=1):
    keras.utils.set_random_seed(1)
    shape = {"image_shape": (None, None, channels), "latent_dim": 2, "network": "conv", "widths": (4, 4)}
    return tfvae.VAE(tfvae.Encoder(**shape), tfvae.Decoder(**shape, likelihood="logistic"), seed=0)


def write_run(path, model, training=None, **data):
    """A run directory as `training` leaves it, as far as the `tfvae` command reads it."""
    path.mkdir(parents=True)
    config = DataConfig(**{"source": "digits", "limit": 60, **data})
    settings = "".join(f"{key} = {value}\n" for key, value in (training or {"seed": 0}).items())
    (path / "config.toml").write_text(write_toml({"data": config}) + "\n[training]\n" + settings, encoding="utf-8")
    model.save(path / "model.keras")
    return path


def made_once(factory, name, make):
    """The folder that `make(folder)` fills: by the first of pytest's workers to ask, for all. Nobody may change it.

    Args:
        factory: pytest's `tmp_path_factory`.
        name: Of the folder.
        make: Called with the folder, which exists.
    """
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / name).is_dir():
            part = base / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make(part)
            part.rename(base / name)
    return base / name


@contextlib.contextmanager
def only(*variants):
    """Within, an export writes no other variants of its `.tflite` files: each is six conversions of a second."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (tflite_files, pictures):
            patch.setattr(module, "VARIANTS", variants)
        yield
