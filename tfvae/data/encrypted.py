"""Encrypted data sets: pictures encrypted one by one with AES-256-GCM in TFRecord shards, opened in memory only.

A folder of shards holds `shard-00000.tfrecord.sealed`, … and `index.tfrecord.sealed`, which is written last. Record 0
of each file is its header, in the clear: format, number of the file, a random id of the data set, and a check value of
the key. Every further record is

    nonce (12 random bytes) ‖ AES-256-GCM(key, nonce, name ‖ picture file, associated data)

whose associated data are the header and the record's number, so that no record can be moved, left out or exchanged
unnoticed; the encrypted index says how many records each shard has, so that none can be cut off. In the clear are the
number of pictures and the size of each. TFRecord's own check sums find accidents, the seal finds intent. Random nonces
allow 2**32 records with one key.

Reference:
    NIST SP 800-38D (2007), Galois/Counter Mode, sections 8.2.2 and 8.3
"""

import hashlib
import hmac
import json
import os
import secrets
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfvae.data.data_key import read_key
from tfvae.data.gathering import Gathering, chosen
from tfvae.data.reading import Preparation
from tfvae.data.workers import Content, look_at_pictures, read_pictures
from tfvae.errors import UserError

NONCE_BYTES, CHECK_BYTES = 12, 8
SUFFIX = ".tfrecord.sealed"
INDEX = f"index{SUFFIX}"
INDEX_NUMBER = 2**32 - 1  # in the header, where a shard has its own number
MAGIC = b"tfvae sealed 1\0\0"
HEADER = struct.Struct(">16sI16s8s")  # magic, number of the file, id of the data set, check value of the key
LENGTH = struct.Struct(">I")  # of a name
# A record of a TFRecord file: its length and the check sum of that, the bytes, and their check sum.
FRAME, FRAME_END = struct.Struct("<QI"), 4
# Pixels stay in memory, once for NumPy and once for TensorFlow; the rest is for the model.
SHARE_OF_MEMORY = 1 / 3


def is_encrypted(folder: Path) -> bool:
    """Whether a folder holds shards."""
    return folder.is_dir() and any(folder.glob(f"*{SUFFIX}"))


class Seal:
    """Seals and opens the records of one file of a data set.

    Args:
        key: 32 bytes.
        dataset: Random id of the data set, 16 bytes.
        number: Of the shard; `INDEX_NUMBER` for the index.
    """

    def __init__(self, key: bytes, dataset: bytes, number: int):
        self.cipher = _aes_gcm(key)
        # It distinguishes a wrong key from changed bytes, and says nothing about the key.
        check = hmac.digest(key, b"tfvae key check" + dataset, hashlib.sha256)[:CHECK_BYTES]
        self.header = HEADER.pack(MAGIC, number, dataset, check)

    def close(self, record: int, content: bytes) -> bytes:
        """The encrypted form of record `record` (from 1)."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self.cipher.encrypt(nonce, content, self._bound(record))

    def open(self, record: int, encrypted: bytes) -> bytes:
        """What was encrypted as record `record`. Raises `ValueError` when it was not encrypted so, with this key."""
        from cryptography.exceptions import InvalidTag

        try:
            return self.cipher.decrypt(encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:], self._bound(record))
        except (InvalidTag, ValueError):
            raise ValueError(
                f"`encrypted` is not record {record} of this file. Received: {len(encrypted)} bytes"
            ) from None

    def _bound(self, record: int) -> bytes:
        return self.header + struct.pack(">Q", record)


def pack(name: str, content: bytes) -> bytes:
    """Name and content of a picture file in one record."""
    words = name.encode("utf-8", "surrogateescape")
    return LENGTH.pack(len(words)) + words + content


def unpack(record: bytes) -> tuple[str, bytes]:
    """The inverse of `pack`."""
    (length,) = LENGTH.unpack_from(record)
    start = LENGTH.size
    return record[start : start + length].decode("utf-8", "surrogateescape"), record[start + length :]


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"shard-{number:05d}{SUFFIX}"


def pictures(folder: Path, key: bytes, limit: int = 0, seed: int = 0) -> tuple[int, Iterator[Content]]:
    """How many pictures will come, and the pictures: name within the original folder, and file content.

    Args:
        folder: Of the shards.
        key: 32 bytes.
        limit: At most so many, a random subset (0: all).
        seed: Of the subset.

    Raises:
        UserError: Wrong key, changed, missing, added or misplaced records or shards; it names shard and record.
    """
    counts, dataset = _read_index(folder, key)
    wanted = np.zeros(sum(counts), bool)
    wanted[chosen(len(wanted), limit, seed)] = True

    def read() -> Iterator[Content]:
        place = 0
        for number, count in enumerate(counts):
            for content in _records(folder / shard_name(number), Seal(key, dataset, number), count):
                if wanted[place]:
                    yield Content(*unpack(content))
                place += 1

    extra = sorted({path.name for path in folder.glob(f"*{SUFFIX}")} - {INDEX, *map(shard_name, range(len(counts)))})
    if extra:
        raise UserError(f"data.source: '{folder / extra[0]}' is no shard of this data set.")
    return int(wanted.sum()), read()


def gather_encrypted(folder: Path, into: Gathering, limit: int, seed: int, key_file: str) -> None:
    """Every picture of an encrypted folder, as `gather_folder` has them; neither files nor pixels touch a disk."""
    total, contents = pictures(folder, read_key(key_file), limit, seed)
    into.writer.ram_limit = sys.maxsize
    most = int(SHARE_OF_MEMORY * _free_memory())
    read: list[str] = []
    for done, (content, result) in enumerate(read_pictures(contents, into.how, noted=into.noted), start=1):
        name = content.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if isinstance(result, str):
            into.refuse(name, result)
        else:
            into.add_prepared(result, name)
            read.append(name)
        if into.writer.size > most:
            raise UserError(
                f"data.source: pixels of encrypted pictures stay in memory, and those of '{folder}' are more than "
                f"{most / 2**30:.1f} GiB, a third of what is free. Accepted: data.height and data.width, "
                "data.max_side, or data.limit."
            )
        into.progress(done, total)
    into.refused.sort(key=lambda refusal: refusal.name)
    if not read:
        first = f", for example {into.refused[0].name}: {into.refused[0].reason}" if into.refused else ""
        raise UserError(f"data.source: no picture could be read in '{folder}' ({len(into.refused):,} refused{first}).")
    into.label_by_folder(read)
    into.description = f"{len(read):,} pictures of encrypted folder '{folder.name or folder}'"


def look_at_encrypted(folder: Path, how: Preparation, limit: int, seed: int, key_file: str) -> np.ndarray:
    """`(height, width, channels)` from the headers of the readable pictures, shape `(n, 3)`."""
    _, contents = pictures(folder, read_key(key_file), limit, seed)
    return look_at_pictures(contents, how)


def _read_index(folder: Path, key: bytes) -> tuple[list[int], bytes]:
    """Records of each shard, and the id of the data set."""
    path = folder / INDEX
    if not path.is_file():
        raise UserError(f"data.source: '{folder}' has no {INDEX}: its sealing did not end, or the file was lost.")
    dataset = dataset_of(path)
    if dataset is None:
        raise UserError(f"data.source: '{path}', record 0: not the header of an encrypted file.")
    (content,) = _records(path, Seal(key, dataset, INDEX_NUMBER), 1)
    return json.loads(content)["records"], dataset


def _records(path: Path, seal: Seal, count: int) -> Iterator[bytes]:
    """The opened records of one file, which must be all there."""
    if not path.is_file():
        raise UserError(f"data.source: shard '{path}' is missing.")
    seen = -1
    for seen, record in enumerate(_raw(path)):
        if seen == 0:
            _check_header(path, record, seal.header)
            continue
        if seen > count:
            raise UserError(f"data.source: '{path}', record {seen}: one more than were encrypted.")
        try:
            yield seal.open(seen, record)
        except ValueError:
            raise UserError(
                f"data.source: '{path}', record {seen}: changed since it was encrypted, or moved."
            ) from None
    if seen < count:
        raise UserError(f"data.source: '{path}', record {seen + 1}: missing; the file was cut short.")


def dataset_of(path: Path) -> bytes | None:
    """The id of the data set that a file says, in the clear, it belongs to; None for one that is no such file."""
    with path.open("rb") as file:
        header = file.read(FRAME.size + HEADER.size)[FRAME.size :]
    return HEADER.unpack(header)[2] if len(header) == HEADER.size and header.startswith(MAGIC) else None


def _check_header(path: Path, header: bytes, expected: bytes) -> None:
    if header == expected:
        return
    if len(header) == HEADER.size and header[:-CHECK_BYTES] == expected[:-CHECK_BYTES]:
        raise UserError(f"data.source: '{path}', record 0: encrypted with another key than the one given.")
    raise UserError(f"data.source: '{path}', record 0: the header is another file's, or was changed.")


def _raw(path: Path) -> Iterator[bytes]:
    """The records of a TFRecord file; damage that its check sums show is named."""
    import tensorflow as tf

    _check_lengths(path)
    number = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield record
            number += 1
    except tf.errors.OpError as error:
        what = "damaged or cut short" if isinstance(error, tf.errors.DataLossError) else "cannot be read"
        raise UserError(
            f"data.source: '{path}', record {number}: {what} ({error.message.splitlines()[0][:100]})."
        ) from error


def _check_lengths(path: Path) -> None:
    """Raises `UserError` where a record of a TFRecord file claims to be longer than what is left of the file.

    TensorFlow's reader asks for as much memory as a record claims, before any of it is read or its seal looked at.
    """
    left = path.stat().st_size
    with path.open("rb") as file:
        number = 0
        while left:
            head = file.read(FRAME.size)
            length = FRAME.unpack(head)[0] if len(head) == FRAME.size else left
            left -= FRAME.size + length + FRAME_END
            if left < 0:
                raise UserError(f"data.source: '{path}', record {number}: damaged or cut short.")
            file.seek(length + FRAME_END, os.SEEK_CUR)
            number += 1


def _aes_gcm(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise UserError("encrypted data need cryptography: pip install 'tfvae[private]'.") from error
    return AESGCM(key)


def _free_memory() -> int:
    """Bytes of memory that are free; without bound where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return sys.maxsize
