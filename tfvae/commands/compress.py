"""`tfvae compress` and `tfvae decompress`: pictures as small files, and back."""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfvae.applications.compression import ans
from tfvae.applications.compression.compress import Compressed, Decompressed, Encoder
from tfvae.applications.compression.compress import decompress as opened
from tfvae.applications.compression.container import Header, read_header
from tfvae.applications.compression.streams import digest
from tfvae.applications.tiles import smallest_side
from tfvae.commands import lossless
from tfvae.commands.jobs import Job, Plan, Progress, carry_out, close, plan_of
from tfvae.commands.shared import model_that, place, say
from tfvae.decoding import UnreadableError, eight_bits
from tfvae.errors import UserError
from tfvae.file_names import distinct, fitting
from tfvae.pictures.files import WRITTEN, EditablePicture, open_picture, save
from tfvae.runs import CONFIG, Run, open_run
from tfvae.whole_files import write_whole

SUFFIX = ".tfv"
RUNS = Path("runs")  # where runs are looked for that no --run names
LARGEST = 1 << 30  # bytes of a file that is read: the largest picture at the best quality has fewer


def compress(arguments: argparse.Namespace) -> None:
    """`tfvae compress`: one picture or a folder of them."""
    if arguments.lossless:
        lossless.compress(arguments)
        return
    run = open_run(arguments.run)
    scale = run.data_config.black, run.data_config.white
    source = arguments.source
    default = source if source.is_dir() else source.with_name(fitting(source.stem, SUFFIX))
    plan = plan_of(source, arguments.out, default, [], [], suffix=SUFFIX)
    if arguments.coder == "ans":
        ans.library()
    model = _codec(run)
    _check_tile(model, arguments.tile)
    made: dict[Path, float] = {}  # the quality of each file

    def work(job: Job, progress: Progress) -> None:
        picture = open_picture(job.source, *scale)
        encoder = Encoder(
            model,
            eight_bits(picture.pixels),
            picture.alpha,
            _kept(picture),
            arguments.coder,
            arguments.tile,
            progress,
        )
        for note in (*picture.notes, *_lost(picture)):
            print(f"tfvae: {job.name}: {note}", file=sys.stderr)
        found = _made(encoder, arguments, job)
        job.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(job.out, found.content)
        height, width, _ = picture.pixels.shape
        print(
            f"{job.name}: {len(found.content):,} bytes, {8 * len(found.content) / (height * width):.3f} bits/pixel, "
            f"quality {found.quality:g}"
        )
        made[job.out] = found.quality

    done = carry_out(plan, work)
    if done and arguments.page:
        from tfvae.commands.pages.compressed import write_page

        folder = plan.folder if plan.many else plan.folder / fitting(done[0].out.stem, "_page")
        say(write_page(folder, _items(done, made, model, scale), "Compressed pictures"), "with what the files open as")
    close(plan, done, "compress")


def decompress(arguments: argparse.Namespace) -> None:
    """`tfvae decompress`: one file or a folder of them."""
    if lossless.holds_a_set(arguments.source):
        lossless.decompress(arguments)
        return
    plan = _files(arguments.source, arguments.out)
    models = _Models(arguments.model)

    def work(job: Job, progress: Progress) -> None:
        content = _content(job.source)
        header = read_header(content)
        if header.coder == "ans":
            ans.library()
        model = models.of(header)
        _check_tile(model, arguments.tile)
        found = opened(model, content, tile=arguments.tile, progress=progress)
        for note in save(job.out, found.pixels, _editable(found)):
            print(f"tfvae: {job.name}: {note}", file=sys.stderr)

    close(plan, carry_out(plan, work, _megapixels), "decompress")


def _content(path: Path) -> bytes:
    if path.stat().st_size > LARGEST:
        raise UnreadableError("larger than any compressed picture")
    if lossless.holds_a_set(path):
        raise UnreadableError("holds a set of pictures (compress --lossless): name it by itself")
    return path.read_bytes()


def _megapixels(path: Path) -> float:
    header = read_header(_content(path))
    return header.height * header.width / 1e6


def _items(done: list[Job], made: dict[Path, float], model: Any, scale: tuple[float, float]) -> Iterator[Any]:
    """What the page shows, a picture at a time: a folder's are not in memory together."""
    from tfvae.commands.pages.compressed import Item

    for job in done:
        content = job.out.read_bytes()
        before = eight_bits(open_picture(job.source, *scale).pixels)
        yield Item(job.name, before, opened(model, content).pixels, len(content), made[job.out])


class _Models:
    """The codec that wrote a file: of the run that was named, else found among those in `runs` by its digest."""

    def __init__(self, named: Path | None):
        self.known: dict[bytes, Any] = {}
        self.named = named is not None
        self.runs: Iterator[Run] = iter([open_run(named)] if named is not None else _runs())

    def of(self, header: Header) -> Any:
        """Raises `UnreadableError` where none of them wrote it."""
        while header.model not in self.known:
            run = next(self.runs, None)
            if run is None:
                break
            model = _codec(run)
            self.known[digest(model)] = model
        if header.model in self.known:
            return self.known[header.model]
        if self.named:
            other = next(iter(self.known)).hex()
            raise UnreadableError(
                f"was written by another model (digest {header.model.hex()}; that of --run has {other})"
            )
        raise UnreadableError(
            f"no run in ./{RUNS} has the model that wrote it (digest {header.model.hex()}): name it with --run RUN"
        )


def _runs() -> Iterator[Run]:
    """Those of codecs that are trained."""
    for path in sorted(RUNS.iterdir()) if RUNS.is_dir() else ():
        if not (path / CONFIG).is_file():
            continue
        try:
            run = open_run(path)
            table = run.config.get("model", {})
            if isinstance(table, dict) and table.get("kind") == "codec" and run.model_file:
                yield run
        except UserError:  # of a run that is not the one that is looked for
            continue


def _codec(run: Run) -> Any:
    return model_that(run, "compress", "writes no files", "--recipe codec --data PHOTOS")


def _check_tile(model: Any, tile: int | None) -> None:
    least = max(smallest_side(part.margin, model.factor) for part in (model.encoder, model.decoder))
    if tile is not None and tile < least:
        raise UserError(f"--tile must be {least} or more for this model. Received: {tile}.")


def _made(encoder: Encoder, arguments: argparse.Namespace, job: Job) -> Compressed:
    if arguments.bytes is None:
        return encoder.at(arguments.quality)
    try:
        return encoder.within(arguments.bytes)
    except ValueError as error:
        least = len(encoder.at(0).content)
        message = f"--bytes must be {least:,} or more for this picture. Received: {arguments.bytes:,}"
        raise UnreadableError(message) from error


def _kept(picture: EditablePicture) -> dict[str, bytes]:
    """What is no pixel, as it is put into the file."""
    icc = b"" if picture.mode == "CMYK" or picture.icc is None else picture.icc
    dpi = json.dumps(picture.dpi).encode() if picture.dpi else b""
    return {"exif": picture.exif, "icc": icc, "xmp": picture.xmp, "dpi": dpi}


def _lost(picture: EditablePicture) -> list[str]:
    notes = ["16 bit grey is compressed as 8 bit"] if picture.pixels.dtype == np.uint16 else []
    return notes + (["CMYK is compressed as RGB, without its profile"] if picture.mode == "CMYK" else [])


def _editable(found: Decompressed) -> EditablePicture:
    """What `save` writes."""
    kept = found.header.kept
    return EditablePicture(
        pixels=found.pixels,
        alpha=found.alpha,
        format="TFV",
        mode="L" if found.header.channels == 1 else "RGB",
        exif=kept.get("exif", b""),
        icc=kept.get("icc"),
        xmp=kept.get("xmp", b""),
        dpi=_dpi(kept.get("dpi", b"")),
        encoding={},
        lossless=True,
        notes=(),
    )


def _dpi(block: bytes) -> tuple[float, float] | None:
    try:
        across, down = json.loads(block) if block else (0.0, 0.0)
        across, down = float(across), float(down)
    except (ValueError, TypeError):  # RecursionError is no match for a block of a few bytes
        return None
    return (across, down) if math.isfinite(across) and math.isfinite(down) and min(across, down) > 0 else None


def _files(source: Path, out: Path | None) -> Plan:
    """Which files are opened, and what becomes of each."""
    if not source.exists():
        raise UserError(f"{source}: there is no such file or folder.")
    many = source.is_dir()
    if not many and not source.is_file():
        raise UserError(f"{source}: a pipe or a device, which is not waited for. Accepted: a .tfv file or a folder.")
    default = source if many else source.with_name(fitting(source.stem, ".png"))
    target, is_folder = place(out, default, ("",) if many else (*WRITTEN, ""))
    if not many:
        path = target / fitting(source.stem, ".png") if is_folder else target
        return Plan([Job(source, source.name, path)], path.parent, False, [])
    found = sorted(path for path in source.rglob(f"*{SUFFIX}") if path.is_file())
    if not found:
        raise UserError(f"{source}: no {SUFFIX} file in it.")
    taken: set[str] = set()
    jobs = []
    for path in found:
        name = path.relative_to(source)
        jobs.append(Job(path, str(name), target / distinct(name.parent, name.stem, ".png", taken)))
    return Plan(jobs, target, True, [])
