"""The page of a model's dreams: `index.html` and its pictures in one folder, which opens from disk, offline."""

import html
from collections.abc import Sequence
from pathlib import Path

from tfvae.applications.latent.dreams import Cell, Row, Section
from tfvae.commands.pages.dreams_template import CELL, PAGE, ROW, SECTION
from tfvae.pictures import save_png
from tfvae.whole_files import write_whole

PICTURES = "pictures"  # the folder of the pictures, beside the page
SMALL = 64  # pixels a side, up to which the page shows pixels as squares


def write_page(folder: str | Path, sections: Sequence[Section], title: str, about: str, command: str) -> Path:
    """Write `index.html` and what it shows into `folder`; returns the path of the page.

    The page has no script and asks for nothing but those pictures. Sections without rows are named at its end.

    Args:
        folder: Where to; made where it is not there. Files of an earlier page are overwritten.
        sections: As `dream` returns them.
        title: Of the page; any text.
        about: One line below it.
        command: What made the page.

    Raises:
        ValueError: When no section has a row.
    """
    folder = Path(folder)
    shown = [section for section in sections if section.rows]
    if not shown:
        raise ValueError("`sections` must hold at least one with rows. Received: none.")
    bodies = [
        SECTION.substitute(
            name=section.name,
            title=html.escape(section.title),
            text=html.escape(section.text),
            rows="\n".join(_row(folder, section, number, row) for number, row in enumerate(section.rows, 1)),
        )
        for section in shown
    ]
    missing = "".join(
        f"<p>Left out: {html.escape(section.title)}, because {html.escape(section.missing)}.</p>"
        for section in sections
        if section.missing
    )
    page = PAGE.substitute(
        title=html.escape(title),
        about=html.escape(about),
        command=html.escape(command),
        missing=missing,
        contents="".join(f'<li><a href="#{section.name}">{html.escape(section.title)}</a></li>' for section in shown),
        sections="\n".join(bodies),
    )
    path = folder / "index.html"
    write_whole(path, page)
    return path


def _row(folder: Path, section: Section, number: int, row: Row) -> str:
    """The HTML of one row, whose pictures are written into the folder."""
    small = max(max(cell.image.shape[:2]) for cell in row.cells) <= SMALL
    label = html.escape(row.title)
    return ROW.substitute(
        title=label,
        kind=row.kind + " small" * small,
        count=len(row.cells),
        focus="" if row.kind == "sheet" else f' role="group" tabindex="0" aria-label="{label}"',
        cells="\n".join(
            _cell(folder, f"{PICTURES}/{section.name}-{number}-{place:02d}.png", cell)
            for place, cell in enumerate(row.cells, 1)
        ),
    )


def _cell(folder: Path, address: str, cell: Cell) -> str:
    save_png(folder / address, cell.image)
    height, width = cell.image.shape[:2]
    return CELL.substitute(
        address=address,
        alt=html.escape(cell.alt),
        width=width,
        height=height,
        sign=f'<span class="sign" aria-hidden="true">{cell.before}</span>' * bool(cell.before),
        caption=f"<figcaption>{html.escape(cell.caption)}</figcaption>" * bool(cell.caption),
    )
