"""Mutated files of every kind that is read back: refused in one line or read, with no traceback, crash or hang.

Mutations are seeded. A few of each kind are among the usual tests, 2,000 among the slow ones.
"""

import base64
import io
import json
import os
import random
import shutil
import time
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny_runs import vector_vae, write_run

from export import checksums, evidence
from export.verify import _evidence
from tfvae.data import DataConfig, encrypted, load
from tfvae.errors import UserError
from tfvae.runs import open_run
from training import checkpoint, encrypt, journal, watch
from training.request import resumed

FEW, MANY = 20, 2000
LIMIT = 120.0  # seconds that one file may take, on a machine that does much else
MEANINGFUL = [b"", b"\0", b"\xff", b"[", b"{", b'"', b"\n", b",", b"1e999", b"-1", b"nan", b"9" * 5000, b"\x80" * 8]


def mutated(content, rng):
    """`content` with bytes changed, cut out, doubled, exchanged, or put in."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        kind, place = rng.randrange(6), rng.randrange(len(data) + 1)
        end = min(len(data), place + rng.choice((1, 4, 16, 256)))
        if kind == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1 and place < len(data):
            data[place] = rng.randrange(256)
        elif kind == 2:
            del data[place:end]
        elif kind == 3:
            data[place:place] = data[place:end]
        elif kind == 4:
            data[place:end] = rng.choice(MEANINGFUL)
        elif rng.random() < 0.3:
            del data[place:]
    return bytes(data)


def members_mutated(content, rng):
    """A zip file one of whose members is mutated, and whose check sums fit."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    members[name] = mutated(members[name], rng)
    again = io.BytesIO()
    with zipfile.ZipFile(again, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return again.getvalue()


class Config:
    """`config.toml`, as commands read it and as `--resume` does."""

    def __init__(self, folder):
        self.path = write_run(folder / "run", vector_vae()) / "config.toml"

    def read(self):
        run = open_run(self.path.parent)
        assert isinstance(run.data_config, DataConfig) and run.seed >= 0
        resumed(self.path.parent, None).toml()


class Metrics:
    def __init__(self, folder):
        self.path = folder / "metrics.csv"
        self.path.write_text("epoch,step,loss,skipped\r\n" + "".join(f"{n},{6 * n},{100 / n},0\r\n" for n in (1, 2, 3)))

    def read(self):
        assert all(row["epoch"] >= 0 for row in journal.read_rows(self.path))


class Health:
    def __init__(self, folder):
        self.path = folder / "health.json"
        rows = [{"epoch": n, "loss": 1.5, "findings": [], "active_units": 3} for n in (1, 2)]
        self.path.write_text(json.dumps({"first_skip": None, "epochs": rows}))

    def read(self):
        watch.read(self.path.parent)


class Checkpoint:
    """The newest of two: the older one is read instead, or the newest is what it was."""

    mutate = staticmethod(lambda content, rng: rng.choice((mutated, members_mutated))(content, rng))

    def __init__(self, folder):
        self.model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        self.model.compile(keras.optimizers.SGD(), "mse")
        self.model.optimizer.build(self.model.trainable_variables)
        with checkpoint.Checkpoints(folder / "checkpoints", self.model) as saved:
            saved.save({"step": 1})
            saved.save({"step": 2})
        self.path = folder / "checkpoints" / "step-00000002.npz"

    def read(self):
        progress = checkpoint.Checkpoints(self.path.parent, self.model).restore()
        assert isinstance(progress, dict)


class KerasFile:
    """A model of two layers: most mutations are refused before any is built."""

    mutate = staticmethod(lambda content, rng: (members_mutated if rng.random() < 0.1 else mutated)(content, rng))

    def __init__(self, folder):
        self.path = folder / "model.keras"
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(self.path)

    def read(self):
        open_run(self.path).load_model()


class Shard:
    """A shard or the index of encrypted data; what is read is what was encrypted."""

    key = bytes(range(32))

    def __init__(self, folder):
        (folder / "pictures").mkdir()
        for index in range(3):
            (folder / "pictures" / f"{index}.png").write_bytes(bytes([index]) * 40)
        (folder / "key").write_text(base64.b64encode(self.key).decode())
        encrypt.seal_folder(folder / "pictures", folder / "shards", folder / "key")
        self.path = folder / "shards" / encrypted.shard_name(0)

    def read(self):
        _, contents = encrypted.pictures(self.path.parent, self.key)
        assert [content.data for content in contents] == [bytes([index]) * 40 for index in range(3)]


class Index(Shard):
    def __init__(self, folder):
        super().__init__(folder)
        self.path = self.path.with_name(encrypted.INDEX)


class Bundle:
    """A file of a bundle, behind sums that are renewed or not."""

    renewed = False

    def __init__(self, folder):
        place = folder / "bundle" / evidence.FOLDER
        place.mkdir(parents=True)
        images = np.ones((2, 4, 4, 1), np.float32)
        np.savez_compressed(place / evidence.ARRAYS, a=images)
        case = {"case": "0", "inputs": {"image": "a"}, "outputs": {"image": "a"}}
        held = {"reconstruct": {"measure": "max_abs", "limit": 1e-4}}
        cases = {"reconstruct": [case]}
        index = {"images": "a", "default": "reconstruct", "cases": cases, "artefacts": {"autoencoder.tflite": held}}
        (place / evidence.INDEX).write_text(json.dumps(index))
        (folder / "bundle" / "autoencoder.tflite").write_bytes(bytes(100))
        checksums.write(folder / "bundle")
        self.folder, self.path = folder / "bundle", place / evidence.INDEX
        _evidence(self.folder)

    def read(self):
        if self.renewed:
            checksums.write(self.folder)
        assert checksums.check(self.folder)
        assert self.renewed, "a mutation was not noticed"
        _evidence(self.folder)


class Sums(Bundle):
    def __init__(self, folder):
        super().__init__(folder)
        self.path = self.folder / checksums.SUMS


class RenewedIndex(Bundle):
    renewed = True


class RenewedArrays(RenewedIndex):
    mutate = Checkpoint.mutate

    def __init__(self, folder):
        super().__init__(folder)
        self.path = self.path.with_name(evidence.ARRAYS)


class Arrays:
    """`.npz` data."""

    mutate = Checkpoint.mutate

    def __init__(self, folder):
        self.path = folder / "x.npz"
        np.savez_compressed(self.path, x=np.arange(320, dtype=np.uint8).reshape(5, 8, 8), y=np.arange(5))

    def read(self):
        load(DataConfig(str(self.path)))


KINDS = [
    *(Config, Metrics, Health, Checkpoint, KerasFile, Arrays),
    *(Shard, Index, Bundle, Sums, RenewedIndex, RenewedArrays),
]


def fuzz(kind, folder, count, seed):
    rng = random.Random(seed)
    target = kind(folder)
    target.read() if kind not in (Bundle, Sums) else None
    whole = target.path.read_bytes()
    outcomes = {"read": 0, "refused": 0}
    for number in range(count):
        content = whole
        while content == whole:
            content = getattr(kind, "mutate", mutated)(whole, rng)
        target.path.write_bytes(content)
        began = time.monotonic()
        try:
            target.read()
            outcomes["read"] += 1
        except UserError as error:
            assert "\n" not in str(error), f"{kind.__name__}, mutation {number}: {error}"
            outcomes["refused"] += 1
        except Exception as error:
            kept = Path(os.environ.get("TFVAE_FUZZ_KEEP", folder), f"{kind.__name__}-{seed}-{number}")
            shutil.copy(target.path, kept)
            raise AssertionError(f"{kind.__name__}, seed {seed}, mutation {number}: {error!r}") from error
        assert time.monotonic() - began < LIMIT, f"{kind.__name__}, mutation {number} hangs"
    assert outcomes["refused"] > count / 4 or kind is Checkpoint, outcomes  # which reads the older one


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_mutations_of_every_kind_of_file(kind, tmp_path):
    fuzz(kind, tmp_path, FEW, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_thousand_mutations_of_every_kind_of_file(kind, tmp_path):
    fuzz(kind, tmp_path, MANY, seed=2)
