"""The table of results: one row an image, in a file that may be cut off at any moment."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import overload

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize
from edgeseg.measure.measurement import Column, Figures
from edgeseg.measure.tasks import measure_of
from edgeseg.network.task import Task
from edgeseg.prediction import Prediction
from edgeseg.system.cells import SIGNATURE, shield, unshield
from edgeseg.system.files import csv_text, write_atomic

RESULTS_NAME = "results.csv"
_FIRST = ("file", "frame", "status", "reason", "flags", "confidence")
_PIXEL_SIZE = ("pixel_size_x_mm", "pixel_size_y_mm", "pixel_size_source")
OF_PATIENTS = ("patient_id", "accession_number", "study_instance_uid", "sop_instance_uid")
"""Columns that tell whose an image is; only a run that is asked to has them, at the very end."""
TEXTS = ("file", "status", "reason", "flags", "pixel_size_source", *OF_PATIENTS)
"""Columns that hold texts; all others hold numbers."""
TIMING_COLUMNS = ("decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms")
_DECIMALS = {"confidence": 4, "frame": 0, **dict.fromkeys(TIMING_COLUMNS, 3)}

_SHOWN_ROWS = 20  # in a notebook

Row = dict[str, str]


def columns(task: Task, given: Sequence[Column] = (), *, keep_ids: bool = False) -> tuple[str, ...]:
    """Return the columns of a task's table: its own stand between those that all tasks have.

    Parameters
    ----------
    given
        Those at the end, of what a run was given besides; see
        `edgeseg.measure.measurement.TaskMeasure.given_columns`.
    keep_ids
        Whether those of `OF_PATIENTS` follow.
    """
    own = (column.name for column in measure_of(task).columns(task))
    of_run = (column.name for column in given)
    of_patients = OF_PATIENTS if keep_ids else ()
    return (*_FIRST, *own, *_PIXEL_SIZE, *TIMING_COLUMNS, *of_run, *of_patients)


def key(row: Mapping[str, str]) -> tuple[str, int]:
    """Return which frame of which file a row is of; 0 of a file that is one image."""
    return row["file"], int(row["frame"] or 0)


def name(row: Mapping[str, str]) -> str:
    """Return what people call the image of a row: ``scan.dcm, frame 3``."""
    return f"{row['file']}, frame {row['frame']}" if row["frame"] else row["file"]


def number(value: float | None, decimals: int) -> str:
    """Format a number with fixed decimals; None becomes an empty cell."""
    return "" if value is None else f"{value:.{decimals}f}"


def pixel_size_cells(pixel_size: PixelSize | None) -> dict[str, str]:
    """Return the cells of a pixel size, in full: it was given, not measured."""
    if pixel_size is None:
        return dict.fromkeys(_PIXEL_SIZE, "")
    values = (repr(float(pixel_size.x_mm)), repr(float(pixel_size.y_mm)), pixel_size.source)
    return dict(zip(_PIXEL_SIZE, values, strict=True))


def figure_cells(figures: Figures, columns: Iterable[Column]) -> dict[str, str]:
    """Return the cells of figures; those that an image has not are empty."""
    return {c.name: number(figures.get(c.name), c.decimals) for c in columns}


def figures_of(row: Mapping[str, str], task: Task) -> dict[str, float | None]:
    """Return the figures that a row holds."""
    measure = measure_of(task)
    given = measure.given_columns(task, ages=True, calibrated=True)
    names = [column.name for column in (*measure.columns(task), *given) if column.name in row]
    return {name: float(row[name]) if row[name] else None for name in names}


def prediction_row(
    file: str,
    prediction: Prediction,
    decode_ms: float,
    given: Sequence[Column] = (),
    frame: int = 0,
) -> Row:
    """Return the row of an image that was read, ``ok`` or ``empty`` as something was found.

    ``given`` are the columns at the end, see `columns`; ``frame`` counts from 1.
    """
    own = measure_of(prediction.task).columns(prediction.task)
    times_ms = (decode_ms, *prediction.times_ms)
    return {
        "file": file,
        "frame": str(frame or ""),
        "status": prediction.status,
        "reason": prediction.reason,
        "flags": ";".join(prediction.flags),
        "confidence": number(prediction.confidence, _DECIMALS["confidence"]),
        **figure_cells(prediction.figures, own),
        **pixel_size_cells(prediction.pixel_size),
        **{c: number(ms, _DECIMALS[c]) for c, ms in zip(TIMING_COLUMNS, times_ms, strict=True)},
        **figure_cells(prediction.figures, given),
    }


def failed_row(
    file: str, sentence: str, task: Task, given: Sequence[Column] = (), frame: int = 0
) -> Row:
    """Return the row of an image that could not be measured, and why."""
    row = dict.fromkeys(columns(task, given), "")
    return row | {"file": file, "frame": str(frame or ""), "status": "failed", "reason": sentence}


def _value(cell: str) -> float:
    return int(cell) if cell.isdecimal() else float(cell)


def read_rows(path: Path, titles: Sequence[str] | None = None) -> Table:
    """Read the rows of a results file; a last row that was cut off is left out.

    Parameters
    ----------
    titles
        The columns it must have; None takes those it has.

    Raises
    ------
    DataError
        If it is not a results file.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); use --overwrite to start anew"
        ) from error
    # Rows end in a newline; what follows the last one was being written.
    rows = csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    found = next(rows, None)
    if found is None:
        return Table(titles or _FIRST, [])
    found = [*map(unshield, found)]
    if (titles is not None and found != list(titles)) or found[: len(_FIRST)] != list(_FIRST):
        raise DataError(
            f"{path}: its columns are not those of this edgeseg and model, or not of the ages and "
            "calibration given; choose another output folder or use --overwrite"
        )
    return Table(found, (csv_text([row]) for row in rows if len(row) == len(found)))


def line(row: Row) -> str:
    """Return a row as its line of the results file, its texts such that no spreadsheet runs them.

    See `edgeseg.system.cells.shield`; `Table` gives the texts back as they were.
    """
    return csv_text([[shield(cell) if c in TEXTS else cell for c, cell in row.items()]])


def typed(row: Row) -> dict[str, str | float | None]:
    """Return a row with its numbers as numbers, and None for those that are not there."""
    return {
        column: cell if column in TEXTS else _value(cell) if cell else None
        for column, cell in row.items()
    }


def row_of_values(values: Mapping[str, str | float | None], task: Task) -> Row:
    """Return the row that `typed` was given, of what it returned."""
    measure = measure_of(task)
    known = (*measure.columns(task), *measure.given_columns(task, ages=True, calibrated=True))
    decimals = {column.name: column.decimals for column in known} | _DECIMALS
    return {
        column: value
        if isinstance(value, str)
        else ("" if value is None else repr(value))
        if column in _PIXEL_SIZE
        else number(value, decimals.get(column, 0))
        for column, value in values.items()
    }


class Table(Sequence[Row]):
    """Rows in little memory: each as its line of the file, parsed whenever it is looked at.

    Parameters
    ----------
    titles
        Its columns.
    lines
        As `line` gives them.
    """

    def __init__(self, titles: Iterable[str], lines: Iterable[str]) -> None:
        self.titles = tuple(titles)
        self.lines = tuple(lines)

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Table: ...
    def __getitem__(self, index: int | slice) -> Row | Table:
        if isinstance(index, slice):
            return Table(self.titles, self.lines[index])
        cells = next(csv.reader(io.StringIO(self.lines[index], newline="")))
        row = dict(zip(self.titles, cells, strict=True))
        for column in TEXTS:
            if "'" in row.get(column, ""):
                row[column] = unshield(row[column])
        return row

    def _repr_html_(self) -> str:
        """Show itself in a notebook: the first rows, and how many more there are."""
        head = "".join(f"<th>{escape(title)}</th>" for title in self.titles)
        lines = (
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row.values())}</tr>"
            for row in self[:_SHOWN_ROWS]
        )
        more = len(self) - _SHOWN_ROWS
        rest = f"<p>and {more} more rows</p>" if more > 0 else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>{rest}"


def write_lines(path: Path, titles: Iterable[str], lines: Iterable[str]) -> None:
    """Write a whole results file atomically, with the mark by which Excel knows UTF-8."""
    header = SIGNATURE + csv_text([[*map(shield, titles)]])
    write_atomic(path, map(encoded, (header, *lines)))


def encoded(text: str) -> bytes:
    """Return lines as the file has them; names that are no text are escaped."""
    return text.encode(errors="backslashreplace")
