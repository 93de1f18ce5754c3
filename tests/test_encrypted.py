"""Encrypted data sets: what is encrypted comes back the same, and nothing else opens it or shows it."""

import base64
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvae import cli
from tfvae.data import DataConfig, data_key, encrypted, load, load_images, look
from tfvae.data.reading import Preparation
from tfvae.data.workers import Content, read_pictures
from tfvae.errors import UserError, run_program
from training import encrypt
from training.__main__ import main

KEY = bytes(range(32))
SECRET_NAME = "patient-miller"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eighteen pictures in two labelled folders, one picture that cannot be read, and a file that is none."""
    path = tmp_path_factory.mktemp("private") / "pictures"
    rng = np.random.default_rng(0)
    for index in range(18):
        file = path / ("healthy", "ill")[index % 2] / f"{SECRET_NAME}-{index:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(file)
    (path / "ill" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    (path / "notes.txt").write_text("not a picture")
    return path


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "data.key"
    path.write_text(base64.b64encode(KEY).decode())
    return path


@pytest.fixture(scope="module")
def encrypted_once(folder, key_file, tmp_path_factory):
    """The folder in shards of about six pictures."""
    path = tmp_path_factory.mktemp("shards") / "shards"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encrypt, "SHARD_BYTES", 6 * (folder / "ill" / f"{SECRET_NAME}-01.png").stat().st_size)
        assert run("encrypt", folder, "-o", path, "--key-file", key_file) == 0
    return path


@pytest.fixture
def shards(encrypted_once, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(encrypted_once, tmp_path / "shards")


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv(data_key.KEY_VARIABLE, raising=False)


def run(*words):
    return run_program("training", lambda: main([str(word) for word in words]))


def raw(path):
    return list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())


def rewrite(path, records):
    """With check sums that fit: what somebody does who means it."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def refusal(path, key=KEY):
    with pytest.raises(UserError) as caught:
        list(encrypted.pictures(path, key)[1])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def flipped(record, byte):
    return record[:byte] + bytes([record[byte] ^ 1]) + record[byte + 1 :]


def same(one, other):
    assert one.names == other.names
    assert one.label_names == other.label_names
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.shapes, other.shapes)
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("limit", [0, 7])
def test_training_from_shards_is_training_from_the_folder(folder, encrypted_once, key_file, limit):
    plain = load(DataConfig(source=str(folder), limit=limit), seed=3)
    opened = load(DataConfig(source=str(encrypted_once), key_file=str(key_file), limit=limit), seed=3)
    for part in ("train", "validation", "test"):
        same(getattr(plain, part), getattr(opened, part))
    unreadable = [refused for refused in plain.refused if refused.name != "notes.txt"]  # never encrypted
    assert opened.refused == unreadable


def test_a_quick_look_sees_what_it_sees_in_the_folder(folder, encrypted_once, key_file):
    plain = look(DataConfig(source=str(folder)))
    opened = look(DataConfig(source=str(encrypted_once), key_file=str(key_file)))
    np.testing.assert_array_equal(plain.shapes, opened.shapes)


def test_there_are_several_shards_and_nothing_of_the_pictures_shows_in_them(folder, encrypted_once):
    files = sorted(encrypted_once.iterdir())
    assert [file.name for file in files] == ["index.tfrecord.sealed", *(encrypted.shard_name(n) for n in range(3))]
    bytes_of_all = b"".join(file.read_bytes() for file in files)
    content = (folder / "ill" / f"{SECRET_NAME}-01.png").read_bytes()
    for word in (b"PNG", b"IDAT", b"IHDR", SECRET_NAME.encode(), b"healthy", b"ill/", content[16:40], KEY):
        assert word not in bytes_of_all
    # All 256 values are about equally frequent, where those of PNG files are not.
    ciphertext = b"".join(record for file in files for record in raw(file)[1:])
    counts = np.bincount(np.frombuffer(ciphertext, np.uint8), minlength=256)
    assert counts.max() < 4 * counts.mean()


def test_sealing_twice_gives_other_bytes(folder, encrypted_once, key_file, tmp_path):
    assert run("encrypt", folder, "-o", tmp_path / "again", "--key-file", key_file) == 0
    once, again = raw(encrypted_once / encrypted.shard_name(0)), raw(tmp_path / "again" / encrypted.shard_name(0))
    assert once[0] != again[0] and once[1][:12] != again[1][:12]
    nonces = [record[:12] for file in encrypted_once.iterdir() for record in raw(file)[1:]]
    assert len(set(nonces)) == len(nonces) > 18


def test_another_key_is_told_from_changed_bytes(encrypted_once):
    message = refusal(encrypted_once, bytes(32))
    assert "record 0: encrypted with another key" in message and encrypted.INDEX in message


@pytest.mark.parametrize("byte", [0, 5, 11, 12, 20, 60, -16, -1])
def test_a_changed_byte_names_shard_and_record(shards, byte):
    """Nonce, name, content and tag, by somebody who mends the check sums."""
    path = shards / encrypted.shard_name(1)
    records = raw(path)
    records[3] = flipped(records[3], byte % len(records[3]))
    rewrite(path, records)
    assert f"{path}', record 3: changed since it was encrypted" in refusal(shards)


@pytest.mark.parametrize("byte", [0, 15, 16, 19, 20, 35])
@pytest.mark.parametrize("name", [encrypted.INDEX, encrypted.shard_name(0)])
def test_a_changed_header_is_found(shards, byte, name):
    path = shards / name
    header, *records = raw(path)
    rewrite(path, [flipped(header, byte), *records])
    message = refusal(shards)
    assert str(path) in message and "record 0" in message


def test_accidental_damage_names_shard_and_record(shards):
    path = shards / encrypted.shard_name(1)
    content = bytearray(path.read_bytes())
    third = content.index(raw(path)[3])
    content[third + 30] ^= 8
    path.write_bytes(content)
    assert f"{path}', record 3: damaged" in refusal(shards)


def test_records_cannot_change_places(shards):
    path = shards / encrypted.shard_name(0)
    header, *records = raw(path)
    records[0], records[1] = records[1], records[0]
    rewrite(path, [header, *records])
    assert f"{path}', record 1: changed since it was encrypted, or moved" in refusal(shards)


def test_records_and_shards_cannot_be_exchanged(shards):
    one, two = (shards / encrypted.shard_name(number) for number in (0, 1))
    first, second = raw(one), raw(two)
    rewrite(one, [*first[:2], second[2], *first[3:]])
    assert f"{one}', record 2: changed since it was encrypted, or moved" in refusal(shards)
    rewrite(one, second)
    assert f"{one}', record 0" in refusal(shards)


def test_a_record_of_another_data_set_with_the_same_key_does_not_fit(folder, shards, key_file, tmp_path):
    assert run("encrypt", folder, "-o", tmp_path / "other", "--key-file", key_file) == 0
    path = shards / encrypted.shard_name(0)
    rewrite(path, [*raw(path)[:1], raw(tmp_path / "other" / encrypted.shard_name(0))[1], *raw(path)[2:]])
    assert f"{path}', record 1" in refusal(shards)


def test_nothing_can_be_cut_off_or_added(shards):
    path = shards / encrypted.shard_name(1)
    whole = raw(path)
    rewrite(path, whole[:-1])
    assert f"{path}', record {len(whole) - 1}: missing" in refusal(shards)
    path.write_bytes(b"")
    assert f"{path}', record 0: missing" in refusal(shards)
    rewrite(path, [*whole, whole[-1]])
    assert f"{path}', record {len(whole)}: one more than were encrypted" in refusal(shards)
    rewrite(path, whole)
    path.write_bytes(path.read_bytes()[:-5])
    assert f"{path}', record {len(whole) - 1}: damaged or cut short" in refusal(shards)


def masked_crc(data):
    """Check sum of a TFRecord file (CRC-32C, turned and shifted)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("claimed", [2**40, 2**63, 10**6])
def test_a_record_that_claims_more_bytes_than_the_file_has_is_refused_before_memory_is_asked_for(shards, claimed):
    path = shards / encrypted.shard_name(1)
    whole, start = path.read_bytes(), encrypted.HEADER.size + 16
    length = struct.pack("<Q", claimed)
    path.write_bytes(whole[:start] + length + struct.pack("<I", masked_crc(length)) + whole[start + 12 :])
    assert f"{path}', record 1: damaged or cut short" in refusal(shards)


def test_missing_and_foreign_files_are_named(shards):
    last = shards / encrypted.shard_name(2)
    last.rename(shards / encrypted.shard_name(4))
    assert encrypted.shard_name(4) in refusal(shards)
    (shards / encrypted.shard_name(4)).unlink()
    assert f"shard '{last}' is missing" in refusal(shards)
    (shards / encrypted.INDEX).unlink()
    assert "its sealing did not end" in refusal(shards)


def test_a_new_key_is_its_owners_alone_and_overwrites_none(tmp_path, capsys):
    path = tmp_path / "new.key"
    assert run("encrypt", "--new-key", path) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = data_key.read_key(path)
    assert path.read_text().strip() not in capsys.readouterr().out
    assert run("encrypt", "--new-key", path) == 2
    assert data_key.read_key(path) == key


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "needs FOLDER and -o SHARDS"),
        (["{folder}"], "needs FOLDER and -o SHARDS"),
        (["{folder}/nowhere", "-o", "{tmp}/s"], "is no folder"),
        (["{folder}", "-o", "{folder}"], "is not empty"),
        (["{folder}", "-o", "{tmp}/s"], "TFVAE_DATA_KEY"),
        (["{folder}", "-o", "{tmp}/s", "--key", "abc"], "unknown option '--key'"),
        (["{tmp}", "-o", "{tmp}/s", "--key-file", "{key}"], "no picture could be read"),
    ],
)
def test_requests_that_cannot_be_met_leave_nothing(folder, key_file, tmp_path, capsys, words, part):
    given = [word.format(folder=folder, tmp=tmp_path, key=key_file) for word in words]
    assert run("encrypt", *given) == 2
    error = capsys.readouterr().err
    assert part in error and error.count("\n") == 1
    assert not list(tmp_path.rglob("*.encrypted")) + list(tmp_path.rglob("*.part"))


def test_pictures_in_memory_are_read_as_files_are(folder, tmp_path):
    paths = sorted(folder.rglob("*.png"))
    (tmp_path / "empty.png").write_bytes(b"")
    paths.append(tmp_path / "empty.png")
    contents = [Content(path.name, path.read_bytes()) for path in paths]
    by_path = [result for _, result in read_pictures(paths, Preparation())]
    by_content = [result for _, result in read_pictures(contents, Preparation())]
    for one, other in zip(by_path, by_content, strict=True):
        assert type(one) is type(other) and np.array_equal(one, other)
    reasons = [result for result in by_content if isinstance(result, str)]
    assert reasons[-1] == "empty file" and any("PNG" in reason for reason in reasons)


def test_pixels_of_sealed_pictures_never_become_a_file(encrypted_once, key_file, monkeypatch):
    """Other sources move to a mapped file when they are many: these stay, or are refused where they do not fit."""
    monkeypatch.setattr("tfvae.data.images.RAM_LIMIT", 0)
    monkeypatch.setattr("tfvae.data.images.ImagesWriter._new_file", lambda self: pytest.fail("a file was made"))
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda *a, **k: pytest.fail("a file was made"))
    config = DataConfig(source=str(encrypted_once), key_file=str(key_file))
    images, _ = load_images(encrypted_once, like=config)
    assert len(images) == 18 and not images.mapped
    monkeypatch.setattr(encrypted, "_free_memory", lambda: 1000)
    with pytest.raises(UserError, match="stay in memory"):
        load_images(encrypted_once, like=config)


@pytest.mark.slow
def test_a_run_learns_from_shards_and_is_evaluated_on_them(folder, encrypted_once, tmp_path, monkeypatch, capsys):
    """As a user does it: in processes of their own, the key in the environment, a temporary folder that is searched."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, data_key.KEY_VARIABLE: KEY.hex(), "TMPDIR": str(scratch)}
    settings = ["model.network=mlp", "model.widths=[8]", "model.latent_dim=2", "training.epochs=1"]
    settings += ["prior.kind=standard_normal"]
    flags = [word for setting in settings for word in ("--set", setting)]
    out = tmp_path / "run"
    train = [sys.executable, "-m", "training", "--data", str(encrypted_once), "--out", str(out), *flags]
    done = subprocess.run(train, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    measure = [sys.executable, "-m", "tfvae", "evaluate", str(out)]
    measured = subprocess.run(measure, env=environment, capture_output=True, text=True)
    assert measured.returncode == 0 and "elbo" in measured.stdout, measured.stderr
    key = {KEY, KEY.hex().encode(), base64.b64encode(KEY)}
    for file in (*out.rglob("*"), *scratch.rglob("*")):
        content = file.read_bytes() if file.is_file() else b""
        assert not any(form in content for form in key), file
    pixels = np.asarray(Image.open(folder / "ill" / f"{SECRET_NAME}-01.png")).tobytes()
    for file in (path for path in scratch.rglob("*") if path.is_file()):
        assert pixels not in file.read_bytes() and b"IHDR" not in file.read_bytes()
    monkeypatch.delenv(data_key.KEY_VARIABLE, raising=False)
    assert cli.main(["evaluate", str(out)]) == 2
    refused = capsys.readouterr().err
    assert refused.count("\n") == 1 and data_key.KEY_VARIABLE in refused


def test_a_decoder_does_not_inherit_the_key(folder, tmp_path, monkeypatch):
    monkeypatch.setenv(data_key.KEY_VARIABLE, KEY.hex())
    script = tmp_path / "worker.py"
    script.write_text(
        "import os, struct, sys\n"
        "reply = struct.Struct('>BIIIQI')\n"
        "out = sys.stdout.buffer\n"
        "out.write(reply.pack(2, 0, 0, 0, 0, 0)); out.flush()\n"
        "for line in sys.stdin:\n"
        f"    word = os.environ.get({data_key.KEY_VARIABLE!r}, 'no key').encode()\n"
        "    out.write(reply.pack(1, 0, 0, 0, len(word), 0) + word); out.flush()\n"
    )
    picture = next(folder.rglob("*.png"))
    ((_, answer),) = read_pictures([picture], Preparation(), script=str(script))
    assert answer == "no key"


def test_without_cryptography_one_line_says_what_to_install(encrypted_once, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    assert "pip install 'tfvae[private]'" in refusal(encrypted_once)


def test_names_of_any_bytes_survive():
    name = b"caf\xe9/\xff.png".decode("utf-8", "surrogateescape")
    assert encrypted.unpack(encrypted.pack(name, b"\0content")) == (name, b"\0content")
    assert struct.unpack_from(">I", encrypted.pack(name, b""))[0] == len(b"caf\xe9/\xff.png")
