"""Pictures in, pictures out: which file becomes which, one after the other, and what is said about it."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfvae.commands.meter import Meter
from tfvae.commands.shared import place, say
from tfvae.data.folder import LISTED, SUFFIXES, list_files, name_within
from tfvae.data.reading import Preparation, look_at_picture
from tfvae.decoding import UnreadableError
from tfvae.errors import FULL_OR_CLOSED, UserError
from tfvae.file_names import distinct, fitting
from tfvae.pictures.files import MAX_PIXELS, WRITTEN

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """One picture.

    Attributes:
        source: File to read.
        name: Its path within the folder it was found in.
        out: File to write.
    """

    source: Path
    name: str
    out: Path

    def beside(self, what: str) -> Path:
        """The PNG file `OUT_what.png`."""
        return self.out.with_name(fitting(f"{self.out.stem}_{what}", ".png"))


@dataclass(frozen=True)
class Plan:
    """All pictures of a command.

    Attributes:
        jobs: In sorted order.
        folder: Where the results go.
        many: Whether a folder was named, so that a bad picture ends nothing.
        refused: Files that are known to be no readable pictures, with the reason.
    """

    jobs: list[Job]
    folder: Path
    many: bool
    refused: list[tuple[str, str]]


def plan_of(
    source: Path,
    out: Path | None,
    default: Path,
    extras: Sequence[str],
    reserved: Sequence[Path],
    suffix: str | None = None,
) -> Plan:
    """What is read and what is written, checked before anything is.

    Args:
        source: A picture or a folder of them.
        out: A file or a folder; None for the default.
        default: A folder.
        extras: What is written beside each picture, as in `Job.beside`.
        reserved: Further files that must not be written over.
        suffix: Of all results; None: that of each picture, where its format is written.

    Raises:
        UserError: When there is nothing to read, or something that is read would be written over.
    """
    many = os.path.isdir(source)
    if not os.path.exists(source):
        raise UserError(f"{source}: there is no such file or folder.")
    if not many and not os.path.isfile(source):
        raise UserError(f"{source}: a pipe or a device, which is not waited for. Accepted: a picture or a folder.")
    target, is_folder = place(out, default, ("",) if many else (*(WRITTEN if suffix is None else (suffix,)), ""))
    refused: list[tuple[str, str]] = []
    if many:
        found, others = list_files(source)
        if source.resolve() in target.resolve().parents:  # results of an earlier call are not to be restored again
            found = [path for path in found if target.resolve() not in path.resolve().parents]
        # Notes and thumbnails among pictures are no mistake; a link that leads nowhere is.
        refused = [(name_within(path, source), why) for path, why in others if path.suffix.lower() in ("", *SUFFIXES)]
        if not found and not refused:
            raise UserError(f"{source}: no picture in it. Accepted: a folder that holds {LISTED} files.")
        jobs = list(_named(source, found, target, suffix))
    else:
        name = fitting(source.stem, suffix or _suffix(source))
        jobs = [Job(source, source.name, target / name if is_folder else target)]
    read = {path.resolve() for path in (*(job.source for job in jobs), *reserved)}
    for job in jobs:
        for path in (job.out, *(job.beside(what) for what in extras)):
            if path.resolve() in read:
                raise UserError(f"{path}: would be written over, and is to be read. Name another place with -o.")
    return Plan(jobs, target if is_folder else target.parent, many, refused)


def carry_out(
    plan: Plan, work: Callable[[Job, Progress], None], size: Callable[[Path], float] | None = None
) -> list[Job]:
    """Does `work` for each job; a picture it refuses with `UnreadableError` is named and passed over.

    Args:
        plan: All pictures.
        work: Of one.
        size: From a file to its megapixels, for the progress; raises `UnreadableError`. None: of a picture file.

    Returns:
        The jobs that were done.

    Raises:
        UserError: When the only picture is refused, or the disk takes no more.
        KeyboardInterrupt: After saying what had been done.
    """
    done: list[Job] = []
    sizes = [_megapixels(job.source, size or _of_a_picture) if sys.stderr.isatty() else 0.0 for job in plan.jobs]
    meter = Meter(sum(sizes), "megapixels")
    for name, reason in plan.refused:
        print(f"tfvae: refused {name}: {reason}", file=sys.stderr)
    try:
        for index, job in enumerate(plan.jobs):
            try:
                work(job, _progress(meter, plan, sizes, index))
                done.append(job)
                continue
            except UserError:
                raise
            except UnreadableError as error:
                reason = str(error)
            except OSError as error:
                reason = f"cannot be written: {error.strerror or error}"
                if error.errno in FULL_OR_CLOSED:
                    raise UserError(f"{error.filename or job.out}: {reason}.") from error
            except Exception as error:  # of a decoder, an encoder, a model: whatever it is, it is this picture's
                reason = f"cannot be processed ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
            if not plan.many:
                raise UserError(f"{job.source}: {reason}.") from None
            plan.refused.append((job.name, reason))
            meter.clear()
            print(f"tfvae: refused {job.name}: {reason}", file=sys.stderr)
    except KeyboardInterrupt:
        if done:
            say(plan.folder, f"so far: {len(done):,} of {len(plan.jobs):,} pictures")
        raise
    finally:
        meter.clear()
    return done


def close(plan: Plan, done: list[Job], what: str) -> None:
    """Says where the results are. Raises `UserError` when some pictures of a folder were refused."""
    if not plan.many:
        say(done[0].out)
    elif done:
        say(plan.folder, f"and {len(done):,} {'picture' if len(done) == 1 else 'pictures'} in it")
    if plan.refused:
        rest = f"the other {len(done):,} are done" if done else "there are no others"
        raise UserError(f"{what}: {len(plan.refused):,} of the pictures could not be used, {rest}.")


def _progress(meter: Meter, plan: Plan, sizes: Sequence[float], index: int) -> Progress:
    """That of one job, called with the parts done and all parts; the rate is in pixels, for pictures differ in size."""
    before, name = sum(sizes[:index]), plan.jobs[index].name
    which = f"{index + 1:,} of {len(sizes):,}, " if len(sizes) > 1 else ""
    return lambda done, of: meter.show(before + sizes[index] * done / of, f"{which}{name}: {done:,} of {of:,} parts")


def _megapixels(path: Path, size: Callable[[Path], float]) -> float:
    try:
        return size(path)
    except UnreadableError:  # said when its turn comes
        return 0.0


def _of_a_picture(path: Path) -> float:
    height, width, _ = look_at_picture(str(path), Preparation(max_pixels=MAX_PIXELS))
    return height * width / 1e6


def _named(source: Path, found: Sequence[Path], target: Path, suffix: str | None) -> Iterator[Job]:
    taken: set[str] = set()
    for path in found:
        inner = path.relative_to(source)
        yield Job(
            path, name_within(path, source), target / distinct(inner.parent, inner.stem, suffix or _suffix(path), taken)
        )


def _suffix(path: Path) -> str:
    """Of the result: the source's own where its format is written, else PNG."""
    return path.suffix if path.suffix.lower() in WRITTEN else ".png"
