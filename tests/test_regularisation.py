"""Dropout and early stopping as a recipe asks for them."""

import numpy as np
import pytest
from test_training_run import without_reports

from tfvae.errors import run_program
from tfvae.layers import Dropout
from training.__main__ import main
from training.build import build_model
from training.config import parse_setting, read_config
from training.journal import read_rows

IMAGES = np.random.default_rng(0).random((4, 8, 8, 1)).astype("float32")


def model_with(dropout, network="mlp"):
    section, key, value = parse_setting(f"model.dropout={dropout}")
    tables = {"data": {"source": "digits"}, section: {key: value, "network": network, "widths": [16, 16]}}
    return build_model(read_config(tables, "test"), (8, 8, 1))


def test_dropout_drops_its_fraction_and_keeps_the_mean():
    fraction, count = 0.3, 100_000
    kept = np.asarray(Dropout(fraction, seed=0)(np.ones((count,), "float32"), training=True))
    standard_error = np.sqrt(fraction * (1 - fraction) / count)
    assert abs((kept == 0).mean() - fraction) <= 5 * standard_error
    assert np.allclose(kept[kept > 0], 1 / (1 - fraction))
    assert abs(kept.mean() - 1) <= 5 * standard_error / (1 - fraction)


@pytest.mark.parametrize("network", ["mlp", "resnet"])
def test_a_recipes_dropout_acts_while_training_and_only_then(network):
    plain, dropping = model_with(0.0, network), model_with(0.5, network)
    means = {
        (name, training): np.asarray(model.encoder(IMAGES, training=training)[0])
        for name, model in (("plain", plain), ("dropping", dropping))
        for training in (False, True)
    }
    # The seeds of the weights are the recipe's, so that the two models differ by their dropout alone.
    np.testing.assert_array_equal(means["plain", False], means["dropping", False])
    np.testing.assert_array_equal(means["plain", False], means["plain", True])
    assert np.abs(means["dropping", True] - means["dropping", False]).max() > 1e-3
    codes = np.zeros((4, 32), "float32") + 0.5
    decoded = [np.asarray(dropping.decoder(codes, training=training)) for training in (False, True)]
    np.testing.assert_array_equal(np.asarray(plain.decoder(codes)), decoded[0])
    assert np.abs(decoded[0] - decoded[1]).max() > 1e-3


def test_a_run_stops_after_as_many_epochs_without_a_better_one_as_its_patience_says(tmp_path):
    settings = ["data.limit=120", "data.binarize=true", "model.network=mlp", "model.widths=[8]", "training.patience=2"]
    settings += ["training.learning_rate=1e-12", "training.batch_size=32", "objective.beta=0.5"]
    settings += ["prior.kind=standard_normal"]
    flags = [word for setting in settings for word in ("--set", setting)]
    arguments = ["--data", "digits", "--out", str(tmp_path / "run"), "--epochs", "60", *flags]
    with without_reports():
        assert run_program("training", lambda: main(arguments)) == 0
    losses = [row["val_distortion"] + 0.5 * row["val_rate"] for row in read_rows(tmp_path / "run" / "metrics.csv")]
    assert len(losses) == np.argmin(losses) + 1 + 2 < 60
