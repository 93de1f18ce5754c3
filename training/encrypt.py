"""`python -m training encrypt FOLDER -o SHARDS`: a folder of pictures as an encrypted data set.

The shards hold the picture files as they are, with their names, each encrypted with AES-256-GCM
(`tfvae/data/encrypted.py`); training reads them like the folder: same pictures, names, labels and splits. Neither files
nor pixels are written to a disk again in the clear, but what a run makes is: `reconstructions.png`, `latent_map.png`
and `samples/` show pictures, the report names refused files, and a model can remember what it was trained on. Keep run
directories as you keep the pictures.
"""

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from tfvae.errors import OneLineParser, UserError
from tfvae.file_names import user_path
from tfvae.whole_files import PART, sweep, sync, whole_path, write_whole
from training import lock

# In a folder whose encryption has not ended: the id of the data set, so that its shards are known to be of no use.
UNFINISHED = "unfinished.json"
SHARD_BYTES = 64 * 2**20  # of files; a shard is ended by the one that passes it
LARGEST = 2**30  # bytes of a file that is encrypted; AES-GCM itself ends at 2**31


def parser() -> OneLineParser:
    p = OneLineParser("python -m training encrypt", "Seals a folder of pictures record by record.")
    p.add_argument("folder", nargs="?", type=user_path, metavar="FOLDER", help="pictures; sub-folders are labels")
    p.add_argument("-o", "--out", type=user_path, metavar="SHARDS", help="a folder that is new or empty")
    p.add_argument("--key-file", type=user_path, metavar="FILE", help="holds the key; else TFVAE_DATA_KEY does")
    p.add_argument(
        "--new-key", type=user_path, metavar="FILE", help="write a fresh key first, which you alone may read"
    )
    p.note(
        "examples",
        [
            "python -m training encrypt PICTURES -o SHARDS --new-key KEY",
            "python -m training encrypt MORE -o MORE_SHARDS --key-file KEY",
        ],
    )
    return p


def main(arguments: list[str]) -> None:
    """Seals a folder, or writes a new key, or both."""
    options = parser().parse_args(arguments)
    if (options.folder is None) != (options.out is None) or not (options.folder or options.new_key):
        raise UserError("encrypt: needs FOLDER and -o SHARDS, or --new-key FILE, or all three. See --help.")
    if options.new_key and options.key_file:
        raise UserError("encrypt: --new-key FILE is the key to seal with. Accepted: --key-file or --new-key, not both.")
    if options.folder is not None:
        if not options.folder.is_dir():
            raise UserError(f"encrypt: '{options.folder}' is no folder. Accepted: a folder of pictures.")
        check_out(options.out)
    if options.new_key:
        write_new_key(options.new_key)
        print(f"wrote a new key: {options.new_key}; without it nothing that it seals can be read again")
    if options.folder is not None:
        seal_folder(options.folder, options.out, options.new_key or options.key_file or "")


def write_new_key(path: Path) -> None:
    """A fresh key in a file of its own that its owner alone may read. Raises `UserError` when there is one already."""
    from tfvae.data.data_key import new_key

    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(
            f"--new-key: '{path}' exists; what its key encrypted would be lost. Name another file."
        ) from None
    except OSError as error:
        raise UserError(f"--new-key: '{path}' cannot be written ({error.strerror}).") from error
    with open(number, "w", encoding="ascii") as file:
        file.write(new_key() + "\n")
        file.flush()
        sync(file)


def seal_folder(folder: Path, out: Path, key_file: str | Path) -> None:
    """Writes the shards of `folder` into `out`, the index last: without it they are no data set.

    Raises:
        UserError: No picture, no key, a disk that is full, or another process that writes there; nothing of it is left
            in `out` then.
    """
    from tfvae.data import data_key, encrypted
    from tfvae.data import folder as pictures

    key = data_key.read_key(key_file)
    candidates, others = pictures.list_files(folder)
    dataset = secrets.token_bytes(16)
    index = encrypted.Seal(key, dataset, encrypted.INDEX_NUMBER)  # also says early that cryptography is missing
    refused = [(str(path.relative_to(folder)), reason) for path, reason in others]
    counts: list[int] = []
    contents = _contents(folder, candidates, refused)
    with lock.held(out), _all_or_nothing(out, dataset):
        following = next(contents, None)
        while following is not None:
            seal = encrypted.Seal(key, dataset, len(counts))
            count = size = 0
            with _record_writer(out / encrypted.shard_name(len(counts))) as write:
                write(seal.header)
                while following is not None and size < SHARD_BYTES:
                    count += 1
                    size += len(following[1])
                    write(seal.close(count, encrypted.pack(*following)))
                    following = next(contents, None)
            counts.append(count)
        if not counts:
            raise UserError(f"encrypt: no picture could be read in '{folder}' ({len(refused):,} files refused).")
        with _record_writer(out / encrypted.INDEX) as write:
            write(index.header)
            write(index.close(1, json.dumps({"records": counts}).encode()))
    for name, reason in refused[:10]:
        print(f"  left out {name}: {reason}")
    if len(refused) > 10:
        print(f"  … and {len(refused) - 10:,} more")
    print(f"encrypted {sum(counts):,} files in {len(counts):,} shard{'s' if len(counts) > 1 else ''}: {out}")
    where = f" --set data.key_file={key_file}" if key_file else f"   (with {data_key.KEY_VARIABLE} in the environment)"
    print(f"train on them: python -m training --data {out}{where}")


def _contents(folder: Path, candidates: list[Path], refused: list[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    """Name within the folder and content of each file; one that cannot be read goes to `refused`."""
    for done, path in enumerate(candidates, start=1):
        name = path.relative_to(folder).as_posix()
        try:
            if path.stat().st_size > LARGEST:
                refused.append((name, f"larger than {LARGEST:,} bytes"))
                continue
            content = path.read_bytes()
        except OSError as error:
            refused.append((name, f"cannot be read: {error.strerror}"))
            continue
        if sys.stdout.isatty() and (done % 100 == 0 or done == len(candidates)):
            print(f"\rsealing: {done:,} of {len(candidates):,} \x1b[K", end="\r", flush=True)
        yield name, content


@contextlib.contextmanager
def _record_writer(path: Path):
    """A function that appends records to a TFRecord file, which has its name only when it is whole and on the disk."""
    import tensorflow as tf

    try:
        with whole_path(path) as part, tf.io.TFRecordWriter(str(part)) as writer:
            yield writer.write
    except (tf.errors.OpError, OSError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", str(error)).splitlines()[0]
        raise UserError(f"{path}: cannot be written ({reason}).") from error


@contextlib.contextmanager
def _all_or_nothing(out: Path, dataset: bytes) -> Iterator[None]:
    """Removes what is written of `dataset` when what is within does not come to its end."""
    check_out(out)
    for path in _left(out):
        path.unlink()
    write_whole(out / UNFINISHED, json.dumps({"dataset": dataset.hex()}))
    try:
        yield
    except BaseException:
        for path in _left(out):
            path.unlink()
        raise
    (out / UNFINISHED).unlink()


def check_out(out: Path) -> None:
    """`out` must be new, empty, or hold what a killed encryption left and nothing else; nothing is removed here."""
    if out.exists() and not out.is_dir():
        raise UserError(f"encrypt: -o: {out} is a file. Accepted: a folder that is new or empty.")
    if not out.is_dir():
        return
    sweep(out)
    others = {path.name for path in set(out.iterdir()) - set(_left(out))}
    # What is hidden and unfinished is of another process that writes there: its lock says which.
    if any(name != lock.LOCK and not (name.startswith(".") and name.endswith(PART)) for name in others):
        from tfvae.data.encrypted import INDEX, is_encrypted

        lost = is_encrypted(out) and not (out / INDEX).exists()
        why = "holds shards whose index is lost, which are left alone" if lost else "is not empty"
        raise UserError(f"encrypt: -o: {out} {why}. Accepted: a folder that is new or empty.")


def _left(out: Path) -> list[Path]:
    """The shards of an encryption that did not come to its index, then the note of whose they are; of no other."""
    from tfvae.data.encrypted import INDEX, SUFFIX, dataset_of

    if (out / INDEX).exists():
        return []
    note = out / UNFINISHED
    try:
        dataset = bytes.fromhex(json.loads(note.read_bytes())["dataset"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [*(path for path in out.glob(f"*{SUFFIX}") if dataset_of(path) == dataset), note]
