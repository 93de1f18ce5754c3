"""Corruptions as a whole: tables, seeds, shapes, chances. What each kind does: test_corruptions_kinds."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfvae.corruptions import CORRUPTIONS, as_tables, corrupt, from_tables

SEED = tf.constant([3, 14])
EVERY_KIND = [
    {"kind": kind} if kind != "one_of" else {"kind": kind, "of": [{"kind": "gamma"}, {"kind": "boxes"}]}
    for kind in CORRUPTIONS
]
# What leaves grey pictures alone, because they have no colour.
OF_COLOUR = {"colour_cast", "saturation"}


def smooth_images(batch=4, height=40, width=56, channels=3):
    """Images in [0.1, 0.9] that are alike in a batch, so that what differs afterwards is the corruption."""
    y, x = np.meshgrid(np.linspace(0, 3, height), np.linspace(0, 4, width), indexing="ij")
    image = np.stack([0.5 + 0.4 * np.sin(y + k) * np.cos(x * (k + 1)) for k in range(channels)], -1)
    return tf.constant(np.repeat(image[None], batch, 0), tf.float32)


@pytest.mark.parametrize("table", EVERY_KIND, ids=lambda table: table["kind"])
def test_a_corruption_is_a_function_of_the_seed_and_differs_from_image_to_image(table):
    images, corruptions = smooth_images(8), from_tables([table])

    first, again, other = (corrupt(images, corruptions, seed) for seed in (SEED, SEED, tf.constant([3, 15])))

    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.damage, again.damage)
    assert np.any(first.image != other.image)
    # Some marks may fall beside a picture; eight pictures do not all come out the same.
    assert any(np.any(first.image[0] != first.image[i]) for i in range(1, 8))


@pytest.mark.parametrize("table", EVERY_KIND, ids=lambda table: table["kind"])
def test_every_kind_takes_grey_and_colour_of_sizes_known_only_when_it_runs(table):
    corruptions = from_tables([table])
    for channels in (1, 3):
        traced = tf.function(lambda images, seed: corrupt(images, corruptions, seed)).get_concrete_function(
            tf.TensorSpec((None, None, None, channels)), tf.TensorSpec((2,), tf.int32)
        )
        for height, width in ((33, 17), (16, 40)):
            images = smooth_images(2, height, width, channels)
            image, damage = traced(images, SEED)
            assert image.shape == (2, height, width, channels) and damage.shape == (2, height, width, 1)
            assert np.all(np.isfinite(image)) and set(np.unique(damage)) <= {0.0, 1.0}
            if channels == 1 and table["kind"] in OF_COLOUR:
                np.testing.assert_allclose(image, images, atol=1e-6)


# Poisson numbers have no XLA kernel.
COMPILED = [table for table in EVERY_KIND if table["kind"] in ("boxes", "jpeg")]


@pytest.mark.parametrize("table", COMPILED, ids=lambda table: table["kind"])
def test_kinds_are_compiled_by_xla(table):
    corruptions, images = from_tables([table]), smooth_images(2, 24, 24)
    compiled = tf.function(lambda images, seed: corrupt(images, corruptions, seed), jit_compile=True)
    image, damage = compiled(images, SEED)
    assert image.shape == images.shape and set(np.unique(damage)) <= {0.0, 1.0}


def test_tables_of_every_kind_come_back_as_the_same_corruptions_through_json():
    corruptions = from_tables(
        [
            *EVERY_KIND,
            {"kind": "gaussian", "std": [0.1, 0.2], "probability": 0.3},
            {"kind": "one_of", "of": [{"kind": "blur", "sigma": 2}, {"kind": "jpeg"}], "weights": [1, 3]},
        ]
    )

    tables = json.loads(json.dumps(as_tables(corruptions)))

    assert from_tables(tables) == corruptions
    assert tables[-2] == {"kind": "gaussian", "std": [0.1, 0.2], "probability": 0.3}
    assert hash(corruptions) == hash(from_tables(tables))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "gausian"}, "Did you mean 'gaussian'"),
        ({"std": 0.1}, "`kind`.*Received: kind=None"),
        ({"kind": "gaussian", "sdt": 0.1}, "`sdt` is no setting.*Did you mean 'std'"),
        ({"kind": "gaussian", "std": -0.1}, "`std`.*from 0 to 10.*-0.1"),
        ({"kind": "gaussian", "std": [0.2, 0.1]}, "`std`.*pair"),
        ({"kind": "gaussian", "std": float("nan")}, "`std`.*nan"),
        ({"kind": "gaussian", "std": "much"}, "`std`.*'much'"),
        ({"kind": "boxes", "count": [1, 2.5]}, "`count`.*whole number"),
        ({"kind": "jpeg", "quality": 101}, "`quality`.*from 1 to 100"),
        ({"kind": "blur", "probability": 1.5}, "`probability`.*1.5"),
        ({"kind": "one_of"}, "`of`.*must hold corruptions"),
        ({"kind": "one_of", "of": [{"kind": "blurr"}]}, "Did you mean 'blur'"),
        ({"kind": "one_of", "of": [{"kind": "blur"}], "weights": [1, 2]}, "`weights`.*1 corruptions"),
        ("blur", "must hold tables"),
    ],
)
def test_what_is_no_corruption_is_refused_by_name(table, words):
    with pytest.raises(ValueError, match=words):
        from_tables([table])


@pytest.mark.parametrize("images", [tf.zeros((2, 8, 8, 3), tf.uint8), tf.zeros((8, 8, 3)), tf.zeros((2, 8, 8, 4))])
def test_images_that_are_not_batches_of_floats_of_1_or_3_channels_are_refused(images):
    with pytest.raises(ValueError, match="`images` must be floats"):
        corrupt(images, (), SEED)


def test_no_corruptions_leave_images_as_they_are():
    image, damage = corrupt(smooth_images(), (), SEED)
    np.testing.assert_array_equal(image, smooth_images())
    assert not np.any(damage)


def test_probability_is_the_share_of_images_that_change_and_the_rest_stay_bit_for_bit():
    images, n = smooth_images(2000, 4, 4), 2000
    image, damage = corrupt(images, from_tables([{"kind": "random_pixels", "fraction": 1, "probability": 0.3}]), SEED)

    hit = np.all(damage == 1, axis=(1, 2, 3))

    np.testing.assert_array_equal(image[~hit], images[~hit])
    assert not np.any(damage[~hit]) and np.all(image[hit] == 0.5)
    assert abs(hit.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / n)


def test_one_of_gives_each_image_one_by_its_weight():
    images, n = smooth_images(2000, 4, 4), 2000
    fills = [{"kind": "random_pixels", "fraction": 1, "fill": fill} for fill in (0.0, 1.0)]
    image, damage = corrupt(images, from_tables([{"kind": "one_of", "of": fills, "weights": [3, 1]}]), SEED)

    white = np.all(image == 1, axis=(1, 2, 3))

    assert np.all(damage == 1) and np.all(image[~white] == 0)
    assert abs(white.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / n)


def test_equal_steps_draw_differently_and_damage_adds_up():
    images = smooth_images(2, 64, 64)
    once, twice = (
        corrupt(images, from_tables([{"kind": "random_pixels", "fraction": 0.5}] * n), SEED).damage for n in (1, 2)
    )
    # Independent halves leave a quarter; the same half twice would leave a half.
    standard_error = np.sqrt(0.25 * 0.75 / np.size(twice))
    assert abs(np.mean(once) - 0.5) < 10 * standard_error
    assert abs(np.mean(twice) - 0.75) < 5 * standard_error


def test_a_step_draws_the_same_whatever_the_settings_of_the_step_before():
    images = smooth_images(2)
    gentle, strong = (
        corrupt(images, from_tables([{"kind": "boxes", "count": 1, "size": s}, {"kind": "random_pixels"}]), SEED)
        for s in (0.01, 0.3)
    )
    outside = (gentle.damage == 1) & (strong.damage == 0)
    # All that the gentle chain lost beside its own box (at most 1 pixel of either image), the strong one lost, too.
    assert np.sum(outside) <= 2 and np.sum(strong.damage) > np.sum(gentle.damage)
