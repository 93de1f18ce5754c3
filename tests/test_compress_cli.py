"""`tfvae compress` and `tfvae decompress` on an untrained codec: files, what is kept, and what they say no to."""

import keras
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from tiny_runs import vector_vae, write_run

import tfvae
from tfvae.cli import main
from tfvae.commands.pages.compressed import at_psnr

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("home")
    for name, channels, seed in (("codec", 3, 1), ("grey", 1, 2)):
        keras.utils.set_random_seed(seed)
        model = tfvae.Codec(channels, (6, 8), 5, hyper_dim=4, hyper_width=8, seed=0)
        for weight in model.trainable_variables:
            weight.assign_add(0.03 * np.random.default_rng(seed).standard_normal(weight.shape).astype("float32"))
        write_run(root / "runs" / name, model)
    write_run(root / "runs" / "digits", vector_vae())
    for name in ("codec", "grey"):
        config = root / "runs" / name / "config.toml"
        config.write_text(config.read_text(encoding="utf-8") + '[model]\nkind = "codec"\n', encoding="utf-8")
    return root


@pytest.fixture
def home(runs, monkeypatch):
    monkeypatch.chdir(runs)
    return runs


def pixels(*shape, seed=0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    smooth = 127 + 100 * np.sin(0.1 * y + 0.05 * x)
    noise = np.random.default_rng(seed).normal(0, 6, shape)
    return np.clip((smooth if len(shape) == 2 else smooth[..., None]) + noise, 0, 255).astype(np.uint8)


def compress(*words):
    return main(["compress", *map(str, words)])


def decompress(*words):
    return main(["decompress", *map(str, words)])


def test_a_picture_becomes_a_small_file_and_a_picture_again(home, tmp_path, capsys):
    Image.fromarray(pixels(61, 83, 3)).save(tmp_path / "a.png")
    assert compress("runs/codec", tmp_path / "a.png", "-o", tmp_path / "a.tfv", "--quality", 70) == 0
    assert f"{(tmp_path / 'a.tfv').stat().st_size:,} bytes" in capsys.readouterr().out
    # Without --run it is found by its digest, among runs of which some are of other models.
    assert decompress(tmp_path / "a.tfv", "-o", tmp_path / "b.png") == 0
    assert decompress(tmp_path / "a.tfv", "--run", "runs/codec", "-o", tmp_path / "c.webp") == 0
    with Image.open(tmp_path / "b.png") as one, Image.open(tmp_path / "c.webp") as other:
        assert one.size == other.size == (83, 61)
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("coder", ["ans", "huffman"])
@pytest.mark.parametrize(
    ("mode", "shape"), [("L", (1, 1)), ("LA", (9, 14, 2)), ("RGB", (33, 7, 3)), ("RGBA", (20, 20, 4))]
)
@pytest.mark.parametrize("run", ["codec", "grey"])
def test_grey_colour_and_alpha_come_back_in_their_own_mode(home, tmp_path, run, mode, shape, coder):
    image = pixels(*shape)
    Image.fromarray(image).save(tmp_path / "a.png")
    assert compress(f"runs/{run}", tmp_path / "a.png", "--coder", coder) == 0
    assert decompress(tmp_path / "a.tfv", "-o", tmp_path / "b.png") == 0
    with Image.open(tmp_path / "b.png") as found:
        assert (found.mode, found.size) == (mode, image.shape[1::-1])
        if mode.endswith("A"):
            np.testing.assert_array_equal(np.asarray(found)[..., -1], image[..., -1])


def test_what_is_no_pixel_is_kept_and_the_picture_is_upright(home, tmp_path):
    exif = Image.Exif()
    exif[274], exif[271] = 6, "A maker"  # on its side
    profile = bytes(range(256)) * 2
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>kept</x:xmpmeta>")
    source = Image.fromarray(pixels(24, 40, 3))
    source.save(tmp_path / "a.png", exif=exif, icc_profile=profile, dpi=(150, 150), pnginfo=text)
    assert compress("runs/codec", tmp_path / "a.png", "-o", tmp_path) == 0
    assert decompress(tmp_path / "a.tfv", "-o", tmp_path / "b.png") == 0
    with Image.open(tmp_path / "b.png") as found:
        assert found.size == (24, 40)  # turned
        assert found.getexif()[271] == "A maker" and 274 not in found.getexif()
        assert found.info["icc_profile"] == profile and b"kept" in found.info["xmp"]
        np.testing.assert_allclose(found.info["dpi"], 150, atol=0.1)


def test_a_folder_keeps_its_folders_and_names_what_it_refuses(home, tmp_path, capsys):
    for name in ("a.png", "inner/a.png", "inner/b.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(16, 16, 3)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert compress("runs/codec", tmp_path / "in", "-o", tmp_path / "small") == 2
    assert "refused bad.png" in capsys.readouterr().err
    found = sorted(str(path.relative_to(tmp_path / "small")) for path in (tmp_path / "small").rglob("*.tfv"))
    assert found == ["a.tfv", "inner/a.tfv", "inner/b.tfv"]
    (tmp_path / "small" / "worse.tfv").write_bytes((tmp_path / "small" / "a.tfv").read_bytes()[:-3])
    assert decompress(tmp_path / "small", "-o", tmp_path / "opened") == 2
    assert "refused worse.tfv: is damaged or cut short" in capsys.readouterr().err
    assert len(list((tmp_path / "opened").rglob("*.png"))) == 3


def test_a_size_is_met_from_below(home, tmp_path, capsys):
    Image.fromarray(pixels(80, 80, 3)).save(tmp_path / "a.png")
    assert compress("runs/codec", tmp_path / "a.png", "--bytes", "0.3k") == 0
    assert (tmp_path / "a.tfv").stat().st_size <= 300
    found = float(capsys.readouterr().out.splitlines()[0].rpartition("quality ")[2])
    assert 0 < found < 100
    assert compress("runs/codec", tmp_path / "a.png", "--quality", found + 0.1) == 0
    assert (tmp_path / "a.tfv").stat().st_size > 300
    assert compress("runs/codec", tmp_path / "a.png", "--bytes", "20") == 2
    assert "--bytes must be" in capsys.readouterr().err


def test_a_page_shows_what_the_files_open_as_and_the_bytes_of_others(home, tmp_path):
    (tmp_path / "in").mkdir()
    for name, shape in (("a <b>.png", (40, 48, 3)), ("grey.png", (32, 32))):
        Image.fromarray(pixels(*shape)).save(tmp_path / "in" / name)
    assert compress("runs/codec", tmp_path / "in", "-o", tmp_path / "out", "--page") == 0
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "a &lt;b&gt;.png" in page and "<script" not in page and page.count("<td>JPEG</td>") == 2
    for name in ("a <b>.tfv", "grey.tfv"):
        assert f"<td>{(tmp_path / 'out' / name).stat().st_size:,}</td>" in page
    assert decompress(tmp_path / "out" / "grey.tfv", "-o", tmp_path / "grey.png") == 0
    with Image.open(tmp_path / "out" / "pictures" / "0002-opened.png") as shown:
        np.testing.assert_array_equal(shown, Image.open(tmp_path / "grey.png"))


def test_a_rival_is_its_smallest_file_of_that_quality():
    image = pixels(64, 64, 3)
    size, quality = at_psnr(image, 34.0, "JPEG", {"optimize": True})
    assert quality >= 34.0
    smaller = at_psnr(image, 30.0, "JPEG", {"optimize": True})
    assert 30.0 <= smaller[1] < quality and smaller[0] < size
    assert at_psnr(image, 99.0, "JPEG", {})[1] < 99.0  # its best


def test_sixteen_bits_are_said_to_become_eight(home, tmp_path, capsys):
    Image.fromarray(257 * pixels(12, 12).astype(np.uint16)).save(tmp_path / "a.png")
    assert compress("runs/codec", tmp_path / "a.png") == 0
    assert "a.png: 16 bit grey is compressed as 8 bit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compress", "runs/digits", "a.png"], "holds a VAE, which writes no files"),
        (["compress", "runs/codec", "none.png"], "there is no such file"),
        (["compress", "runs/codec", "a.png", "--quality", "101"], "from 0 to 100"),
        (["compress", "runs/codec", "a.png", "--bytes", "5x"], "a number of bytes"),
        (["compress", "runs/codec", "a.png", "--quality", "5", "--bytes", "5k"], "not allowed with"),
        (["compress", "runs/codec", "a.png", "-o", "a.png"], "-o cannot end in '.png'"),
        (["compress", "runs/codec", "a.png", "--tile", "8"], "--tile must be"),
        (["compress", "runs/codec", "a.png", "--coder", "zip"], "ans, huffman"),
        (["decompress", "a.png"], "not a compressed picture"),
        (["decompress", "none.tfv"], "there is no such file"),
        (["decompress", "a.tfv", "-o", "b.tfv"], "-o cannot end in '.tfv'"),
        (["decompress", "a.tfv", "--run", "runs/grey"], "was written by another model"),
        (["decompress", "foreign.tfv"], "no run in ./runs has the model that wrote it"),
        (["decompress", "runs/digits"], "no .tfv file in it"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(home, words, message, capsys):
    if not (home / "a.tfv").exists():
        Image.fromarray(pixels(40, 40, 3)).save(home / "a.png")
        assert compress("runs/codec", "a.png") == 0
        content = (home / "a.tfv").read_bytes()
        foreign = content[:4] + b"none"
        from tfvae.applications.compression.container import _checksum

        (home / "foreign.tfv").write_bytes(foreign + _checksum(foreign + content[12:]) + content[12:])
        capsys.readouterr()
    assert main(words) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and "\n" not in said
