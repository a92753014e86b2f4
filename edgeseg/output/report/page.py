"""One self-contained HTML page of a folder's results: ``report.html``."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from itertools import chain
from pathlib import Path
from string import Template
from typing import Any

from edgeseg.measure.tasks import measure_of
from edgeseg.network.metadata import INTENDED_USE
from edgeseg.network.task import Task
from edgeseg.output.report.data import Rows, page_data
from edgeseg.system.files import write_atomic
from edgeseg.system.text import visible

REPORT_NAME = "report.html"
SCRIPTS = (
    "text.js", "images.js", "ellipse.js", "figures.js", "charts.js", "grid.js", "viewer.js",
    "correct.js", "corrected.js", "main.js",
)  # fmt: skip
"""In the order in which the page loads them; they share one scope."""
_HERE = Path(__file__).parent
_DATA = "<!-- data -->"
# files beside the page have the scheme file on a disk, and the page's own origin on a server
_POLICY = (
    "default-src 'none'; img-src 'self' file: data: blob:; base-uri 'none'; form-action 'none'; "
    "style-src {style}; script-src {scripts}"
)


def write_page(
    path: Path, task: Task, rows: Rows, record: Mapping[str, Any], overlays: Path | None
) -> None:
    """Write the page: pictures, distributions, table, and the facts of the run.

    Parameters
    ----------
    rows
        Rows of the results table, in order. Where they have the columns ``hc_reference_mm``,
        ``hc_error_mm`` and ``dice``, or ``<class>_dice``, the page shows errors too.
    record
        The run's record, as ``run.json`` holds it; sections other than ``counts`` may be missing.
    overlays
        Folder of the overlay pictures, beside the page; None if none were written.

    Raises OutputWriteError if the page cannot be written.
    """
    measure = measure_of(task)
    style, *scripts = ((_HERE / name).read_text("utf-8") for name in ("style.css", *SCRIPTS))
    marks = {
        "policy": _POLICY.format(style=_hash(style), scripts=" ".join(map(_hash, scripts))),
        "title": escape(measure.title(task)),
        "style": style,
        "intended_use": escape(INTENDED_USE),
        "summary": escape(
            _summary(record["counts"], measure.NOTHING, has_pictures=overlays is not None)
        ),
        "calibration": _calibration_note(record.get("calibration")),
        "flags": _table([("flag", "meaning"), *measure.FLAGS.items()]),
        "facts": _table([("", ""), *_facts(record)]),
        "data": _DATA,
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    page = Template((_HERE / "page.html").read_text("utf-8")).substitute(marks)
    before, after = page.split(_DATA)
    parts = chain([before], page_data(task, rows, overlays), [after])  # pictures are never all held
    write_atomic(path, (part.encode(errors="backslashreplace") for part in parts))


def _hash(text: str) -> str:
    """Return the name of a script or style in a content-security policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _summary(counts: Mapping[str, int], nothing: str, *, has_pictures: bool) -> str:
    images = "1 image" if counts["n_images"] == 1 else f"{counts['n_images']} images"
    missing = "" if has_pictures else " No overlays were written, so there are no pictures."
    return (
        f"{images}: {counts['ok']} ok, {counts['doubtful']} doubtful, {counts['empty']} {nothing}, "
        f"{counts['failed']} failed.{missing}"
    )


def _calibration_note(calibration: Mapping[str, Any] | None) -> str:
    if calibration is None:
        return ""
    factor, shift_mm = calibration["factor"], calibration["shift_mm"]
    how = f"multiplied by {factor:.4f}" if factor != 1 else f"moved, HC by {shift_mm:+.1f} mm"
    return (
        f"<p>Calibrated: millimetres are {how}, as this site measures; pixels are the model's "
        "own.</p>"
    )


def _table(lines: Iterable[Iterable[str]]) -> str:
    """Return a table whose first line are its titles."""
    titles, *rest = ([escape(visible(cell)) for cell in line] for line in lines)
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in rest)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Flatten a run's record into names and values a person can read."""

    def text(value: Any) -> str:
        if value is None:
            return "not available"
        return f"{value:.2f}" if isinstance(value, float) else str(value)

    facts = []
    for section in ("model", "timings", "host", "versions", "arguments"):
        for key, value in record.get(section, {}).items():
            if isinstance(value, Mapping):
                value = ", ".join(f"{name} {text(each)}" for name, each in value.items())
            if value is not None:
                facts.append((f"{section}: {key}", str(value)))
    return facts
