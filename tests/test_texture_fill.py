"""Texture that is laid into wide holes: what stays, where it comes from, and that it looks like what is around."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from tiny_runs import write_run

from tfvae.applications.restoration import texture_fill as module
from tfvae.applications.restoration.restore import Restored
from tfvae.applications.restoration.texture_fill import WIDE, Hole, texture_fill, wide
from tfvae.cli import main
from tfvae.commands import restore as command
from tfvae.metrics import psnr
from tfvae.models.restorer import Restorer


def disk(shape, row, column, across):
    rows, columns = np.indices(shape)
    return np.hypot(rows - row, columns - column) <= across / 2


def stripes(height, width, period=8):
    """A wave of one colour and its second harmonic, float32 `(height, width, 3)`."""
    phase = 2 * np.pi * (np.arange(width)[None, :] + np.arange(height)[:, None] / 2) / period
    wave = 0.5 + 0.25 * np.sin(phase) + 0.1 * np.sin(2 * phase)
    return np.stack([wave, 0.8 * wave, 0.6 * wave], axis=-1).astype(np.float32)


@pytest.fixture(scope="module")
def noise():
    """Coloured noise of 8 bits with a hole 32 pixels wide and a scratch, and what a blur makes of it."""
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.standard_normal((128, 136, 3)), (1, 1, 0))
    image = np.clip(128 + 40 * image / image.std(), 0, 255).astype(np.uint8)
    hole = disk((128, 136), 60, 70, 32)
    scratch = np.zeros_like(hole)
    scratch[20:24, 10:120] = True
    estimate = np.where((hole | scratch)[:, :, None], np.uint8(128), image)
    image[hole | scratch] = 255  # what is lost shows something else, which must not be seen
    return image, hole, scratch, estimate


@pytest.fixture(scope="module")
def filled(noise):
    image, hole, scratch, estimate = noise
    return texture_fill(image, ~(hole | scratch), estimate)


def test_known_pixels_and_scratches_stay_bit_for_bit(noise, filled):
    image, hole, scratch, estimate = noise
    known = ~(hole | scratch)
    np.testing.assert_array_equal(filled[known], image[known])
    np.testing.assert_array_equal(filled[scratch], estimate[scratch])
    assert filled.dtype == image.dtype and filled.shape == image.shape


def test_a_hole_looks_like_what_is_around(noise, filled):
    """Its standard deviation and that of its gradients are those of the known pixels around."""
    hole = noise[1]
    for order in (0, 1):
        values = np.diff(filled.astype(float), axis=1, n=order)[:, : 136 - order]
        part = hole[:, : 136 - order]
        around = ndimage.binary_dilation(part, iterations=15) & ~ndimage.binary_dilation(part, iterations=2)
        assert values[part].std() == pytest.approx(values[around].std(), rel=0.2)


def test_without_a_wide_hole_the_estimate_is_returned(noise):
    image, _, scratch, estimate = noise
    np.testing.assert_array_equal(texture_fill(image, ~scratch, estimate), np.where(scratch[..., None], 128, image))


def test_it_is_a_function_of_its_seed(noise, filled):
    image, hole, scratch, estimate = noise
    known = ~(hole | scratch)
    np.testing.assert_array_equal(texture_fill(image, known, estimate), filled)
    assert (texture_fill(image, known, estimate, seed=1) != filled).any()


def test_what_the_lost_pixels_held_does_not_matter(noise, filled):
    image, hole, scratch, estimate = noise
    other = np.where((hole | scratch)[:, :, None], np.uint8(7), image)
    np.testing.assert_array_equal(texture_fill(other, ~(hole | scratch), estimate), filled)


def test_only_known_pixels_are_laid(noise):
    _, hole, scratch, estimate = noise
    known = ~(hole | scratch)
    laid = Hole(estimate / np.float32(255), known, known, hole, np.random.default_rng(0))
    assert laid.fill()
    assert known.ravel()[laid.places[hole]].all()
    np.testing.assert_array_equal(laid.places[~hole], laid.own[~hole])


def test_a_periodic_picture_goes_on_through_a_hole():
    image = stripes(128, 128)
    hole = disk((128, 128), 64, 60, 40)
    flat = np.where(hole[:, :, None], image.mean(axis=(0, 1)), image).astype(np.float32)
    result = texture_fill(image, ~hole, flat)
    inside = [psnr(image[hole][None, None], each[hole][None, None])[0] for each in (result, flat)]
    assert inside[0] > inside[1] + 10


def test_a_window_that_is_darker_everywhere_is_laid_without_a_trace(monkeypatch):
    """Where colours do not count against gradients."""
    monkeypatch.setattr(module, "STIFFNESS", 0.0)
    image = stripes(40, 96)
    image[:, 48:] -= 0.1
    hole = disk((40, 96), 20, 24, 20)
    laid = Hole(image, ~hole, ~hole, hole, np.random.default_rng(0))
    laid.places = np.where(hole, laid.own + 48, laid.own)  # six periods further
    np.testing.assert_allclose(laid.drawn(), image, atol=1e-5)


def test_wide_is_what_a_disk_fits_in():
    lost = disk((100, 200), 50, 50, 2 * WIDE)
    lost[48:53, 60:190] = True  # a scratch out of the hole
    lost[:, 195:] = True  # a strip at the edge of the picture
    found = wide(~lost)
    assert found[disk((100, 200), 50, 50, 2 * WIDE - 4)].all()
    assert not found[:, 50 + WIDE + 6 :].any()


def test_a_hole_larger_than_a_part_is_filled_throughout(monkeypatch):
    monkeypatch.setattr(module, "PIECE", 24)
    image = (255 * stripes(96, 100)[:, :, :1]).astype(np.uint8)
    hole = np.zeros((96, 100), bool)
    hole[40:, 64:] = True  # up to a corner of the picture
    estimate = np.where(hole[:, :, None], np.uint8(128), image)
    result = texture_fill(image, ~hole, estimate)
    blocks = result[40:96, 64:96, 0].reshape(7, 8, 4, 8).astype(float)
    assert (blocks.std(axis=(1, 3)) > 0.5 * image.std()).all()


def test_a_picture_without_a_whole_window_keeps_the_estimate():
    image = np.random.default_rng(0).integers(0, 256, (60, 64, 3), np.uint8)
    known = np.zeros((60, 64), bool)
    known[:4], known[:, :4] = True, True
    estimate = np.where(known[:, :, None], image, np.uint8(100))
    np.testing.assert_array_equal(texture_fill(image, known, estimate), estimate)


def test_what_is_not_accepted_is_said():
    image, known = np.zeros((30, 30, 3), np.uint8), np.ones((30, 30), bool)
    with pytest.raises(ValueError, match=r"`estimate`.*\(29, 30, 3\)"):
        texture_fill(image, known, image[1:])
    with pytest.raises(ValueError, match=r"`estimate`.*float64"):
        texture_fill(image, known, image / 255)
    with pytest.raises(ValueError, match=r"`known` must have the size.*\(29, 30\)"):
        texture_fill(image, known[1:], image)
    with pytest.raises(ValueError, match=r"1 or 3 channels.*\(30, 30, 2\)"):
        texture_fill(image[:, :, :2], known, image[:, :, :2])


@pytest.fixture(scope="module")
def run(noise, tmp_path_factory):
    """A run that fills the holes of a mask, a picture and a mask."""
    image, hole, scratch, _ = noise
    path = tmp_path_factory.mktemp("runs")
    write_run(path / "run", Restorer(3, (4, 4, 4), 2, blocks=1, mask="given", seed=0))
    Image.fromarray(image).save(path / "in.png")
    Image.fromarray(hole | scratch).save(path / "mask.png")
    return path


@pytest.mark.usefixtures("loaded_once")
@pytest.mark.parametrize(
    ("words", "textured", "said"),
    [
        ([], True, "it is invented (--no-texture keeps the model's estimate)"),
        (["--no-texture"], False, ""),
        (["--uncertainty"], False, ""),
        (["--uncertainty", "--texture"], True, "the uncertainty and the samples are of the estimate without it"),
    ],
)
def test_the_command_lays_texture_unless_it_is_not_wanted(
    run, noise, tmp_path, capsys, monkeypatch, words, textured, said
):
    _, hole, _, estimate = noise
    std = np.zeros(estimate.shape, np.float16)
    monkeypatch.setattr(command, "restore_tiled", lambda *given, **how: Restored(estimate, std))  # no need to compute
    given = [run / "run", run / "in.png", "--mask", run / "mask.png", "-o", tmp_path / "out.png", *words]
    assert main(["restore", *map(str, given)]) == 0
    result = np.asarray(Image.open(tmp_path / "out.png"))
    assert (result[hole] != estimate[hole]).any() == textured
    np.testing.assert_array_equal(result[~hole], estimate[~hole])
    note = capsys.readouterr().err
    assert said in note and ("invented" in note) == textured
