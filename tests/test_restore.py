"""Restoration of one picture in tiles: what is kept to the bit, what the tiles change (nothing), and how sure it is."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvae.applications import enhance, restore
from tfvae.applications.restoration.restore import HALO, NoiseMap
from tfvae.applications.tiles import smallest_side, tiles
from tfvae.models.enhancer import Enhancer
from tfvae.models.restorer import Restorer


@dataclasses.dataclass(eq=False)
class StandIn:
    """A model whose answers are known: halves values, is sure to 0.1, holds dark pixels damaged."""

    channels: int = 1
    takes_mask: bool = False
    finds_damage: bool = False
    factor: int = 4
    margin: int = 8
    noise_units: int = 1

    @property
    def image_shape(self):
        return (None, None, self.channels)

    @property
    def latent_shape(self):
        return (None, None, 1)

    def restore(self, degraded, known=None, context=None):
        image = 0.5 * degraded if known is None else 0.5 * degraded + 0.25 * known
        maps = {"image": image, "std": 0.1 * tf.ones_like(degraded)}
        return maps | ({"damage": tf.cast(degraded[..., :1] < 0.2, tf.float32)} if self.finds_damage else {})

    def sample(self, degraded, noise, known=None, context=None):
        places = keras.ops.repeat(keras.ops.repeat(noise, self.factor, 1), self.factor, 2)
        shape = tf.shape(degraded)
        return {"image": 0.5 + 0.05 * places[:, : shape[1], : shape[2]] * tf.ones_like(degraded)}


def awake(model):
    """Untrained layers that start at zero, given weights: every part has a say."""
    for index, weight in enumerate(model.trainable_variables):
        if len(weight.shape) > 1:
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(tf.random.stateless_normal(weight.shape, (index, 7)) * (1.2 / fan_in**0.5))
    return model


def restorer(**options):
    return awake(Restorer(options.pop("channels", 1), (4, 4, 4), 2, blocks=1, seed=0, **options))


def noise_picture(*shape, dtype=np.uint8, seed=0):
    white = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, white, shape, dtype, endpoint=True)


@pytest.mark.parametrize("mask", ["none", "given", "found"])
def test_tiled_restoration_equals_the_whole_with_its_samples_and_maps(mask):
    model = restorer(mask=mask)
    side = smallest_side(model.margin + HALO, model.factor) + 16
    image = np.random.default_rng(0).random((side + 27, side + 13, 1), np.float32)
    known = np.random.default_rng(1).random(image.shape[:2]) > 0.3 if mask == "given" else None
    draws = 2 if mask == "given" else 1
    whole, tiled = (restore(model, image, known, samples=draws, seed=5, tile=tile) for tile in (10_000, side))
    np.testing.assert_allclose(tiled.image, whole.image, atol=1e-5)
    np.testing.assert_allclose(tiled.std, whole.std, atol=1e-3)  # float16
    for one, other in zip(tiled.samples, whole.samples, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    if mask == "found":
        np.testing.assert_allclose(tiled.damage, whole.damage, atol=1e-3)
    direct = model.restore(image[None], None if known is None else known[None, :, :, None].astype(np.float32))
    free = (
        np.ones(image.shape, bool) if mask == "none" else ~known[..., None] if mask == "given" else whole.damage > 0.5
    )
    np.testing.assert_allclose(whole.image[free], direct["image"][0].numpy()[free], atol=1e-5)
    assert np.abs(whole.image - image).max() > 0.05


def test_a_tiled_enhancement_sees_the_whole_picture():
    model = awake(Enhancer(3, (4, 4, 4), 2, network="conv", hidden=8, seed=0))
    # Dark on the left, bright on the right: curves chosen by the tiles alone would differ.
    image = np.linspace(0, 1, 120, dtype=np.float32)[None, :, None] * np.ones((50, 1, 3), np.float32)
    whole, tiled = (restore(model, image, samples=1, tile=tile) for tile in (1000, 40))
    np.testing.assert_allclose(tiled.image, whole.image, atol=1e-5)
    np.testing.assert_allclose(tiled.samples[0], whole.samples[0], atol=1e-5)
    assert np.abs(model.restore(image[None, :, :40])["image"][0] - whole.image[:, :40]).max() > 1e-3


def test_a_picture_is_enhanced_as_if_another_were_its_original():
    model = awake(Enhancer(3, (4, 4, 4), 2, network="conv", hidden=8, seed=0))
    image, bright = noise_picture(40, 50, 3) // 3, np.uint8(255) - noise_picture(30, 20, 3) // 4
    degraded, original = (each[None] / np.float32(255) for each in (image, bright))
    seen = model.features(degraded)
    code, _ = model.encoder(np.concatenate([seen, model.features(original)], axis=-1))
    expected = model.decode_with_context({"degraded": degraded, "features": seen}, code)[0]
    found = enhance(model, image, like=bright)
    np.testing.assert_allclose(found, 255 * np.clip(expected, 0, 1), atol=0.6)
    np.testing.assert_array_equal(found, enhance(model, image, like=bright / np.float32(255), tile=40))
    assert np.abs(found.astype(float) - enhance(model, image)).max() > 1
    # A grey reference is one whose channels agree.
    grey = bright[..., :1]
    np.testing.assert_array_equal(enhance(model, image, like=grey), enhance(model, image, like=np.repeat(grey, 3, 2)))
    with pytest.raises(ValueError, match="`like` must be None for samples"):
        restore(model, image, like=bright)
    with pytest.raises(ValueError, match=r"`like` must be \(h, w, 1 or 3\)"):
        enhance(model, image, like=bright[..., 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("takes_mask", [True, False])
def test_known_pixels_are_returned_to_the_bit(dtype, takes_mask):
    image = noise_picture(45, 70, 3, dtype=dtype)
    known = np.random.default_rng(1).random((45, 70)) > 0.5
    model = StandIn(channels=3, takes_mask=takes_mask)
    restored = restore(model, image, known, samples=2, tile=28)
    assert restored.image.dtype == dtype
    for picture in (restored.image, *restored.samples):
        np.testing.assert_array_equal(picture[known], image[known])
        assert (picture[~known] != image[~known]).mean() > 0.9
    assert (restored.std[known] == 0).all()
    assert (restored.std[~known] > 0).all()
    # Lost pixels have no 0.25 added: the model that takes a mask was told of them.
    expected = np.rint(image[~known] / 2)
    assert np.abs(restored.image[~known] - expected).max() <= 1


def test_found_damage_is_replaced_and_fades_within_two_pixels():
    image = np.full((30, 40, 1), 200, np.uint8)
    image[10:14, 20:22] = 0
    restored = restore(StandIn(finds_damage=True), image, tile=28)
    changed = restored.image != image
    assert not changed[: 10 - HALO].any() and not changed[14 + HALO :].any()
    assert not changed[:, : 20 - HALO].any() and not changed[:, 22 + HALO :].any()
    # The stand-in halves 200 to 100: a third and two thirds of the way.
    assert restored.image[12, 18:20, 0].tolist() == [167, 133]
    np.testing.assert_array_equal(restored.damage[:, :, 0] > 0.5, image[:, :, 0] == 0)
    # A mask that is given counts more than what is found.
    known = np.ones(image.shape[:2], bool)
    np.testing.assert_array_equal(restore(StandIn(finds_damage=True), image, known).image, image)


def test_the_standard_deviation_is_the_models_whatever_is_drawn():
    image = noise_picture(16, 16, 1)
    for samples in (0, 5):
        np.testing.assert_allclose(restore(StandIn(), image, samples=samples).std, 0.1, atol=1e-3)
    assert restore(StandIn(), image, uncertainty=False).std is None


def test_a_sample_depends_on_its_seed_and_number_alone():
    image = noise_picture(40, 40, 1)
    many, few = restore(StandIn(), image, samples=3, seed=2), restore(StandIn(), image, samples=1, seed=2, tile=24)
    np.testing.assert_array_equal(many.samples[0], few.samples[0])
    assert (many.samples[0] != many.samples[1]).mean() > 0.5
    assert (many.samples[0] != restore(StandIn(), image, samples=1, seed=3).samples[0]).mean() > 0.5


def test_the_noise_of_a_tile_is_a_part_of_the_noise_of_the_picture():
    model = StandIn()
    (whole,) = (NoiseMap(model, 50, 61, (1, 0))[tile] for tile in tiles(50, 61, 100, 8, 4))
    assert whole.shape == (13, 16, 1)
    parts = NoiseMap(model, 50, 61, (1, 0))
    for tile in tiles(50, 61, 24, 8, 4):
        rows, columns = (slice(span.start // 4, -(-span.stop // 4)) for span in tile.window)
        np.testing.assert_array_equal(parts[tile], whole[rows, columns])
    # Mean 0 and variance 1 within five standard errors.
    long = NoiseMap(model, 400, 400, (1, 0))[tiles(400, 400, 400, 8, 4)[0]]
    assert abs(long.mean()) < 5 / long.size**0.5
    assert abs(long.var() - 1) < 5 * (2 / long.size) ** 0.5


def test_a_grey_model_restores_colours_one_by_one_and_a_colour_model_grey():
    image = noise_picture(20, 28, 3)
    grey = StandIn()
    apart = [restore(grey, image[:, :, index : index + 1], samples=1) for index in range(3)]
    together = restore(grey, image, samples=1)
    np.testing.assert_array_equal(together.image, np.concatenate([part.image for part in apart], axis=2))
    np.testing.assert_array_equal(together.samples[0], np.concatenate([part.samples[0] for part in apart], axis=2))
    one = restore(StandIn(channels=3), image[:, :, :1])
    assert one.image.shape == one.std.shape == (20, 28, 1)
    # Half a level, up or down: the mean of three equal numbers is not always that number to the last bit.
    np.testing.assert_allclose(one.image.astype(int), apart[0].image, atol=1)
    with pytest.raises(ValueError, match=r"`image` must have 1 or 3 channels.*\(20, 28, 2\)"):
        restore(StandIn(channels=3), image[:, :, :2])


def test_strength_leads_from_the_picture_over_the_restoration_beyond_it():
    image = noise_picture(20, 28, 1, dtype=np.uint16)
    model = StandIn()
    np.testing.assert_array_equal(enhance(model, image, 0.0), image)
    np.testing.assert_array_equal(enhance(model, image), restore(model, image).image)
    assert np.abs(enhance(model, image, 0.5).astype(float) - 0.75 * image).max() <= 1
    np.testing.assert_array_equal(enhance(model, image, 2.0), 0)  # x + 2 * (x / 2 - x)


def test_progress_tells_the_tiles():
    seen = []
    restore(StandIn(), noise_picture(50, 50, 1), tile=28, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(index + 1, len(seen)) for index in range(len(seen))] and len(seen) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": np.zeros((8, 8), np.uint8)}, "`image` must be"),
        ({"image": np.zeros((8, 8, 1), np.int32)}, "`image` must be.*int32"),
        ({"known": np.ones((8, 9))}, r"`known` must have the size.*\(8, 9\)"),
        ({"samples": -1}, "`samples`.*samples=-1"),
        ({"strength": 2.5}, "`strength`.*strength=2.5"),
        ({"tile": 7}, "`side` must be 20 or more.*side=7"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        restore(**({"model": StandIn(), "image": np.zeros((8, 8, 1), np.uint8)} | arguments))


@pytest.mark.parametrize("mask", ["none", "given"])
def test_an_ensemble_is_the_mean_of_eight_orientations_whatever_the_tile_and_turns_with_the_picture(mask):
    model = restorer(mask=mask)
    side = smallest_side(model.margin, model.factor) + 16
    image = np.random.default_rng(0).random((side + 16, side + 8, 1), np.float32)
    known = np.random.default_rng(1).random(image.shape[:2]) > 0.3 if mask == "given" else None
    found = restore(model, image, known, ensemble=True, tile=4 * side)
    parts = []
    for turns in range(4):
        for mirrored in (slice(None), slice(None, None, -1)):
            turned = (None if each is None else np.rot90(each[:, mirrored], turns) for each in (image, known))
            parts.append(np.rot90(restore(model, *turned, tile=4 * side).image, -turns)[:, mirrored])
    np.testing.assert_allclose(found.image, np.mean(parts, axis=0), atol=1e-5)
    assert np.abs(found.image - parts[0]).max() > 1e-4
    np.testing.assert_array_equal(found.std, restore(model, image, known, tile=4 * side).std)
    odd = np.s_[3:-2, 5:]
    known = None if known is None else known[odd]
    whole, tiled = (restore(model, image[odd], known, ensemble=True, tile=tile) for tile in (4 * side, side))
    np.testing.assert_allclose(whole.image, tiled.image, atol=1e-5)


def test_an_ensemble_has_no_samples_and_is_of_neighbourhoods_alone():
    for model, options in ((restorer(), {"samples": 1}), (Enhancer(1, (4, 4), 2, "conv", 8), {})):
        with pytest.raises(ValueError, match=r"`ensemble` must be False for samples.*Received: samples="):
            restore(model, noise_picture(16, 16, 1), ensemble=True, **options)
