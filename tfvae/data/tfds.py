"""`tfds:NAME`: data sets of tensorflow-datasets, prepared or to be prepared from raw files or the network."""

import contextlib
import hashlib
import io
import itertools
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfvae.data.gathering import Gathering, chosen
from tfvae.errors import UserError, did_you_mean
from tfvae.file_names import user_path

PARTS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
HOST = ("storage.googleapis.com", 443)  # where tensorflow-datasets keeps its own copies
REACH = 2.0  # seconds to find out that there is no network; tensorflow-datasets itself tries for minutes
BATCH = 512


def gather_tfds(name: str, into: Gathering, manual_dir: str, limit: int, seed: int) -> None:
    """The images of a data set, its class labels and its official splits."""
    builder = _prepared(name, manual_dir)
    features = builder.info.features
    image_key, label_key = _keys(name, features)
    into.label_names = list(features[label_key].names) if label_key else []
    splits = [split for split in builder.info.splits if split in PARTS] or list(builder.info.splits)[:1]
    total = sum(min(builder.info.splits[split].num_examples, limit or 2**62) for split in splits)
    done = 0
    for split in splits:
        keep = chosen(builder.info.splits[split].num_examples, limit, seed)
        for rows, images, labels in _blocks(builder, split, image_key, label_key, keep):
            names = [f"{name}/{split}/{row:06d}" for row in rows]
            into.add_block(images, names, labels, PARTS.get(split, "train"))
            done += len(rows)
            into.progress(done, total)
    into.description = f"{done:,} images of tensorflow-datasets' {builder.info.full_name}"


def _blocks(
    builder: Any, split: str, image_key: str, label_key: str | None, keep: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """(positions, uint8 images of one size, labels) in the order of the data set."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    # Everything in file order: the same position is the same image on every machine.
    order = tfds.ReadConfig(interleave_cycle_length=1)
    dataset = builder.as_dataset(split=split, shuffle_files=False, read_config=order)
    dataset = dataset.map(lambda row: (row[image_key], row[label_key] if label_key else tf.constant(-1, tf.int64)))
    wanted = np.zeros(builder.info.splits[split].num_examples, bool)
    wanted[keep] = True
    same_size = dataset.element_spec[0].shape.is_fully_defined()
    start = 0
    for images, labels in dataset.batch(BATCH if same_size else 1).as_numpy_iterator():
        rows = np.arange(start, start + len(images))
        start += len(images)
        chosen_rows = wanted[rows]
        if chosen_rows.any():
            yield rows[chosen_rows], _eight_bits(images[chosen_rows]), labels[chosen_rows] if label_key else None


def _eight_bits(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint16:
        return np.rint(images / 257).astype(np.uint8)
    if images.dtype.kind == "f":
        return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    return images.astype(np.uint8)


def _keys(name: str, features: Any) -> tuple[str, str | None]:
    """The names of the image and of its class among a data set's features."""
    import tensorflow_datasets as tfds

    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    if not images:
        raise UserError(f"data.source: tfds:{name} holds no images, only {', '.join(features)}.")
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    return ("image" if "image" in images else images[0]), ("label" if "label" in labels else next(iter(labels), None))


def _prepared(name: str, manual_dir: str) -> Any:
    """The data set's builder, after its files were found or made."""
    with _quiet():
        import tensorflow_datasets as tfds

        data_dir = os.path.expanduser(os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR)
        found = _find(name, data_dir)
        if found is not None:
            return tfds.builder_from_directory(found)
        base = name.split("/")[0].split(":")[0]
        known = tfds.list_builders()
        if base not in known:
            raise UserError(
                f"data.source: tensorflow-datasets knows no '{base}'.{did_you_mean(base, known)} "
                f"Accepted: a name of tensorflow.org/datasets, or one prepared in {data_dir}."
            )
        try:
            builder = tfds.builder(name, data_dir=data_dir)
        except (ValueError, AssertionError, tfds.core.registered.DatasetNotFoundError) as error:
            raise UserError(f"data.source: tfds:{name}: {' '.join(str(error).split())[:300]}") from error
        if manual_dir:
            _prepare_by_hand(builder, name, user_path(manual_dir))
        elif _reachable():
            _download(builder, name)
        else:
            raise UserError(
                f"data.source: tfds:{name} is not prepared in {data_dir} and the network cannot be reached. "
                "Set TFDS_DATA_DIR to where it is prepared, or --set data.manual_dir=DIR to one with its raw files."
            )
        return builder


def _find(name: str, data_dir: str) -> Path | None:
    """The folder where a data set lies prepared: its newest version unless the name asks for one."""
    path, _, version = name.partition(":")
    folders = sorted(Path(data_dir, *path.split("/")).glob("**/dataset_info.json"))
    folders = [info.parent for info in folders if not version or info.parent.name == version]
    # A data set with configurations and none asked for: leave the choice to tensorflow-datasets' default.
    if len({folder.parent for folder in folders}) > 1:
        return None
    return max(folders, key=_version, default=None)


def _version(folder: Path) -> list[int]:
    return [int(number) if number.isdigit() else -1 for number in folder.name.split(".")]


def _prepare_by_hand(builder: Any, name: str, manual_dir: Path) -> None:
    """Prepares from raw files that a person put into `manual_dir` under their original names."""
    import tensorflow_datasets as tfds

    if not manual_dir.is_dir():
        hint = did_you_mean(manual_dir.name, [entry.name for entry in manual_dir.parent.glob("*")])
        raise UserError(f"data.manual_dir: no such folder: '{manual_dir}'.{hint}")
    raw = {Path(url).name for url in builder.url_infos or ()}
    if not any(manual_dir.iterdir()):
        raise UserError(f"data.manual_dir: '{manual_dir}' is empty. Accepted: {_listed(raw) or 'the raw files'}.")
    missing = sorted(file for file in raw if not (manual_dir / file).exists())
    if missing and not _reachable():
        raise UserError(
            f"data.manual_dir: '{manual_dir}' lacks {_listed(set(missing))} of tfds:{name}, "
            "and the network cannot be reached. Accepted: the raw files under their original names."
        )
    for url, info in (builder.url_infos or {}).items():
        file = manual_dir / Path(url).name
        if file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() != info.checksum:
            raise UserError(f"data.manual_dir: '{file}' is not the file of that name in tfds:{name} (check sum).")
    settings = tfds.download.DownloadConfig(manual_dir=manual_dir)
    tfds.disable_progress_bar()  # half a minute's work; a download from the network keeps its bars
    # A folder of its own: unpacked files are kept by name, and MNIST and Fashion-MNIST have files of the same names.
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        _run(lambda: builder.download_and_prepare(download_dir=scratch, download_config=settings), name)


def _download(builder: Any, name: str) -> None:
    _run(builder.download_and_prepare, name)


def _run(prepare: Any, name: str) -> None:
    """Runs tensorflow-datasets, whose failures (network, check sums, disk) are the person's to mend."""
    try:
        prepare()
    except Exception as error:
        reason = " ".join(str(error).split())[:240]
        raise UserError(f"data.source: tfds:{name} could not be prepared: {type(error).__name__}: {reason}") from error


def _listed(names: set[str]) -> str:
    shown = list(itertools.islice(sorted(names), 4))
    return ", ".join(shown) + (" …" if len(names) > len(shown) else "")


def _reachable() -> bool:
    try:
        with socket.create_connection(HOST, timeout=REACH):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """tensorflow-datasets logs through absl; a person needs our one line only."""
    from absl import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)
