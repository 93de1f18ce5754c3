"""Pictures and charts: every pixel where it belongs."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tfvae.pictures import (
    calibration_chart,
    grid,
    latent_map,
    learning_curves,
    reconstruction_picture,
    restoration_picture,
    save_png,
)
from tfvae.pictures.grids import MIN_CELL, SEPARATOR
from tfvae.pixels import to_uint8


def test_floats_are_clipped_and_rounded_and_bytes_kept():
    np.testing.assert_array_equal(to_uint8(np.array([-0.2, 0.0, 0.5, 1.0, 1.3])), [0, 0, 128, 255, 255])
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(every), every)
    np.testing.assert_array_equal(to_uint8(every / 255), every)


def test_a_grid_holds_every_image_in_reading_order_enlarged_by_a_whole_factor():
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    picture = grid(images, columns=3)
    scale = MIN_CELL // 8
    step = 8 * scale + SEPARATOR
    assert picture.shape == (2 * step + SEPARATOR, 3 * step + SEPARATOR, 3)
    for index, image in enumerate(images):
        top, left = SEPARATOR + index // 3 * step, SEPARATOR + index % 3 * step
        cell = picture[top : top + 8 * scale : scale, left : left + 8 * scale : scale]
        np.testing.assert_array_equal(cell, np.repeat(image, 3, axis=2))
    assert (picture[step + SEPARATOR :, 2 * step + SEPARATOR :] == 255).all()  # the sixth cell is empty


def test_an_image_as_large_as_a_cell_is_shown_pixel_by_pixel():
    image = np.random.default_rng(0).integers(0, 256, (100, 90, 3), dtype=np.uint8)
    np.testing.assert_array_equal(grid([image])[SEPARATOR:-SEPARATOR, SEPARATOR:-SEPARATOR], image)


def test_a_grid_takes_images_of_unequal_sizes_and_reduces_large_ones():
    images = [np.zeros((400, 900, 3), np.uint8), np.zeros((900, 300, 3), np.uint8), np.zeros((50, 20, 1), np.float32)]
    picture = grid(images, columns=3)
    assert picture.shape[0] == 320 + 2 * SEPARATOR
    assert (picture == 0).any()


def test_the_columns_make_a_grid_about_square():
    assert grid(np.zeros((64, 8, 8, 1))).shape[0] == grid(np.zeros((64, 8, 8, 1))).shape[1]


@pytest.mark.parametrize("error", [0.01, 0.1, 0.6])
def test_the_difference_row_is_amplified_by_a_power_of_two_that_does_not_burn_out(error):
    x = np.full((2, 36, 36, 1), 0.2, np.float32)
    picture = reconstruction_picture(x, x + np.float32(error))
    height = 2 * 36 + SEPARATOR
    left = picture.shape[1] - 8 - 36
    originals, rebuilt, differences = (int(picture[8 + row * height + height // 2, left, 0]) for row in range(3))
    apart = rebuilt - originals
    assert (originals, rebuilt) == (51, int(to_uint8(np.float32(0.2 + error))))
    assert differences // apart in (1, 2, 4, 8, 16)
    assert differences % apart == 0
    assert differences > 127 or differences == 16 * apart


def test_equal_images_differ_by_black():
    x = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
    picture = reconstruction_picture(x, x)
    cell = MIN_CELL + SEPARATOR
    assert not picture[
        8 + 2 * cell + SEPARATOR : 8 + 3 * cell - SEPARATOR, -8 - cell + SEPARATOR : -8 - SEPARATOR
    ].any()


def test_rows_of_a_restoration_are_what_was_given_and_the_uncertainty_in_magma():
    rng = np.random.default_rng(0)
    original, degraded, restored = rng.integers(0, 256, (3, 2, 72, 72, 3), dtype=np.uint8)
    std = np.full((2, 72, 72, 3), 0.1, np.float32)
    std[1] = 0.0
    picture = restoration_picture(original, degraded, restored, std)
    step = 72 + SEPARATOR
    tops = [8 + SEPARATOR // 2 + row * step for row in range(4)]
    lefts = [picture.shape[1] - 8 - SEPARATOR // 2 - 72 - (1 - column) * step for column in range(2)]
    for top, images in zip(tops, (original, degraded, restored), strict=False):
        for left, image in zip(lefts, images, strict=True):
            np.testing.assert_array_equal(picture[top : top + 72, left : left + 72], image)
    # 0.1 may be doubled three times before it burns out.
    for left, value in zip(lefts, (0.8, 0.0), strict=True):
        cell = picture[tops[3] : tops[3] + 72, left : left + 72].reshape(-1, 3)
        np.testing.assert_array_equal(cell, [matplotlib.colormaps["magma"](value, bytes=True)[:3]] * len(cell))
    np.testing.assert_array_equal(restoration_picture(original, degraded, restored)[:-8], picture[: -8 - step])


def test_restorations_are_laid_out_in_blocks_and_of_one_channel_too():
    images = np.random.default_rng(0).random((5, 72, 80, 1))
    picture = restoration_picture(images, images, images, 0.01 * images, columns=2)
    assert picture.shape == (3 * (4 * (72 + SEPARATOR) + 16), 128 + 2 * (80 + SEPARATOR) + 16, 3)


def test_pictures_come_back_from_disk_as_they_were(tmp_path):
    for channels in (1, 3):
        picture = np.random.default_rng(0).integers(0, 256, (7, 5, channels), dtype=np.uint8)
        path = save_png(tmp_path / "new" / f"{channels}.png", picture)
        np.testing.assert_array_equal(np.asarray(Image.open(path)).reshape(7, 5, channels), picture)


def test_a_map_of_any_number_of_dimensions_is_drawn_with_and_without_labels_and_images():
    rng = np.random.default_rng(0)
    for dims in (1, 5):
        codes = rng.standard_normal((30, dims))
        plain = latent_map(codes)
        coloured = latent_map(codes, np.arange(30) % 4 - 1, ["cat", "dog", "bird"])
        assert plain.shape[2] == coloured.shape[2] == 3
        assert len(np.unique(coloured.reshape(-1, 3), axis=0)) > len(np.unique(plain.reshape(-1, 3), axis=0))
    assert (latent_map(codes, images=rng.random((30, 8, 8, 1))) != plain).any()
    assert latent_map(codes[:1], images=np.zeros((1, 8, 8, 3), np.uint8)).min() == 0
    assert latent_map(np.zeros((4, 6))).max() == 255  # a collapsed posterior


def test_the_map_is_the_projection_with_the_most_variance():
    from tfvae.pictures.charts import plane

    codes = np.random.default_rng(0).standard_normal((200, 4)) * [0.1, 5.0, 0.2, 2.0]
    points, names = plane(codes)
    singular = np.linalg.svd(codes - codes.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(points, axis=0), singular[:2], rtol=1e-6)
    assert names[0] == f"principal component 1 ({singular[0] ** 2 / np.sum(singular**2):.0%} of variance)"


def test_curves_read_the_rows_of_a_csv_with_gaps():
    rows = [
        {"epoch": "1", "loss": "3.5", "val_loss": ""},
        {"epoch": "2", "loss": "2.5", "val_loss": "2.75", "note": "x"},
    ]
    assert learning_curves(rows, title="digits").shape[2] == 3
    with pytest.raises(ValueError, match="metric"):
        learning_curves([{"epoch": 1}])


def test_a_column_of_zeros_is_no_curve():
    rows = [{"epoch": epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)]
    np.testing.assert_array_equal(learning_curves([{**row, "skipped": 0} for row in rows]), learning_curves(rows))


def test_nothing_to_show_is_refused():
    for picture in (
        lambda: grid([]),
        lambda: reconstruction_picture([], []),
        lambda: restoration_picture([], [], []),
        lambda: latent_map(np.zeros((0, 2))),
    ):
        with pytest.raises(ValueError, match="at least one"):
            picture()
    with pytest.raises(ValueError, match="as many"):
        reconstruction_picture(np.zeros((2, 8, 8, 1)), np.zeros((1, 8, 8, 1)))
    with pytest.raises(ValueError, match="as many"):
        restoration_picture(*np.zeros((3, 2, 8, 8, 1)), std=np.zeros((1, 8, 8, 1)))
    with pytest.raises(ValueError, match="positive"):
        restoration_picture(*np.zeros((3, 2, 8, 8, 1)), columns=0)


def test_curves_read_the_history_of_a_fit_and_show_what_is_asked_for():
    history = {"loss": [3.0, 2.0], "val_loss": [3.5, 2.5], "elbo": [-3.0, -2.0], "gradient_norm": [9.0, 8.0]}
    rows = [{name: values[epoch] for name, values in history.items()} for epoch in range(2)]
    np.testing.assert_array_equal(learning_curves(history), learning_curves(rows))
    one = learning_curves([{"loss": 3.0, "val_loss": 3.5}, {"loss": 2.0, "val_loss": 2.5}])
    np.testing.assert_array_equal(learning_curves(history, names=["loss"]), one)
    with pytest.raises(ValueError, match=r"`names` must be metrics of `rows`. Received: els; there: loss, elbo"):
        learning_curves(history, names=["els"])


def test_a_calibration_chart_has_its_curve_and_the_diagonal():
    chart = calibration_chart([0.01, 0.02, 0.05], [0.012, 0.02, 0.04], 0.95)
    assert chart.shape[2] == 3 and chart.min() < 128
    assert (calibration_chart([0.01, 0.02, 0.05], [0.01, 0.02, 0.05], 0.95) != chart).any()
