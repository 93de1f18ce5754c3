"""A zip file of pictures is the folder that it holds, whatever else lies in it."""

import io
import os
import shutil
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from tfvae.data import DataConfig, archive, load, load_images, look
from tfvae.errors import UserError, run_program
from training.__main__ import main


def png(grey, size=(6, 5)):
    file = io.BytesIO()
    Image.new("L", size, grey).save(file, "png")
    return file.getvalue()


def zipped(path, members, **options):
    """A zip file of `{name or ZipInfo: content}`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def reasons(refused):
    return {refusal.name: refusal.reason for refusal in refused}


def one_line(source, **options):
    with pytest.raises(UserError) as caught:
        load_images(source, DataConfig("x", **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    """Forty pictures of two classes and three sizes, in folders of folders, and files that are none."""
    root = tmp_path / "pictures"
    for index in range(40):
        path = root / ("dog", "cat/old", "cat")[index % 3] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(5 * index, (6, 5 + index % 3)))
    (root / "loose.PNG").write_bytes(png(7))
    (root / "cat.txt").write_text("no picture")
    (root / "dog" / "damaged.jpg").write_text("no picture")
    (root / ".hidden.png").write_bytes(png(0))
    return root


def test_a_zip_file_gives_what_its_folder_gives(folder, tmp_path):
    flat = shutil.make_archive(tmp_path / "flat", "zip", folder)
    around = shutil.make_archive(tmp_path / "around", "zip", tmp_path, "pictures")
    expected, refused = load_images(folder)
    assert len(expected) == 41 and expected.label_names == ["cat", "dog"] and len(refused) == 2
    for source in (flat, around):
        images, others = load_images(source)
        assert images.names == expected.names
        assert images.label_names == expected.label_names
        np.testing.assert_array_equal(images.labels, expected.labels)
        assert images.digest() == expected.digest()
        assert others == refused
    config = {"limit": 20, "height": 5, "width": 6}
    of_folder, of_zip = (load(DataConfig(str(source), **config), seed=3) for source in (folder, around))
    for part in ("train", "validation", "test"):
        assert getattr(of_zip, part).names == getattr(of_folder, part).names
        assert getattr(of_zip, part).digest() == getattr(of_folder, part).digest()
    assert of_zip.description.startswith("20 pictures of zip file 'around.zip'")


def test_a_look_at_a_zip_file_reads_headers(folder, tmp_path):
    path = shutil.make_archive(tmp_path / "flat", "zip", folder)
    of_folder, of_zip = look(DataConfig(str(folder))), look(DataConfig(path))
    np.testing.assert_array_equal(of_zip.shapes, of_folder.shapes)
    assert of_zip.common_size is None and of_zip.count == 41


def test_nothing_leaves_the_archive(tmp_path, monkeypatch):
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    names = ("../out.png", "/etc/out.png", "a/../../out.png", "C:\\out.png", "..\\other.png")
    path = zipped(tmp_path / "a.zip", {"good.png": png(9), **{name: png(1) for name in names}})
    before = sorted(tmp_path.rglob("*"))
    images, refused = load_images(path)
    assert images.names == ["good.png"]
    assert [refusal.reason for refusal in refused] == ["its path leads out of the archive"] * len(names)
    assert sorted(tmp_path.rglob("*")) == before


def test_files_that_are_set_aside_are_named_with_their_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST", 5_000)
    link = zipfile.ZipInfo("link.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    squeezed = zipfile.ZipInfo("squeezed.png")
    squeezed.compress_type = zipfile.ZIP_BZIP2
    broken = png(3, (40, 40))
    path = zipped(
        tmp_path / "a.zip",
        {
            "good.png": png(9), link: "good.png", squeezed: png(1), "broken.png": broken, "notes.txt": "no picture",
            "large.png": bytes(5_001), "empty.png": b"", "__MACOSX/._good.png": b"a Macintosh's own",
        },
    )  # fmt: skip
    content = bytearray(path.read_bytes())
    place = content.index(b"broken.png") + len("broken.png")
    content[place + 20] ^= 0xFF
    path.write_bytes(content)
    images, refused = load_images(path)
    why = reasons(refused)
    assert images.names == ["good.png"] and (images[0] == 9).all()
    assert sorted(why) == ["broken.png", "empty.png", "large.png", "link.png", "notes.txt", "squeezed.png"]
    assert why["broken.png"].startswith("damaged: ")
    assert why["empty.png"] == "empty file"
    assert why["large.png"] == "larger than 5,000 bytes"
    assert "link" in why["link.png"] and "bzip2" in why["squeezed.png"] and "suffix '.txt'" in why["notes.txt"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_of_one_name_the_later_counts_as_when_a_zip_file_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.png", png(1))
        file.writestr("a.png", png(2))
    images, refused = load_images(tmp_path / "a.zip")
    assert images.names == ["a.png"] and (images[0] == 2).all()
    assert reasons(refused) == {"a.png": "a later file of the archive has the same name"}


def flagged(path, names, bit):
    """The archive with `bit` set among the flags of these members, in the local headers and the directory."""
    content = bytearray(path.read_bytes())
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(start)
        while place >= 0:
            length = struct.unpack_from("<H", content, place + (26 if offset == 6 else 28))[0]
            name = place + (30 if offset == 6 else 46)
            if content[name : name + length].decode() in names:
                content[place + offset] |= bit
            place = content.find(start, place + 4)
    path.write_bytes(content)
    return path


def test_passwords_are_not_asked_for(tmp_path):
    members = {"a.png": png(1), "b.png": png(2)}
    some = flagged(zipped(tmp_path / "some.zip", members), ["a.png"], archive.ENCRYPTED)
    images, refused = load_images(some)
    assert images.names == ["b.png"] and reasons(refused) == {"a.png": "protected by a password"}
    every = flagged(zipped(tmp_path / "every.zip", members), list(members), archive.ENCRYPTED)
    assert "is protected by a password" in one_line(every)


def test_archives_that_cannot_be_used_are_one_line_and_exit_code_2(tmp_path, capsys):
    whole = zipped(tmp_path / "whole.zip", {f"{index}.png": png(index) for index in range(9)}).read_bytes()
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "short.zip").write_bytes(whole[: len(whole) // 2])
    zipped(tmp_path / "empty.zip", {})
    zipped(tmp_path / "texts.zip", {"a.txt": "no picture", "b.png": "no picture"})
    assert "is no readable zip file" in one_line(tmp_path / "text.zip")
    assert "is no readable zip file" in one_line(tmp_path / "short.zip")
    assert "holds no file" in one_line(tmp_path / "empty.zip")
    assert "(2 files refused, for example a.txt: suffix '.txt'" in one_line(tmp_path / "texts.zip")
    for name in ("text", "texts"):
        words = ["--data", str(tmp_path / f"{name}.zip"), "--out", str(tmp_path / "run")]
        assert run_program("training", lambda words=words: main(words)) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
        assert not (tmp_path / "run").exists()


def test_an_archive_that_expands_beyond_measure_is_refused_unread(tmp_path, monkeypatch):
    path = zipped(tmp_path / "bomb.zip", {f"{index}.png": bytes(2**20) for index in range(4)})
    monkeypatch.setattr(archive, "MOST_BYTES", 2**21)
    monkeypatch.setattr(archive.Archive, "read", lambda *_: pytest.fail("a member was read"))
    assert f"would expand to {2**22:,} bytes" in one_line(path)


def test_a_member_that_is_larger_than_it_says_is_cut_off(tmp_path):
    """The size in the directory is 100 bytes; the compressed bytes make a gigabyte."""
    path = zipped(tmp_path / "a.zip", {"a.png": bytes(2**30)}, compresslevel=1)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, place + 24, 100)
    path.write_bytes(content)
    with archive.Archive(path) as opened:
        (member,) = opened.members
        peak = memory_peak(lambda: one_line(path))
    assert member.info.file_size == 100 and peak < 2**26
    assert "a.png: damaged: Bad CRC-32" in one_line(path)


def memory_peak(call):
    """The most bytes that Python's allocators held during a call."""
    import tracemalloc

    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["utf-8", "gb2312", "cp437"])
def test_names_are_read_as_the_program_that_wrote_them_meant(tmp_path, encoding):
    word = "Müller" if encoding == "cp437" else "山水画"
    raw = word.encode(encoding)
    # zipfile itself marks what is not ASCII as UTF-8; other programs write their own encoding, unmarked.
    path = zipped(tmp_path / "a.zip", {f"{'x' * len(raw)}/a.png": png(1), "b/b.png": png(2)})
    path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    images, _ = load_images(path)
    assert sorted(images.label_names) == sorted(["b", word])
    assert os.fspath(path).endswith(".zip") and f"{word}/a.png" in images.names
