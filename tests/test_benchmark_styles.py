"""The benchmark of styles: real crops of every style, votes of crops, and what a way from style to style must do."""

from types import SimpleNamespace

import numpy as np
from test_style_vae import NAMES, style_vae

from benchmarks import styles
from tfvae.data import Images


def by_brightness(classes=3):
    """A classifier that is told nothing but the mean: dark is the first class, bright the last."""
    levels = np.linspace(0.0, 1.0, classes, dtype=np.float32)
    return SimpleNamespace(
        extract=lambda x: x.mean(axis=(1, 2, 3))[:, None], head=lambda mean: -20.0 * np.square(mean - levels)
    )


def test_crops_are_as_many_of_each_style_and_every_second_one_is_grey():
    rng = np.random.default_rng(0)
    array = (100 * np.arange(8)[:, None, None, None] % 200 + rng.integers(0, 50, (8, 20, 24, 3))).astype(np.uint8)
    images = Images.from_array(array, labels=np.array([0, 1] * 3 + [0, 0]), label_names=["a", "b"])
    x, labels = styles.real_crops(images, 9, 30, seed=0)
    assert x.shape[1:] == (9, 9, 3) and np.bincount(labels).min() >= 0.4 * len(labels) and len(labels) >= 60
    assert (x[::2] == x[::2, ..., :1]).all() and (x[1::2] != x[1::2, ..., :1]).any()


def test_a_picture_is_judged_by_the_vote_of_its_crops_whatever_its_size():
    classifier = by_brightness()
    for shape in ((5, 7), (32, 100), (90, 40)):
        for level, expected in ((10, 0), (128, 1), (250, 2)):
            found = styles.probabilities(classifier, np.full((*shape, 3), level, np.uint8), 16)
            assert np.argmax(found) == expected and abs(found.sum() - 1) < 1e-5


def test_a_way_between_styles_begins_and_ends_at_them_and_is_monotone_where_it_rises():
    model = style_vae()
    photos = Images.from_array(np.random.default_rng(0).integers(0, 256, (1, 24, 24, 3), dtype=np.uint8))
    steps = iter((0.1, 0.3, 0.3, 0.6, 0.9, 0.1, 0.5, 0.4, 0.6, 0.9))

    def seen(image):
        assert image.shape == (24, 24, 3)
        share = next(steps)
        return np.array([1 - share, share, 0.0])

    for monotone in (True, False):
        found = styles.blend(model, photos, np.eye(3, dtype=np.float32), (0, 1), seen, 1.0, list(NAMES))
        assert found["monotone"] is monotone and (found["from"], found["to"]) == NAMES[:2]
        np.testing.assert_allclose([found["probability"][0], found["probability"][-1]], [0.1, 0.9])
