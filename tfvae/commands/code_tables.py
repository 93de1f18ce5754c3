"""Tables of codes, written in portions, whole or not at all: `.npz`, `.csv`, `.parquet`."""

import contextlib
import csv
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from tfvae.data import Images
from tfvae.errors import UserError
from tfvae.whole_files import whole_file

SUFFIXES = (".npz", ".csv", ".parquet")
ROWS = 8192  # of a row group of a Parquet file


def label_texts(images: Images, first: int, count: int) -> list[str] | None:
    """The labels of some images, as names where they have names, "" where there is none; None of images without."""
    if images.labels is None:
        return None
    numbers = [int(number) for number in images.labels[first : first + count]]
    return [images.label_names[n] if 0 <= n < len(images.label_names) else "" if n < 0 else str(n) for n in numbers]


@contextlib.contextmanager
def code_table(path: Path, images: Images) -> Iterator[Any]:
    """A table whose `add(codes, variances)` takes the codes of the next images, `(b, d)` each; variances may be None.

    Raises:
        UserError: For a Parquet file without pyarrow.
    """
    kinds: dict[str, type[_Npz | _Csv | _Parquet]] = {".npz": _Npz, ".csv": _Csv, ".parquet": _Parquet}
    kind = kinds[path.suffix.lower()]
    kind.check()
    with whole_file(path, **kind.opened) as file, contextlib.closing(kind(file, images)) as table:
        yield table
        table.finish()


class _Table:
    opened: dict[str, Any] = {}  # noqa: RUF012  how its file is opened

    def __init__(self, file: IO[Any], images: Images):
        self.file, self.images, self.done = file, images, 0

    @staticmethod
    def check() -> None:
        """Raises `UserError` where the kind cannot be written."""

    def add(self, codes: np.ndarray, variances: np.ndarray | None) -> None:
        """The next rows."""
        first, self.done = self.done, self.done + len(codes)
        self.rows(self.images.names[first : self.done], label_texts(self.images, first, len(codes)), codes, variances)

    def rows(self, names: list[str], labels: list[str] | None, codes: np.ndarray, variances: np.ndarray | None) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """After the last row."""

    def close(self) -> None:
        """However it ended."""


def _columns(labelled: bool, codes: np.ndarray, variances: np.ndarray | None) -> list[str]:
    units = [f"z{place}" for place in range(codes.shape[1])]
    spread = [f"var{place}" for place in range(codes.shape[1])] if variances is not None else []
    return ["name", *(["label"] if labelled else []), *units, *spread]


def _beside(codes: np.ndarray, variances: np.ndarray | None) -> np.ndarray:
    return codes if variances is None else np.concatenate([codes, variances], axis=1)


class _Csv(_Table):
    """A row an image: name, label, the code `z0 …`, variances `var0 …`."""

    opened = {"mode": "w", "newline": "", "encoding": "utf-8"}  # noqa: RUF012

    def rows(self, names, labels, codes, variances):
        writer = csv.writer(self.file)
        if self.done == len(codes):
            writer.writerow(_columns(labels is not None, codes, variances))
        told: Sequence[Sequence[str]] = [[label] for label in labels] if labels is not None else [[]] * len(names)
        for name, label, numbers in zip(names, told, _beside(codes, variances), strict=True):
            writer.writerow([name, *label, *(f"{value:.8g}" for value in numbers)])


class _Npz(_Table):
    """Arrays `codes`, `variances`, `names`, `labels` and `label_names`; variances wait in a file for their turn."""

    def __init__(self, file, images):
        super().__init__(file, images)
        self.archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self.entry: Any = None
        self.waiting: Any = None
        self.units = 0

    def rows(self, names, labels, codes, variances):
        if self.entry is None:
            self.units = codes.shape[1]
            if variances is not None:
                self.waiting = tempfile.TemporaryFile()  # noqa: SIM115  `close` does
            self.entry = self._entry("codes")
        self.entry.write(np.ascontiguousarray(codes, "<f4").tobytes())
        if self.waiting is not None:
            self.waiting.write(np.ascontiguousarray(variances, "<f4").tobytes())

    def finish(self):
        self.entry.close()
        if self.waiting is not None:
            self.waiting.seek(0)
            with self._entry("variances") as entry:
                shutil.copyfileobj(self.waiting, entry, 2**20)
        columns = {"names": np.array(self.images.names)}
        if self.images.labels is not None:
            columns |= {"labels": self.images.labels, "label_names": np.array(self.images.label_names)}
        for name, column in columns.items():
            with self.archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, column, allow_pickle=False)
        self.archive.close()

    def close(self):
        # Of a table that did not come to its end, which is thrown away.
        with contextlib.suppress(OSError, ValueError):
            if self.entry is not None:
                self.entry.close()
            self.archive.close()
        if self.waiting is not None:
            self.waiting.close()

    def _entry(self, name):
        entry = self.archive.open(f"{name}.npy", "w", force_zip64=True)
        shape = (len(self.images), self.units)
        np.lib.format.write_array_header_1_0(entry, {"descr": "<f4", "fortran_order": False, "shape": shape})
        return entry


class _Parquet(_Table):
    """Columns as of a CSV: text and float32, in row groups."""

    def __init__(self, file, images):
        super().__init__(file, images)
        self.writer: Any = None
        self.held: list[Any] = []

    @staticmethod
    def check():
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise UserError("embed: a .parquet file needs pyarrow: pip install 'tfvae[parquet]'.") from error

    def rows(self, names, labels, codes, variances):
        import pyarrow as pa

        texts = [names] if labels is None else [names, labels]
        columns = [pa.array(text, pa.string()) for text in texts]
        columns += [pa.array(np.ascontiguousarray(column)) for column in _beside(codes, variances).T]
        self.held.append(pa.table(columns, names=_columns(labels is not None, codes, variances)))
        if sum(table.num_rows for table in self.held) >= ROWS:
            self._write()

    def finish(self):
        self._write()
        self.writer.close()

    def _write(self):
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.held:
            table = pa.concat_tables(self.held)
            self.writer = self.writer or pq.ParquetWriter(self.file, table.schema)
            self.writer.write_table(table)
            self.held = []
