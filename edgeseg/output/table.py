"""The table of results, a row an image, whose values become text only where a CSV is written.

Films are summed up too: what their frames have in common, and which of them to look at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import groupby, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from edgeseg.measure.tasks import measure_of
from edgeseg.system.files import csv_text, write_atomic
from edgeseg.system.text import SIGNATURE, shield, visible

if TYPE_CHECKING:
    from edgeseg.measure.measurement import Column, Figures
    from edgeseg.network.task import Task
    from edgeseg.prediction import Prediction

RESULTS_NAME, CINES_NAME = "results.csv", "cines.csv"
STATUSES = ("ok", "doubtful", "empty", "failed")
WORST_FIRST = ("failed", "doubtful", "empty", "ok")  # which of them need a look first
_FIRST = ("file", "frame", "status", "reason", "flags", "confidence")
_PIXEL_SIZE = ("pixel_size_x_mm", "pixel_size_y_mm", "pixel_size_source")
OF_PATIENTS = ("patient_id", "accession_number", "study_instance_uid", "sop_instance_uid")
"""Columns that tell whose an image is; only a run that is asked to has them, at the very end."""
RULER_COLUMN = "ruler_pixel_size_mm"
"""Of runs that look for rulers, behind all other columns of the image."""
TIME_COLUMN = "time_s"
"""When a film shows the frame; the last column, where any film says so."""
TEXTS = ("file", "status", "reason", "flags", "pixel_size_source", *OF_PATIENTS)
"""Columns that hold texts; all others hold numbers."""
TIMING_COLUMNS = ("decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms")
_SURE = {"ok": 1, "doubtful": 0}
_DECIMALS = {"confidence": 4, "frame": 0, TIME_COLUMN: 3, **dict.fromkeys(TIMING_COLUMNS, 3)}

_SHOWN_ROWS = 20  # in a notebook

Value = str | int | float | None
Row = dict[str, Value]
"""The values of an image by column: texts, numbers rounded to the column's decimals, or None."""


def columns(
    task: Task, given: Sequence[Column] = (), *, ruler: bool = False, keep_ids: bool = False
) -> tuple[str, ...]:
    """Return the columns of a task's table: its own stand between those that all tasks have.

    Behind them are those of what a run was ``given`` besides, see
    `edgeseg.measure.measurement.TaskMeasure.given_columns`, with ``ruler`` `RULER_COLUMN`, and with
    ``keep_ids`` `OF_PATIENTS`.
    """
    own = (column.name for column in measure_of(task).columns(task))
    of_run = (column.name for column in given)
    last = (*((RULER_COLUMN,) if ruler else ()), *(OF_PATIENTS if keep_ids else ()))
    return (*_FIRST, *own, *_PIXEL_SIZE, *TIMING_COLUMNS, *of_run, *last)


def known_columns(task: Task) -> tuple[Column, ...]:
    """Return the columns of a task's figures, and of all that a run may be given besides."""
    measure = measure_of(task)
    return (*measure.columns(task), *measure.given_columns(task, ages=True, calibrated=True))


def column_decimals(task: Task) -> dict[str, int]:
    """Return how many decimals the numbers of each column have; those of pixel sizes have all."""
    return {column.name: column.decimals for column in known_columns(task)} | _DECIMALS


def key(row: Mapping[str, Value]) -> tuple[str, int]:
    """Return which frame of which file a row is of; 0 of a file that is one image."""
    return str(row["file"]), int(row["frame"] or 0)


def name(row: Mapping[str, Value]) -> str:
    """Return what people call the image of a row: ``scan.dcm, frame 3``."""
    return f"{row['file']}, frame {row['frame']}" if row["frame"] else str(row["file"])


def look_rank(status: Value, confidence: Value) -> float:
    """Return the place of a row among those that need a look: the lowest needs it most."""
    return WORST_FIRST.index(str(status)) + float(confidence or 0) / 2


def rounded(value: float | None, decimals: int) -> int | float | None:
    """Return a number with so many decimals, a whole one if none; None stays None."""
    if value is None:
        return None
    return round(float(value), decimals) if decimals else round(float(value))


def figure_values(figures: Figures, columns: Iterable[Column]) -> Row:
    """Return figures as a row has them; None where there is none."""
    return {c.name: rounded(figures.get(c.name), c.decimals) for c in columns}


def figures_of(row: Mapping[str, Value], task: Task) -> dict[str, float | None]:
    """Return the figures that a row holds."""
    names = [column.name for column in known_columns(task) if column.name in row]
    return {name: None if row[name] is None else float(row[name] or 0) for name in names}


def prediction_row(
    file: str,
    prediction: Prediction,
    decode_ms: float | None,
    given: Sequence[Column] = (),
    frame: int = 0,
) -> Row:
    """Return the row of an image that was read; ``given`` as in `columns`, frames from 1."""
    own = measure_of(prediction.task).columns(prediction.task)
    size, times_ms = prediction.pixel_size, (decode_ms, *prediction.times_ms)
    size_values = (float(size.x_mm), float(size.y_mm), size.source) if size else (None, None, "")
    ruler = prediction.frame.ruler
    return {
        "file": file,
        "frame": frame or None,
        "status": prediction.status,
        "reason": prediction.reason,
        "flags": ";".join(prediction.flags),
        "confidence": rounded(prediction.confidence, _DECIMALS["confidence"]),
        **figure_values(prediction.figures, own),
        **dict(zip(_PIXEL_SIZE, size_values, strict=True)),
        **{c: rounded(ms, _DECIMALS[c]) for c, ms in zip(TIMING_COLUMNS, times_ms, strict=True)},
        **figure_values(prediction.figures, given),
        **({} if ruler is None else {RULER_COLUMN: ruler.pixel_size_mm}),
    }


def failed_row(file: str, sentence: str, titles: Iterable[str], frame: int = 0) -> Row:
    """Return the row of an image that could not be measured, and why; its columns are given."""
    row: Row = {name: "" if name in TEXTS else None for name in titles}
    return row | {"file": file, "frame": frame or None, "status": "failed", "reason": sentence}


def cells(row: Mapping[str, Value], decimals: Mapping[str, int]) -> list[str]:
    """Return the texts of a row: numbers as `column_decimals` says, in full where it does not."""

    def text(column: str, value: Value) -> str:
        if value is None or isinstance(value, str):
            return value or ""
        return f"{value:.{decimals[column]}f}" if column in decimals else repr(value)

    return [text(column, value) for column, value in row.items()]


def write_csv(
    path: Path, titles: Iterable[str], rows: Iterable[Row], decimals: Mapping[str, int]
) -> None:
    """Write rows as CSV atomically, with a UTF-8 BOM, for Excel, and such that no text is run.

    What is no Unicode is escaped. Raises OutputWriteError if it cannot be written.
    """

    def parts() -> Iterator[str]:
        yield SIGNATURE + csv_text([[*map(shield, titles)]])
        for row in rows:
            texts = zip(row.values(), cells(row, decimals), strict=True)
            line = [shield(text) if isinstance(value, str) else text for value, text in texts]
            yield csv_text([line])

    write_atomic(path, (part.encode(errors="backslashreplace") for part in parts()))


def pack(row: Row) -> str:
    """Return a row's values as JSON, without its titles; see `Table`."""
    return json.dumps([*row.values()], separators=(",", ":"))


class Table(Sequence[Row]):
    """Rows in little memory: each as `pack` gives it, which may end before the titles do."""

    def __init__(self, titles: Iterable[str], packed: Iterable[str]) -> None:
        self.titles = tuple(titles)
        self._packed = tuple(packed)

    def __len__(self) -> int:
        return len(self._packed)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Table: ...
    def __getitem__(self, index: int | slice) -> Row | Table:
        if isinstance(index, slice):
            return Table(self.titles, self._packed[index])
        return dict(zip_longest(self.titles, json.loads(self._packed[index])))

    def _repr_html_(self) -> str:
        """Show itself in a notebook: the first rows, and how many more there are."""
        more = len(self) - _SHOWN_ROWS
        rest = f"<p>and {more} more rows</p>" if more > 0 else ""
        return html_table([self.titles, *(cells(row, {}) for row in self[:_SHOWN_ROWS])]) + rest


def html_table(lines: Iterable[Iterable[str]]) -> str:
    """Return a table whose first line are its titles."""
    titles, *rest = ([escape(visible(cell)) for cell in line] for line in lines)
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in rest)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def film_summaries(rows: Iterable[Mapping[str, Value]], task: Task) -> Iterator[Row]:
    """Yield a row a film, of the rows of all images, each film's together.

    Medians and spreads, the range in which the middle half lies, are of the frames that are
    ``ok``; the best frame is the one of them with the highest confidence. Refused are frames in
    which nothing was found, or which could not be read; the reason is that of the last of those.
    """
    for file, of_film in groupby(rows, key=lambda row: row["file"]):
        frames = [row for row in of_film if row["frame"]]
        if not frames:
            continue
        trusted = [row for row in frames if row["status"] == "ok"]
        n_doubtful = sum(row["status"] == "doubtful" for row in frames)
        best = best_frame(trusted)
        summary: Row = {
            "file": file,
            "n_frames": len(frames),
            "n_ok": len(trusted),
            "n_doubtful": n_doubtful,
            "n_refused": len(frames) - len(trusted) - n_doubtful,
            "best_frame": best["frame"] if best else None,
        }
        for column in measure_of(task).main_columns(task):
            found = [value for row in trusted if (value := row[column.name]) is not None]
            median = spread = None
            if found:
                low, median, high = np.percentile(np.array(found, float), (25, 50, 75)).tolist()
                spread = high - low
            summary[column.name] = rounded(median, column.decimals)
            summary[_spread(column)] = rounded(spread, column.decimals)
        failures = [row["reason"] for row in frames if row["status"] == "failed"]
        yield summary | {"reason": failures[-1] if failures else ""}


def best_frame(rows: Iterable[Mapping[str, Value]]) -> Mapping[str, Value] | None:
    """Return the row that speaks for a film: the surest, if possible undoubted; None if none is."""
    measured = [row for row in rows if row["status"] in _SURE]
    rank = lambda row: (_SURE[row["status"]], row["confidence"])  # noqa: E731
    return max(measured, key=rank, default=None)


def write_cines(path: Path, rows: Iterable[Mapping[str, Value]], task: Task) -> list[Row]:
    """Write the summary of films, and return it; without films there is no file.

    Raises OutputWriteError if it cannot be written.
    """
    found = [*film_summaries(rows, task)]
    if not found:
        path.unlink(missing_ok=True)
        return found
    spreads = {_spread(column): column.decimals for column in measure_of(task).main_columns(task)}
    write_csv(path, found[0], found, column_decimals(task) | spreads)
    return found


def _spread(column: Column) -> str:
    stem, _, unit = column.name.rpartition("_")
    return f"{stem}_spread_{unit}"
