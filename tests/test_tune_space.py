"""What a search searches, and how it is drawn: no trainings."""

import numpy as np
import pytest

from tfvae.pictures import search_panels, validation_curve
from training.config import RunConfig, read_config, shortened
from training.tune.space import Searched, apply, parse_range, space

CONFIG = read_config({"data": {"source": "digits"}, "model": {"kind": "vae", "network": "mlp"}}, "test")


def test_a_curve_is_drawn_with_a_star_at_the_best_validation_score():
    points = [{"value": v, "validation": -v, "training": v, "errors": (0.1, 0.2)} for v in (1, 2)]
    picture = validation_curve(points, "latent", "score")
    red = (np.abs(picture.astype(int) - [228, 87, 46]).sum(-1) < 12).sum(axis=0)
    half = picture.shape[1] // 2
    assert red[:half].max() > red[half:].max()
    with pytest.raises(ValueError, match="Received: none"):
        validation_curve([], "latent", "score")


def test_what_is_set_is_not_searched():
    keys = [searched.key for searched in space(CONFIG, [], ["model.latent_dim", "model.widths"], "elbo")]
    assert keys == ["objective.beta", "training.learning_rate"]


def test_ranges_say_numbers_words_and_lists():
    assert parse_range("training.learning_rate=1e-4:1", CONFIG) == Searched("training.learning_rate", 1e-4, 1.0)
    assert parse_range("model.latent_dim=2:64", CONFIG) == Searched("model.latent_dim", 2, 64, whole=True)
    assert parse_range("model.network=mlp,conv", CONFIG).values == ("mlp", "conv")
    assert parse_range("model.widths=[8, 16], [32]", CONFIG).values == ([8, 16], [32])


def test_a_beta_becomes_the_end_of_the_warm_up():
    config = RunConfig(CONFIG.data, objective={"beta": {"schedule": "linear", "steps": 500}})
    assert apply(config, {"objective.beta": 0.5}).objective == {
        "beta": {"schedule": "linear", "steps": 500, "end": 0.5}
    }
    assert apply(CONFIG, {"objective.beta": 0.5}).objective == {"beta": 0.5}
    assert shortened(config, 400).objective["beta"]["steps"] == 100
    assert shortened(config, 4000) == config


def test_each_panel_of_the_plot_is_as_wide_as_its_setting_needs():
    points = [{"a": 1e-4, "b": "x", "score": 1.0}, {"a": 1e-1, "b": "y", "score": 2.0}]
    picture = search_panels(points, "score", 1, {"a"})
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    # The star of the best, in its colour, once a panel.
    red = (np.abs(picture.astype(int) - [228, 87, 46]).sum(-1) < 12).any(axis=0)
    half = picture.shape[1] // 2
    assert red[:half].any() and red[half:].any()
    with pytest.raises(ValueError, match="Received: none"):
        search_panels([], "score", 0)
