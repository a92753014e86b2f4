"""The table of results: one row an image, in a file that may be cut off at any moment."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import overload

from edgeseg.errors import DataError, OutputWriteError
from edgeseg.measure.measurement import Column, Figures
from edgeseg.measure.tasks import measure_of
from edgeseg.network.task import Task
from edgeseg.prediction import Prediction
from edgeseg.sources.frame import PixelSize
from edgeseg.system.cells import SIGNATURE, shield, unshield
from edgeseg.system.files import csv_text, write_atomic

RESULTS_NAME = "results.csv"
_FIRST = ("file", "frame", "status", "reason", "flags", "confidence")
_PIXEL_SIZE = ("pixel_size_x_mm", "pixel_size_y_mm", "pixel_size_source")
OF_PATIENTS = ("patient_id", "accession_number", "study_instance_uid", "sop_instance_uid")
"""Columns that tell whose an image is; only a run that is asked to has them, at the very end."""
_TEXTS = ("file", "status", "reason", "flags", "pixel_size_source", *OF_PATIENTS)
TIMING_COLUMNS = ("decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms")

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
        "confidence": number(prediction.confidence, 4),
        **figure_cells(prediction.figures, own),
        **pixel_size_cells(prediction.pixel_size),
        **{c: number(ms, 3) for c, ms in zip(TIMING_COLUMNS, times_ms, strict=True)},
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
    return csv_text([[shield(cell) if c in _TEXTS else cell for c, cell in row.items()]])


def typed(row: Row) -> dict[str, str | float | None]:
    """Return a row with its numbers as numbers, and None for those that are not there."""
    return {
        column: cell if column in _TEXTS else _value(cell) if cell else None
        for column, cell in row.items()
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
        for column in _TEXTS:
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
    write_atomic(path, map(_encoded, (header, *lines)))


def _encoded(text: str) -> bytes:
    return text.encode(errors="backslashreplace")


class RowAppender:
    """Appends rows to a results file, each on disk before the next image is reported.

    Parameters
    ----------
    durable
        Whether rows outlive a power cut too, at the price of a wait for the disk.

    Raises
    ------
    OutputWriteError
        If the file cannot be written.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self._path, self._durable = path, durable
        try:
            self._stream = path.open("ab", buffering=0)
        except OSError as error:
            raise OutputWriteError(f"{path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> RowAppender:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # each row is out, or its failure was raised
            self._stream.close()

    def append(self, lines: str) -> int:
        """Add a row, or several together, given as lines; all of them or, if that fails, none.

        Returns where they begin in the file, for `cut`.

        Raises
        ------
        OutputWriteError
            If they cannot be written, or durable rows would go to a file that is another by now: a
            spreadsheet that saves it, or whoever deletes it, leaves us with one nobody can open.
        """
        if self._durable and not self._is_ours():
            raise OutputWriteError(
                f"{self._path}: it was deleted or replaced while rows were added; put it back and "
                "start again"
            )
        start = self._stream.seek(0, io.SEEK_END)
        left = memoryview(_encoded(lines))
        try:
            while left:
                left = left[self._stream.write(left) or 0 :]
            if self._durable:
                os.fsync(self._stream.fileno())
        except OSError as error:
            self.cut(start)
            raise OutputWriteError(f"{self._path}: cannot be written ({error.strerror})") from error
        return start

    def _is_ours(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._stream.fileno()))
        except OSError:
            return False

    def cut(self, start: int) -> None:
        """Take back the rows that begin at a place in the file, and all that follow."""
        with contextlib.suppress(OSError):
            self._stream.truncate(start)
