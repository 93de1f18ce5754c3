"""Pictures in a style: the same in tiles, the original at strength 0, weights and groups as they were asked for."""

import numpy as np
import pytest
from PIL import Image
from test_style_vae import folder_of_styles, style_vae
from tiny_runs import spatial_vae, write_run

from tfvae.applications.styles.style_weights import cluster_styles, latent_statistics, parse_style
from tfvae.applications.styles.stylize import content_kept, predicted_style, stylize, stylizer
from tfvae.cli import main

NAMES = ["monet", "hokusai", "photos"]
MIXED = np.array([0.6, -0.5, 1.2], np.float32)


@pytest.fixture(scope="module")
def model():
    return style_vae()


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "styles", model)


def picture(height=70, width=53, channels=3, seed=0, dtype=np.uint8):
    pixels = np.random.default_rng(seed).random((height, width, channels), dtype=np.float32)
    return pixels if dtype == np.float32 else (pixels * 255).astype(dtype)


@pytest.mark.parametrize("strength", [1.0, 0.4, 1.5])
def test_tiled_is_whole(model, strength):
    image = picture(150, 131, dtype=np.float32)
    side = 2 * model.margin + 6 * model.factor  # a few tiles in each direction
    assert side < 131
    whole = stylize(model, image, MIXED, strength)
    np.testing.assert_allclose(stylize(model, image, MIXED, strength, tile=side), whole, atol=1e-5)


def test_the_margin_is_as_wide_as_what_a_pixel_depends_on(model):
    side = 2 * model.margin + 5
    image = np.full((1, side, side, 3), 0.5, np.float32)
    other = image.copy()
    other[0, side // 2, side // 2] = 0.9
    changed = np.abs(model.render(image, MIXED[None])["image"] - model.render(other, MIXED[None])["image"]).max((0, 3))
    rows = np.flatnonzero(changed.max(axis=1))
    assert side // 2 - model.margin <= rows.min() and rows.max() <= side // 2 + model.margin
    assert rows.max() - rows.min() > model.factor  # and it does depend


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_strength_zero_is_the_picture_and_near_zero_is_near_it(model, dtype):
    image = picture(dtype=np.float32) if dtype == np.float32 else (picture(dtype=np.float32) * 250).astype(dtype)
    np.testing.assert_array_equal(stylize(model, image, MIXED, 0.0), image)
    white = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    near = stylize(model, image, MIXED, 1e-4) / white
    np.testing.assert_allclose(near, image / white, atol=5e-3)


def test_full_strength_is_the_rendering_in_the_style_alone(model):
    image = picture(dtype=np.float32)
    expected = np.clip(model.render(image[None], MIXED[None])["image"][0], 0, 1)
    np.testing.assert_allclose(stylize(model, image, MIXED), expected, atol=1e-6)
    own = predicted_style(model, image)
    assert sorted(own) == [0, 0, 1]
    half = stylize(model, image, MIXED, 0.5)
    mixed = (0.5 * MIXED + 0.5 * own)[None]
    rest = image - model.render(image[None], own[None])["image"][0]
    expected = np.clip(model.render(image[None], mixed)["image"][0] + 0.5 * rest, 0, 1)
    np.testing.assert_allclose(half, expected, atol=1e-6)


def test_grey_pictures_stay_grey_and_frames_keep_the_style_of_the_first(model):
    grey = picture(channels=1)
    assert stylize(model, grey, MIXED, 0.7).shape == grey.shape
    render = stylizer(model, MIXED, 0.7)
    first, second = picture(seed=1), picture(seed=2)
    np.testing.assert_array_equal(render(first), stylize(model, first, MIXED, 0.7))
    own = predicted_style(model, first)
    np.testing.assert_array_equal(render(second), stylize(model, second, MIXED, 0.7, own))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": [1.0]}, "`weights` must be 3 finite numbers"),
        ({"weights": [1.0, 0.0, np.nan]}, "`weights` must be 3 finite numbers"),
        ({"strength": -0.1}, "`strength` must be 0 or more"),
        ({"image": np.zeros((4, 4))}, "`image` must be"),
    ],
)
def test_refuses_what_cannot_be_rendered(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        stylize(model, **{"image": picture(), "weights": MIXED, **arguments})


def test_shares_add_up_to_one_and_weights_are_taken_as_they_are():
    np.testing.assert_array_equal(parse_style("hokusai", NAMES), [0, 1, 0])
    np.testing.assert_allclose(parse_style("monet:0.6, hokusai:0.4", NAMES), [0.6, 0.4, 0], rtol=1e-6)
    np.testing.assert_allclose(parse_style("monet:3,photos", NAMES), [0.75, 0, 0.25], rtol=1e-6)
    np.testing.assert_allclose(parse_style("monet:1.8,photos:-0.5", NAMES, extrapolate=True), [1.8, 0, -0.5])
    np.testing.assert_allclose(parse_style("a:b:2,c", ["a:b", "c"]), [2 / 3, 1 / 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mone", "no style 'mone'.* Did you mean 'monet'"),
        ("", "no style ''"),
        ("monet:x", "must be a number"),
        ("monet:1,monet:2", "named twice"),
        ("monet:-1,photos:2", "--extrapolate"),
        ("monet:0", "one above 0"),
        ("monet:nan", "finite"),
    ],
)
def test_a_style_that_is_none_is_said(text, message):
    with pytest.raises(ValueError, match=message):
        parse_style(text, NAMES)


def test_groups_of_unlike_pictures_are_found_again():
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.repeat([0, 1], [14, 6]))
    statistics = rng.standard_normal((20, 6)) + 8.0 * truth[:, None]
    np.testing.assert_array_equal(cluster_styles(statistics, 2), truth)  # 0 is the larger
    with pytest.raises(ValueError, match="from 2 to the 20"):
        cluster_styles(statistics, 21)


def test_statistics_of_codes_do_not_depend_on_where_things_are(model):
    class Halves:
        """A code that is the picture itself."""

        @staticmethod
        def codes(x):
            return x

    image = picture(8, 8, dtype=np.float32)
    moved = np.roll(image, (3, 5), axis=(0, 1))
    statistics = latent_statistics(Halves, np.stack([image, moved]))
    assert statistics.shape == (2, 6)
    np.testing.assert_allclose(statistics[0], statistics[1], rtol=1e-5)
    assert latent_statistics(model, [picture(9, 7), picture(5, 12)]).shape == (2, 8)


def test_content_kept_is_one_of_equals_and_less_of_others():
    image = picture()
    np.testing.assert_allclose(content_kept(image, image), 1.0, atol=1e-6)
    kept, edges = content_kept(image, picture(seed=5))
    assert kept < 0.2 and edges < 0.5


def test_the_command_renders_a_folder_and_says_what_was_kept(run, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    alpha = np.dstack([picture(20, 18), np.full((20, 18), 77, np.uint8)])
    Image.fromarray(alpha).save(folder / "a.png")
    Image.fromarray(picture(17, 30)).save(folder / "b.jpg")
    out = tmp_path / "out"
    assert (
        main(["stylize", str(run), str(folder), "--style", "oil:0.5,water:0.5", "--strength", "0.8", "-o", str(out)])
        == 0
    )
    said = capsys.readouterr()
    assert said.err.count("content kept: SSIM") == 2 and "2 pictures" in said.out
    rendered = np.asarray(Image.open(out / "a.png"))
    assert rendered.shape == (20, 18, 4) and (rendered[..., 3] == 77).all()
    assert (rendered[..., :3] != alpha[..., :3]).any()
    assert Image.open(out / "b.jpg").size == (30, 17)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--style", "oli"], "no style 'oli'. Did you mean 'oil'?"),
        (["--style", "oil:-1,water:2"], "--extrapolate"),
        (["--style", "oil", "--tile", "8"], "--tile must be"),
        ([], "--style"),
    ],
)
def test_the_command_refuses_in_one_line(run, tmp_path, capsys, arguments, message):
    Image.fromarray(picture(9, 9)).save(tmp_path / "a.png")
    assert main(["stylize", str(run), str(tmp_path / "a.png"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_generate_draws_in_a_style_where_there_are_styles(run, tmp_path, capsys):
    def drawn(name, *arguments):
        assert main(["generate", str(run), "-n", "1", "--size", "16x24", "-o", str(tmp_path / name), *arguments]) == 0
        return np.asarray(Image.open(tmp_path / name))

    oil, water = drawn("oil.png", "--label", "oil"), drawn("water.png", "--label", "water")
    assert (oil != water).any()
    plain = write_run(tmp_path / "plain", spatial_vae())
    capsys.readouterr()
    assert main(["generate", str(plain), "--label", "oil"]) == 2
    assert "learnt classes or styles" in capsys.readouterr().err
    Image.fromarray(picture(9, 9)).save(tmp_path / "a.png")
    assert main(["stylize", str(plain), str(tmp_path / "a.png"), "--style", "oil"]) == 2
    assert "learnt no styles" in capsys.readouterr().err


def test_groups_are_written_as_a_table_that_names_every_picture(run, tmp_path):
    data = folder_of_styles(tmp_path / "flat", flat=True)
    out = tmp_path / "styles.csv"
    assert main(["styles", str(run), str(data), "-n", "2", "-o", str(out)]) == 0
    rows = [line.split(",") for line in out.read_text().splitlines()[1:]]
    assert sorted(name for name, _ in rows) == sorted(file.name for file in data.iterdir())
    told = dict(rows)
    assert {told[name] for name in told if "dark" in name} == {"style2"}
    assert {told[name] for name in told if "bright" in name} == {"style1"}
    assert out.with_suffix(".png").is_file()
