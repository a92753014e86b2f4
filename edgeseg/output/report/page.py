"""One self-contained HTML page of a folder's results: ``report.html``."""

from __future__ import annotations

import base64
import hashlib
import heapq
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import chain
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from edgeseg.drawing.encode import read_thumbnail
from edgeseg.drawing.overlay import colour_bgr
from edgeseg.measure.tasks import measure_of
from edgeseg.network.metadata import INTENDED_USE
from edgeseg.network.task import Task
from edgeseg.output import table
from edgeseg.output.record import picture_names
from edgeseg.system.files import write_atomic
from edgeseg.system.text import visible

REPORT_NAME = "report.html"
SCRIPTS = (
    "text.js", "images.js", "figures.js", "charts.js", "grid.js", "viewer.js", "correct.js",
    "corrected.js", "main.js",
)  # fmt: skip
"""In the order in which the page loads them; they share one scope."""
_STYLES = ("common.css", "style.css")
MAX_THUMBNAILS = 2000
"""Of the most doubtful images; the pictures of others are loaded from the overlays folder."""
_HERE = Path(__file__).parent
_DATA = "<!-- data -->"
# files beside the page have the scheme file on a disk, and the page's own origin on a server
_POLICY = (
    "default-src 'none'; img-src 'self' file: data: blob:; base-uri 'none'; form-action 'none'; "
    "style-src {style}; script-src {scripts}"
)

_LEGEND = "<p>Pink: the label. Other colours: what was measured; orange and dashed: doubtful.</p>"

Rows = Sequence[Mapping[str, table.Value]]


def write_page(
    path: Path, task: Task, rows: Rows, record: Mapping[str, Any], overlays: Path | None
) -> None:
    """Write the page: pictures, distributions, table, and the facts of the run.

    Where ``rows`` have the columns ``hc_reference_mm``, ``hc_error_mm`` and ``dice``, or
    ``<class>_dice``, the page shows errors too. ``record`` is as ``run.json`` holds it; sections
    other than ``counts`` may be missing. ``overlays`` is the folder of the overlays, beside the
    page; None if none were written.

    Raises OutputWriteError if the page cannot be written.
    """
    measure, facts = measure_of(task), _facts(record)
    common, own, *scripts = ((_HERE / name).read_text("utf-8") for name in (*_STYLES, *SCRIPTS))
    style = common + own
    marks = {
        "policy": _POLICY.format(style=_hash(style), scripts=" ".join(map(_hash, scripts))),
        "title": escape(measure.title(task)),
        "style": style,
        "intended_use": escape(INTENDED_USE),
        "summary": escape(
            _summary(record["counts"], measure.NOTHING, has_pictures=overlays is not None)
        ),
        "model": escape(visible(facts.get("model: name", "unknown"))),
        "version": escape(facts.get("versions: edgeseg", "unknown")),
        "legend": _LEGEND if rows and any(name.endswith("dice") for name in rows[0]) else "",
        "calibration": _calibration_note(record.get("calibration")),
        "terms": table.html_table([("figure", "meaning"), *measure.TERMS.items()]),
        "flags": table.html_table([("flag", "meaning"), *measure.FLAGS.items()]),
        "facts": table.html_table([("name", "value"), *facts.items()]),
        "data": _DATA,
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    page = Template((_HERE / "page.html").read_text("utf-8")).substitute(marks)
    before, after = page.split(_DATA)
    parts = chain([before], _data(task, rows, overlays), [after])  # pictures are never all held
    write_atomic(path, (part.encode(errors="backslashreplace") for part in parts))


def _hash(text: str) -> str:
    """Return the name of a script or style in a content-security policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _summary(counts: Mapping[str, int], nothing: str, *, has_pictures: bool) -> str:
    images = "1 image" if counts["n_images"] == 1 else f"{counts['n_images']} images"
    missing = "" if has_pictures else " No overlays were written, so there are no pictures."
    waiting = f" {n} more wait to be measured." if (n := counts.get("n_waiting")) else ""
    return (
        f"{images}: {counts['ok']} ok, {counts['doubtful']} doubtful, {counts['empty']} {nothing}, "
        f"{counts['failed']} failed.{waiting}{missing}"
    )


def _calibration_note(calibration: Mapping[str, Any] | None) -> str:
    if calibration is None:
        return ""
    factor, shift_mm = calibration["factor"], calibration["shift_mm"]
    how = f"multiplied by {factor:.4f}" if factor != 1 else f"moved, HC by {shift_mm:+.1f} mm"
    text = f"Calibrated: millimetres are {how}, as this site measures; pixels are the model's own."
    return f"<p>{text}</p>"


def _facts(record: Mapping[str, Any]) -> dict[str, str]:
    """Flatten a run's record into names and values a person can read."""

    def text(value: Any) -> str:
        if value is None:
            return "not available"
        return f"{value:.2f}" if isinstance(value, float) else str(value)

    facts = {}
    for section in ("model", "timings", "host", "versions", "arguments"):
        for key, value in record.get(section, {}).items():
            if isinstance(value, Mapping):
                value = ", ".join(f"{name} {text(each)}" for name, each in value.items())
            if value is not None:
                facts[f"{section}: {key}"] = str(value)
    return facts


def _data(task: Task, rows: Rows, overlays: Path | None) -> Iterator[str]:
    """Yield the JSON of a page in parts, one an image, such that no part can end a script."""
    measure, titles = measure_of(task), [*rows[0]] if rows else []
    decimals = table.column_decimals(task)
    columns = [c for c in table.known_columns(task) if c.title and c.name in titles]
    head = {
        "task": task.kind,
        "titles": titles,
        "columns": [{"name": column.name, "title": column.title} for column in columns],
        "structures": task.structures if task.kind == "regions" else (),
        "measures": [*_measures(task)],
        "flags": dict(measure.FLAGS),
        "worst_first": table.WORST_FIRST,
        "nothing": measure.NOTHING,
        "decimals": decimals,
    }
    yield _json(head)[:-1] + ',"images":['
    within = _most_doubtful(rows) if overlays else frozenset()
    for i, row in enumerate(rows):
        image: dict[str, Any] = {"cells": table.cells(row, decimals), "texts": [""] * len(columns)}
        if row["status"] in ("ok", "doubtful"):
            figures = table.figures_of(row, task)
            image["texts"] = [column.text(figures) for column in columns]
        if overlays and row["status"] != "failed":
            image |= _picture(row, overlays, has_thumbnail=i in within)
        yield ("," if i else "") + _json(image)
    yield "]}"


def _measures(task: Task) -> Iterator[dict[str, str]]:
    """Yield what stands for an image: its columns' stem and unit, title, and colour if several."""
    columns = [c for c in measure_of(task).main_columns(task) if not c.name.endswith("_px")]
    for number, column in enumerate(columns, start=1):
        stem, _, unit = column.name.rpartition("_")
        blue, green, red = colour_bgr(number)
        colour = "" if task.kind == "head" else f"rgb({red}, {green}, {blue})"
        title = column.title.rpartition(" (")[0]
        yield {"title": title, "stem": stem, "unit": unit, "colour": colour}


def _picture(
    row: Mapping[str, table.Value], overlays: Path, *, has_thumbnail: bool
) -> dict[str, Any]:
    """Return where a row's overlay is, and if wanted its thumbnail and the overlay's own size."""
    name = picture_names(*table.key(row))["overlays"].removeprefix("overlays/")
    picture: dict[str, Any] = {"overlay": f"{quote(overlays.name)}/{quote(os.fsencode(name))}"}
    if has_thumbnail and (thumbnail := read_thumbnail(overlays / name)):
        picture["size"] = [thumbnail.width_px, thumbnail.height_px]
        picture["thumbnail"] = base64.b64encode(thumbnail.jpeg).decode("ascii")
    return picture


def _most_doubtful(rows: Rows) -> frozenset[int]:
    """Return the places of the rows whose pictures the page itself holds."""
    need = ((table.look_rank(row["status"], row["confidence"]), i) for i, row in enumerate(rows))
    return frozenset(i for _, i in heapq.nsmallest(MAX_THUMBNAILS, need))


def _json(value: Any) -> str:
    """Return JSON in ASCII that holds no ``<``, so that it can end no script."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
