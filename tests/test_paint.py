"""Pictures painted with one painting: only its paint, where it fits, evenly; what is to stay stays, bit for bit."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tfvae.applications.styles import canvas as canvases
from tfvae.applications.styles.canvas import Canvas, rounded, trimmed
from tfvae.applications.styles.colours import matching, oklab, recoloured, srgb, transferred
from tfvae.applications.styles.paint import hung, largest_stroke, paint, without_margins
from tfvae.applications.styles.painting import ANGLES, Guide, Patches, Places, directions, grid, turned_by
from tfvae.cli import main


def painting(height=56, width=56, seed=0, angle=0.4):
    """Coloured strokes in one direction."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((height, width))
    along, across = np.cos(angle) * columns + np.sin(angle) * rows, np.cos(angle) * rows - np.sin(angle) * columns
    waves = sum(np.sin(rng.uniform(0.5, 0.9) * across + 0.05 * along + rng.uniform(0, 6)) for _ in range(3)) / 3
    rgb = 0.5 + 0.3 * waves[..., None] * [1.0, 0.6, -0.4] + 0.1 * rng.random((1, 1, 3))
    return (255 * np.clip(rgb + 0.02 * rng.standard_normal((height, width, 3)), 0, 1)).astype(np.uint8)


def photo(height=45, width=61, channels=3, seed=3, dtype=np.uint8):
    rng = np.random.default_rng(seed)
    smooth = np.asarray(Image.fromarray((rng.random((5, 6)) * 255).astype(np.uint8)).resize((width, height)))
    pixels = np.repeat(smooth[..., None], channels, axis=2) / 255.0
    pixels = pixels * rng.uniform(0.5, 1, channels)
    return pixels.astype(dtype) if np.issubdtype(dtype, np.floating) else (pixels * np.iinfo(dtype).max).astype(dtype)


# Colours.


def test_oklab_is_that_of_its_author_and_is_undone():
    # Of https://bottosson.github.io/posts/oklab/ and CSS Color 4: white, red, green, blue, grey.
    rgb = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]])
    expected = [[1, 0, 0], [0.628, 0.2249, 0.1258], [0.8664, -0.2339, 0.1795], [0.452, -0.0325, -0.3115], [0.598, 0, 0]]
    np.testing.assert_allclose(oklab(rgb) / 100, expected, atol=2e-4)
    np.testing.assert_allclose(srgb(oklab(rgb)), rgb, atol=2e-4)
    np.testing.assert_allclose(oklab(rgb[-1:, :1]), oklab(rgb[-1:]), atol=1e-3)


def test_transferred_colours_have_the_mean_and_nearly_the_covariance_of_the_other():
    rng = np.random.default_rng(0)
    mixing = np.array([[9.0, 0, 0], [4, 7, 0], [-3, 1, 6]])
    x, y = rng.standard_normal((40, 50, 3)) * [12, 8, 9], rng.standard_normal((30, 70, 3)) @ mixing.T + [60, 5, -8]
    moved = transferred(x, y)
    np.testing.assert_allclose(moved.mean((0, 1)), y.mean((0, 1)), atol=0.3)
    np.testing.assert_allclose(np.cov(moved.reshape(-1, 3).T), np.cov(y.reshape(-1, 3).T), rtol=0.15, atol=3)
    np.testing.assert_allclose(transferred(y, y), y, atol=0.2)


def test_a_matched_histogram_is_the_others_and_keeps_the_order():
    rng = np.random.default_rng(0)
    x, like = rng.normal(size=5000), rng.exponential(size=3000)
    found = matching(x, like)(x)
    np.testing.assert_allclose(np.quantile(found, [0.1, 0.5, 0.9]), np.quantile(like, [0.1, 0.5, 0.9]), atol=0.02)
    assert (np.diff(found[np.argsort(x)]) >= 0).all()
    np.testing.assert_allclose(matching(np.ones(7), like)(np.ones(7)), like.mean())


def test_recoloured_is_the_other_where_it_is_smooth_and_keeps_what_is_fine():
    rows, columns = np.indices((80, 80))
    fine = np.stack([10 * ((rows + columns) % 2) - 5.0] * 3, axis=-1).astype(np.float32)
    other = np.stack([rows, columns, rows], axis=-1).astype(np.float32)
    found = recoloured(fine + 40, other, 6.0)[24:-24, 24:-24]
    np.testing.assert_allclose(found, (fine + other)[24:-24, 24:-24], atol=0.5)


# Windows and directions.


def test_turned_windows_are_rotations_and_quarter_turns_keep_pixels_on_pixels():
    offsets = 8 * grid(8)
    for turn in range(ANGLES):
        np.testing.assert_allclose(np.hypot(*turned_by(turn, offsets)), np.hypot(*offsets), rtol=1e-9)
        np.testing.assert_allclose(turned_by(ANGLES - turn, turned_by(turn, offsets)), offsets, atol=1e-9)
    np.testing.assert_array_equal(turned_by(2, offsets) * 2 % 2, np.ones_like(offsets))


@pytest.mark.parametrize("turn", range(ANGLES))
def test_a_turned_window_is_described_as_the_turned_picture_would_be(turn):
    """Strokes of one direction, and the same strokes drawn in the direction that the turn brings them to."""
    lab = oklab(painting(96, 96, angle=0.4) / 255)
    turned = oklab(painting(96, 96, angle=0.4 - 2 * np.pi * turn / ANGLES) / 255)
    middle = np.array([47.5])
    found = Guide(lab, 32).describe(Places(middle, middle, np.array([turn])))
    expected = Guide(turned, 32).describe(Places(middle, middle, np.array([0])))
    np.testing.assert_allclose(found[:, 24:], expected[:, 24:], atol=0.5)  # of 3.5 for strokes in one direction


def test_directions_go_on_from_forms_into_what_is_flat():
    lightness = np.zeros((64, 64), np.float32)
    lightness[:, 8:] = 50  # one upright edge
    near, far = directions(lightness, 2.0, 1)[32], directions(lightness, 2.0, 3)[32]
    np.testing.assert_allclose(near[8], [1, 0], atol=0.05)
    assert np.abs(near[30]).max() < 0.01 < 0.5 < far[30, 0]


def test_windows_of_a_painting_lie_within_it_and_find_themselves():
    guide = Guide(oklab(painting() / 255), 16)
    patches = Patches(guide, 0)
    rows, columns = patches.places.points(16 * grid(16))
    assert min(rows.min(), columns.min()) >= 0 and max(rows.max(), columns.max()) <= 55
    found = patches.nearest(patches.described[::7], 1, 0.0, np.random.default_rng(0))[:, 0]
    same = np.abs(patches.described[found] - patches.described[::7]).max(axis=1)
    assert np.median(same) < 1e-6


# Seams.


def test_a_window_is_cut_where_it_is_alike_or_where_it_stops_gaining():
    seam, nothing = np.ones((2, 16, 16)), np.zeros((2, 16, 16))
    seam[0, :, 3] = 0
    taken = trimmed(seam, nothing)
    assert not taken[0, 6:10, :3].any() and taken[0, 6:10, 3:8].all()
    gain = np.where(np.arange(16) < 4, -10.0, 10.0) * np.ones((2, 16, 16))
    taken = trimmed(np.ones((2, 16, 16)), gain)
    assert not taken[:, 6:10, :4].any() and taken[:, 6:10, 4:].all()


def test_round_shapes_leave_the_midst_free_and_cost_at_the_corners():
    blobs = rounded(20, np.random.default_rng(0))
    assert (blobs[:, 8:12, 8:12] == 0).all() and blobs[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean() > 0.4
    assert len({blob.tobytes() for blob in blobs}) == len(blobs)


# The picture.


def test_a_painting_painted_with_itself_is_itself():
    noise = np.random.default_rng(0).standard_normal((56, 56, 3))  # a whole number of windows, no two alike
    own = (255 * np.clip(0.5 + ndimage.gaussian_filter(noise, (2, 2, 0)), 0, 1)).astype(np.uint8)
    np.testing.assert_array_equal(paint(own, own), own)


def test_all_paint_is_the_paintings():
    model = painting(64, 80, seed=1)
    palette = oklab(model / 255)
    canvas = Canvas(transferred(oklab(photo() / 255), palette), [palette])
    canvas.fill()
    painted = np.rint(255 * canvas.picture([model / 255])).astype(int)
    rows, columns = canvas.rows[:45, :61], canvas.columns[:45, :61]
    assert rows.min() >= 0 and columns.min() >= 0 and rows.max() <= 63 and columns.max() <= 79
    whole = (rows == np.rint(rows)) & (columns == np.rint(columns))  # not of a window turned by half a right angle
    assert whole.mean() > 0.1
    np.testing.assert_array_equal(painted[whole], model[rows[whole].astype(int), columns[whole].astype(int)])
    step = np.hypot(np.diff(rows, axis=1), np.diff(columns, axis=1))
    assert (np.abs(step - 1) < 1e-3).mean() > 0.5  # and it comes in pieces


def test_what_is_painted_shows_the_picture_and_smaller_windows_show_more(monkeypatch):
    image, model = photo(64, 288), painting(96, 300)
    target = transferred(oklab(image / 255), oklab(hung(model / np.float32(255), image.shape)))[..., 0]

    def error(colour="painting"):
        shown = oklab(paint(image, model, colour) / 255)[..., 0]
        return np.square(shown - target).mean()

    shuffled = np.random.default_rng(0).permutation(target.ravel()).reshape(target.shape)
    fine = error()
    assert fine < 0.5 * np.square(shuffled - target).mean()
    monkeypatch.setattr(canvases, "ENOUGH", 1e9)
    assert fine < error()


def test_colours_of_the_photograph_are_kept_and_those_of_the_painting_are_taken():
    image, model = photo(40, 40), painting(40, 40)
    means = {name: oklab(each / 255).mean((0, 1)) for name, each in (("photo", image), ("painting", model))}
    for name, mean in means.items():
        found = oklab(paint(image, model, name) / 255).mean((0, 1))
        other = means["painting" if name == "photo" else "photo"]
        assert np.abs(found - mean)[1:].sum() < 0.3 * np.abs(found - other)[1:].sum()


def test_what_is_kept_stays_bit_for_bit_and_the_strength_mixes():
    image, model = photo(), painting()
    kept = np.zeros(image.shape[:2], bool)
    kept[10:30, :20] = True
    whole = paint(image, model)
    part = paint(image, model, kept=kept)
    np.testing.assert_array_equal(part[kept], image[kept])
    np.testing.assert_array_equal(part[~kept], whole[~kept])
    np.testing.assert_array_equal(paint(image, model, strength=0), image)
    half = paint(image, model, strength=0.5).astype(int)
    np.testing.assert_allclose(half, (image.astype(int) + whole) / 2, atol=1.01)
    assert (paint(image, model, strength=2.0) != whole).any()


def test_the_seed_decides():
    image, model = photo(), painting()
    np.testing.assert_array_equal(paint(image, model, seed=4), paint(image, model, seed=4))
    assert (paint(image, model, seed=4) != paint(image, model, seed=5)).any()


@pytest.mark.parametrize(
    ("size", "channels", "dtype", "colour"),
    [
        ((1, 1), 3, np.uint8, "painting"),
        ((1, 1), 1, np.uint16, "photo"),
        ((3, 40), 1, np.uint8, "painting"),
        ((17, 9), 3, np.float32, "photo"),
        ((33, 20), 1, np.uint16, "painting"),
    ],
)
def test_any_size_and_type(size, channels, dtype, colour):
    image = photo(*size, channels, dtype=dtype)
    painted = paint(image, painting(40, 30), colour)
    assert painted.dtype == dtype and painted.shape == (*size, 3 if colour == "painting" else channels)
    assert paint(image, painting(40, 30)[..., :1], colour).shape == image.shape


def test_a_flat_picture_and_a_flat_painting_are_painted():
    for image, model in (
        (np.full((20, 20, 3), 90, np.uint8), painting()),
        (photo(), np.full((30, 30, 3), 90, np.uint8)),
    ):
        assert np.isfinite(paint(image / np.float32(255), model / np.float32(255))).all()


def test_paint_is_not_enlarged():
    model = painting(40, 30) / np.float32(255)
    assert hung(model, (100, 80)).shape == (40, 30, 3) and hung(model, (20, 20)).shape == (21, 16, 3)
    assert hung(model, (30, 30), 0.9).shape == (27, 20, 3)
    assert largest_stroke(model.shape, (100, 80)) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"colour": "both"}, "`colour` must be one of painting, photo"),
        ({"strength": -0.1}, "`strength` must be 0 or more"),
        ({"stroke": 3.0}, "`stroke` must be above 0 and at most 0.91"),
        ({"stroke": 0.0}, "`stroke` must be above 0"),
        ({"painting": np.zeros((15, 40, 3), np.uint8)}, "`painting` must be 16x16 pixels or more"),
        ({"painting": np.zeros((40, 40, 4), np.uint8)}, "`painting` must be .*1 or 3"),
        ({"image": np.zeros((40, 40))}, "`image` must be"),
        ({"image": np.zeros((0, 40, 3), np.uint8)}, "`image` must be"),
        ({"kept": np.zeros((4, 4))}, "`known` must have the size"),
        (
            {"painting": [painting(), painting()], "shares": [1]},
            "`shares` must be a number of 0 or more for each of the 2",
        ),
        ({"painting": [painting(), painting()], "shares": [0, 0]}, "`shares` must be .* above 0"),
        ({"shares": [-1]}, "`shares` must be a number of 0 or more"),
        ({"painting": []}, "`shares` must be a number"),
    ],
)
def test_refuses_what_cannot_be_painted(arguments, message):
    with pytest.raises(ValueError, match=message):
        paint(**{"image": photo(), "painting": painting(), **arguments})


# The command.


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo()).save("photo.png")
    Image.fromarray(painting()).save("painting.jpg")
    return tmp_path


def test_the_command_paints_a_picture_without_a_run(files, capsys):
    for words in (["photo.png", "--from", "painting.jpg"], ["--from", "painting.jpg", "photo.png"]):
        assert main(["stylize", *words, "--seed", "3"]) == 0
        assert "content kept: SSIM" in capsys.readouterr().err
        model = np.asarray(Image.open("painting.jpg"))
        painted = np.asarray(Image.open(files / "stylized" / "photo.png"))
        np.testing.assert_array_equal(painted, paint(photo(), model, seed=3))


def test_the_command_paints_a_folder_with_masks_and_grey_pictures_in_colour(files, capsys):
    for folder in ("in", "masks"):
        (files / folder).mkdir()
    alpha = np.dstack([photo(), np.full((45, 61), 77, np.uint8)])
    Image.fromarray(alpha).save("in/a.png")
    Image.fromarray(photo(20, 30, 1)[..., 0]).save("in/b.jpg")
    mask = np.zeros((45, 61), np.uint8)
    mask[:, 30:] = 255
    Image.fromarray(mask).save("masks/a.png")
    Image.fromarray(mask[:20, 20:50]).save("masks/b.png")
    options = ["--mask", "masks", "--colour", "painting", "--strength", "0.9"]
    assert main(["stylize", "in", "--from", "painting.jpg", *options, "-o", "out"]) == 0
    assert "2 pictures" in capsys.readouterr().out
    painted = np.asarray(Image.open("out/a.png"))
    np.testing.assert_array_equal(painted[:, :30], alpha[:, :30])
    assert (painted[:, 30:, :3] != alpha[:, 30:, :3]).any() and (painted[..., 3] == 77).all()
    assert Image.open("out/b.jpg").mode == "RGB" and (files / "out" / "index.html").is_file()
    assert main(["stylize", "in/b.jpg", "--from", "painting.jpg", "--colour", "photo", "-o", "grey.png"]) == 0
    assert Image.open("grey.png").mode == "L"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("photo.png", "--style --from is required"),
        ("photo.png --from painting.jpg --style oil", "not allowed with"),
        ("photo.png --style oil", "required: IN"),
        ("run photo.png --from painting.jpg", "takes one picture or folder and no RUN"),
        ("run photo.png --style oil --colour photo", "--colour cannot be used with --style"),
        ("run photo.png --style oil --seed 0", "--seed cannot be used with --style"),
        ("photo.png --from painting.jpg --steady 0.5", "--steady cannot be used with --from"),
        ("photo.png --from painting.jpg --tile 512", "--tile cannot be used with --from"),
        ("photo.png --from painting.jpg --extrapolate", "--extrapolate cannot be used with --from"),
        ("photo.png --from painting.jpg --colour both", "unknown --colour 'both'"),
        ("photo.png --from painting.jpg --stroke 0", "--stroke: must be a number"),
        ("photo.png --from painting.jpg --stroke 9", "--stroke can be 0.92 at most"),
        ("photo.png --from nothing.jpg", "--from nothing.jpg: there is no such file"),
        ("photo.png --from notes.png", "--from notes.png: "),
        ("photo.png --from tiny.png", "must be 16x16 pixels or more"),
        ("nothing.png --from painting.jpg", "nothing.png: there is no such file"),
        ("film.mp4 --from painting.jpg --mask tiny.png", "--mask is for pictures"),
        ("photo.png --from painting.jpg --fps 5", "--fps is for films"),
        ("photo.png --from painting.jpg --mask photo.jpg", "--mask photo.jpg: there is no such file"),
        ("photo.png --from painting.jpg --mask tiny.png", "marks nothing: white is what is painted"),
        ("photo.png --from painting.jpg -o painting.jpg", "would be written over"),
        ("photo.png --from painting.jpg --from nothing.jpg", "--from nothing.jpg: there is no such file"),
        ("photo.png --from painting.jpg --shares 0.4,0.6", "--shares must be a number for each --from"),
        ("photo.png --from painting.jpg --shares 0", "one of them above 0"),
        ("photo.png --from painting.jpg --shares a", "--shares: must be"),
        ("run photo.png --style oil --shares 1", "--shares cannot be used with --style"),
    ],
)
def test_the_command_refuses_in_one_line(files, capsys, words, message):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("tiny.png")
    (files / "notes.png").write_text("strokes")
    (files / "film.mp4").write_bytes(b"film")
    assert main(["stylize", *words.split()]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (files / "stylized").exists()


def test_a_black_margin_of_a_scan_is_no_paint_and_a_dark_painting_is_whole():
    paper = np.clip(painting(60, 50) / np.float32(255) + 0.4, 0, 1)
    framed = np.pad(paper, ((6, 5), (3, 7), (0, 0)), constant_values=0.05)
    found = without_margins(framed)
    np.testing.assert_array_equal(found, paper[1:-1, 1:-1])  # a line on each side may be a mixture of both
    np.testing.assert_array_equal(without_margins((framed * 255).astype(np.uint8)), (found * 255).astype(np.uint8))
    assert paint(photo(40, 40), framed).min() > 0.3 * 255
    for whole in (paper, 0.1 * paper, np.pad(0.2 * paper, ((6, 6), (6, 6), (0, 0)))):
        np.testing.assert_array_equal(without_margins(whole), whole)
