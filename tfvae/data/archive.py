"""A zip file of pictures, read as the folder that it holds; nothing of it is written to the disk."""

import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from tfvae.data.folder import gather_files, wrong_suffix
from tfvae.data.gathering import Gathering, chosen
from tfvae.data.reading import Preparation
from tfvae.data.workers import look_at_pictures
from tfvae.decoding import UnreadableError
from tfvae.errors import UserError

SUFFIX = ".zip"
LARGEST = 2**28  # bytes of a member
# Pictures are compressed already. An archive that promises so much more than it weighs was made to do harm.
MOST_BYTES, MOST_EXPANSION = 2**32, 200
# zipfile asks these for no more than it wants; bzip2 and LZMA answer a few bytes with gigabytes.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
OTHER_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard"}
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError)
ENCRYPTED, NAMED_IN_UTF8 = 0x1, 0x800  # bits of a member's flags
# Encodings that programs use without saying so, the strict ones first: cp437, the standard's, decodes anything.
ENCODINGS = ("utf-8", "gb2312", "cp437")


@dataclass(frozen=True)
class Member:
    """A picture file in an archive. Its content is read when its turn comes, so that few are in memory at once."""

    name: str
    info: zipfile.ZipInfo = field(repr=False)
    archive: "Archive" = field(repr=False)

    @property
    def data(self) -> bytes:
        """The content. Raises `UnreadableError` when it is damaged."""
        return self.archive.read(self.info)


class Archive:
    """What lies in a zip file: `members`, its pictures as far as names tell, and `others`, each with the reason.

    Both are in the order of a folder, and hidden files are left out as there. One folder around everything, which most
    programs make of the folder that was zipped, is no part of the names.

    Args:
        path: The file.

    Raises:
        UserError: No zip file, a damaged or empty one, one with a password, or one that would expand beyond measure.
    """

    def __init__(self, path: Path):
        try:
            self.file = zipfile.ZipFile(path)
        except DAMAGE as error:
            raise UserError(f"data.source: '{path}' is no readable zip file ({_line(error)}).") from error
        self.lock = threading.Lock()  # several threads read one file
        files = _files(self.file)
        if not files:
            raise UserError(f"data.source: zip file '{path}' holds no file.")
        if all(info.flag_bits & ENCRYPTED for _, info in files):
            raise UserError(f"data.source: zip file '{path}' is protected by a password. Accepted: one without.")
        promised = sum(info.file_size for _, info in files)
        if promised > max(MOST_BYTES, MOST_EXPANSION * path.stat().st_size):
            raise UserError(
                f"data.source: zip file '{path}' would expand to {promised:,} bytes, more than {MOST_EXPANSION} "
                "times its size. Accepted: an archive of pictures."
            )
        last = dict(files)
        self.members: list[Member] = []
        self.others: list[tuple[str, str]] = []
        for name, info in files:
            reason = "a later file of the archive has the same name" if last[name] is not info else _problem(name, info)
            if reason:
                self.others.append((name, reason))
            else:
                self.members.append(Member(name, info, self))

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """The content of a member. Raises `UnreadableError` when it is damaged."""
        try:
            with self.lock, self.file.open(info) as content:
                # With the size it is never more than that; without, whatever the compressed bytes make.
                return content.read(info.file_size)
        except DAMAGE as error:
            raise UnreadableError(f"damaged: {_line(error)}") from None


def gather_archive(path: Path, into: Gathering, limit: int, seed: int) -> None:
    """Every picture in a zip file, as `gather_folder` has those of the folder that was zipped."""
    with Archive(path) as archive:
        for name, reason in archive.others:
            into.refuse(name, reason)
        members = [archive.members[index] for index in chosen(len(archive.members), limit, seed)]
        count = gather_files(members, into, lambda member: member.name, f"'{path}'")
    into.description = f"{count:,} pictures of zip file '{path.name}'"


def look_at_archive(path: Path, how: Preparation, limit: int, seed: int) -> np.ndarray:
    """`(height, width, channels)` from the headers of the readable pictures, shape `(n, 3)`."""
    with Archive(path) as archive:
        return look_at_pictures((archive.members[index] for index in chosen(len(archive.members), limit, seed)), how)


def _files(file: zipfile.ZipFile) -> list[tuple[str, zipfile.ZipInfo]]:
    """The files that are not hidden, by name, in the order in which a folder's are walked."""
    found = [(_parts(info), info) for info in file.infolist() if not info.is_dir()]
    found = [(parts, info) for parts, info in found if not any(part.startswith(".") and part != ".." for part in parts)]
    found.sort(key=lambda pair: pair[0])
    around = {parts[0] for parts, _ in found if len(parts) > 1} if all(len(parts) > 1 for parts, _ in found) else set()
    start = 1 if len(around) == 1 and not around & {"", ".."} else 0
    return [("/".join(parts[start:]), info) for parts, info in found]


def _parts(info: zipfile.ZipInfo) -> tuple[str, ...]:
    """The folders and the name of a member; the first is empty where the path is absolute."""
    name = info.filename
    if not info.flag_bits & NAMED_IN_UTF8:
        name = next(text for text in _decoded(name.encode("cp437")) if text is not None)
    first, *others = name.replace("\\", "/").split("/")
    return (*([] if first == "." else [first]), *(part for part in others if part not in ("", ".")))


def _decoded(name: bytes) -> Iterator[str | None]:
    for encoding in ENCODINGS:
        try:
            yield name.decode(encoding)
        except UnicodeDecodeError:
            yield None


def _problem(name: str, info: zipfile.ZipInfo) -> str:
    """Why a file is not read, or ""."""
    parts = name.split("/")
    if ".." in parts or not parts[0] or parts[0].endswith(":"):
        return "its path leads out of the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link, of which an archive has only the text"
    if reason := wrong_suffix(PurePosixPath(name)):
        return reason
    if info.flag_bits & ENCRYPTED:
        return "protected by a password"
    if info.compress_type not in METHODS:
        method = OTHER_METHODS.get(info.compress_type, f"method {info.compress_type}")
        return f"compressed by {method}; stored and deflated files are read"
    if info.file_size > LARGEST:
        return f"larger than {LARGEST:,} bytes"
    return ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
