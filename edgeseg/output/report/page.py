"""One self-contained HTML page of a folder's results."""

from __future__ import annotations

import base64
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from edgeseg.drawing.encode import encode
from edgeseg.errors import EdgesegError
from edgeseg.measure.measurement import Column
from edgeseg.measure.tasks import measure_of
from edgeseg.network.metadata import INTENDED_USE
from edgeseg.network.task import Task
from edgeseg.output import table
from edgeseg.output.pictures import picture_name
from edgeseg.output.table import figures_of
from edgeseg.sources import image_file
from edgeseg.sources.frame import PixelSize
from edgeseg.sources.header import parse
from edgeseg.system.files import write_atomic
from edgeseg.system.parallel import ordered_map

MAX_PICTURES = 200
"""Pictures on the page; failed, empty and doubtful images come first, so that those are seen."""
_LAST = {"doubtful": 1, "ok": 2}
_THUMBNAIL_PX = (400, 320)  # largest height and width


def write_page(
    path: Path,
    task: Task,
    rows: Sequence[Mapping[str, str]],
    record: Mapping[str, Any],
    overlays: Path | None,
    workers: int,
) -> None:
    """Write the page: pictures, table, and the facts of the run.

    Parameters
    ----------
    rows
        Rows of the results table, in order.
    record
        The run's record, as ``run.json`` holds it.
    overlays
        Folder of the overlay pictures; None if none were written.
    workers
        Pictures made smaller at once.

    Raises
    ------
    OutputWriteError
        If the page cannot be written.
    """
    parts = _parts(task, rows, record, overlays, workers)
    write_atomic(path, (part.encode(errors="backslashreplace") for part in parts))


def _parts(
    task: Task,
    rows: Sequence[Mapping[str, str]],
    record: Mapping[str, Any],
    overlays: Path | None,
    workers: int,
) -> Iterator[str]:
    """Yield the page piece by piece: all pictures of a large folder need not be held at once."""
    measure = measure_of(task)
    counts = record["counts"]
    summary = (
        f"{counts['n_images']} images: {counts['ok']} measured, {counts['doubtful']} doubtful, "
        f"{counts['empty']} {measure.NOTHING}, {counts['failed']} failed."
    )
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    title = escape(measure.title(task))
    yield f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>edgeseg: {title}</title><style>{style}</style></head><body>
<h1>{title}</h1>
<p class="warning">{escape(INTENDED_USE)}</p>
<p>{escape(summary)}</p>
"""
    titled = (*measure.columns(task), *measure.given_columns(task, ages=True, calibrated=True))
    columns = [c for c in titled if c.title and rows and c.name in rows[0]]
    if calibration := record.get("calibration"):
        yield f"<p>{escape(_calibrated(calibration))}</p>\n"
    yield from _grid(task, columns, rows, overlays, workers)
    yield "<h2>Measurements</h2>\n"
    first, last = ("file", "status"), ("confidence", "flags", "reason")
    lines = (
        (
            *(table.name(row), row["status"]),
            *_readings(task, columns, row),
            _pixel_size(row),
            *(row[name] for name in last),
        )
        for row in rows
    )
    titles = (column.title for column in columns)
    yield from _table((*first, *titles, "pixel", *last), lines)
    yield "<h2>Flags</h2>\n"
    yield from _table(["flag", "meaning"], measure.FLAGS.items())
    yield "<h2>This run</h2>\n"
    yield from _table(["", ""], _facts(record))
    yield "</body></html>\n"


def _grid(
    task: Task,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, str]],
    overlays: Path | None,
    workers: int,
) -> Iterator[str]:
    if overlays is None:
        yield "<p>No overlays were written, so there are no pictures here.</p>\n"
        return
    shown = heapq.nsmallest(MAX_PICTURES, rows, key=lambda r: _LAST.get(r["status"], 0))
    if len(shown) < len(rows):
        yield f"<p>{len(shown)} of {len(rows)} pictures; those that need a look come first.</p>\n"
    yield '<div class="grid">\n'
    draw = partial(_figure, task=task, columns=columns, overlays=overlays)
    for figure in ordered_map(draw, shown, workers):
        yield figure + "\n"
    yield "</div>\n"


def _figure(row: Mapping[str, str], task: Task, columns: Sequence[Column], overlays: Path) -> str:
    name = escape(table.name(row))
    if row["status"] == "failed":
        return (
            f'<figure><figcaption>{name}<br><span class="failed">{escape(row["reason"])}</span>'
            "</figcaption></figure>"
        )
    read = zip(columns, _readings(task, columns, row), strict=True)
    seen = (f"{column.title} {cell.text}" for column, cell in read if cell.full)
    text = row["reason"] if row["status"] == "empty" else next(seen, "")
    flags = f'<br><span class="flags">{escape(row["flags"].replace(";", ", "))}</span>'
    path = overlays / f"{picture_name(*table.key(row))}.jpg"
    try:
        picture = f'<img loading="lazy" alt="{name}" src="{_thumbnail(path)}">'
    except EdgesegError:
        picture = "(its overlay cannot be read)"
    return (
        f"<figure>{picture}"
        f"<figcaption>{name}<br>{escape(text)}{flags if row['flags'] else ''}</figcaption></figure>"
    )


def _pixel_size(row: Mapping[str, str]) -> str:
    """Return a row's pixel size as people read it, and where it comes from."""
    if not row["pixel_size_source"]:
        return ""
    sides = float(row["pixel_size_x_mm"]), float(row["pixel_size_y_mm"])
    return PixelSize(*sides, row["pixel_size_source"]).text()


def _thumbnail(path: Path) -> str:
    """Return a small JPEG of an overlay as a data URI."""
    data = image_file.read_bytes(path)
    header = parse(data)
    scale = min(_THUMBNAIL_PX[0] / header.height, _THUMBNAIL_PX[1] / header.width, 1.0)
    # The JPEG decoder can halve a picture for less than it takes to decode it whole.
    how = cv2.IMREAD_REDUCED_COLOR_2 if scale <= 0.5 else cv2.IMREAD_COLOR
    picture = image_file.decode_pixels(np.frombuffer(data, dtype=np.uint8), how).astype(
        np.uint8, copy=False
    )
    size = max(1, round(header.width * scale)), max(1, round(header.height * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    encoded = base64.b64encode(encode(".jpg", small.astype(np.uint8), 75)).decode("ascii")
    return f"data:image/jpeg;base64,{encoded}"


class _Cell(NamedTuple):
    """A figure as people read it, and as the table of results holds it."""

    text: str
    full: str

    def html(self) -> str:
        hint = f' title="{escape(self.full)}"' if self.full not in ("", self.text) else ""
        return f"<td{hint}>{escape(self.text)}</td>"


def _readings(task: Task, columns: Iterable[Column], row: Mapping[str, str]) -> list[_Cell]:
    if row["status"] in ("empty", "failed"):
        return [_Cell("", "") for _ in columns]
    figures = figures_of(row, task)
    return [_Cell(column.text(figures), row[column.name]) for column in columns]


def _calibrated(calibration: Mapping[str, Any]) -> str:
    factor, shift_mm = calibration["factor"], calibration["shift_mm"]
    how = f"multiplied by {factor:.4f}" if factor != 1 else f"moved, HC by {shift_mm:+.1f} mm"
    return f"Calibrated: millimetres are {how}, as this site measures; pixels are the model's own."


def _table(titles: Iterable[str], lines: Iterable[Iterable[Any]]) -> Iterator[str]:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    yield f"<table><thead><tr>{head}</tr></thead><tbody>\n"
    for line in lines:
        yield f"<tr>{''.join(map(_td, line))}</tr>\n"
    yield "</tbody></table>\n"


def _td(cell: Any) -> str:
    return cell.html() if isinstance(cell, _Cell) else f"<td>{escape(str(cell))}</td>"


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Flatten a run's record into names and values a person can read."""
    facts = []
    for section in ("model", "timings", "host", "versions", "arguments"):
        for key, value in record[section].items():
            if isinstance(value, Mapping):
                value = ", ".join(
                    f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in value.items()
                )
            if value is not None:
                facts.append((f"{section}: {key}", str(value)))
    return facts
