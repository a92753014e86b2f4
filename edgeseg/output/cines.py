"""The summary of films: what their frames have in common, and which of them to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

import numpy as np

from edgeseg.measure.measurement import Column
from edgeseg.measure.tasks import measure_of
from edgeseg.network.task import Task
from edgeseg.output.table import Row, Value, column_decimals, rounded, write_csv

CINES_NAME = "cines.csv"
_FIRST = ("file", "n_frames", "n_ok", "n_doubtful", "n_refused", "best_frame")
_SURE = {"ok": 1, "doubtful": 0}


def columns(task: Task) -> tuple[str, ...]:
    """Return the columns of the summary of a task's films."""
    figures = measure_of(task).main_columns(task)
    named = (name for column in figures for name in (column.name, _spread(column)))
    return (*_FIRST, *named)


def summaries(rows: Iterable[Mapping[str, Value]], task: Task) -> Iterator[Row]:
    """Yield a row a film, of the rows of all images, each film's together.

    Medians and spreads, the range in which the middle half lies, are of the frames that are
    ``ok``; the best frame is the one of them with the highest confidence. Refused are frames in
    which nothing was found, or which could not be read.
    """
    for file, of_film in groupby(rows, key=lambda row: row["file"]):
        frames = [row for row in of_film if row["frame"]]
        if not frames:
            continue
        trusted = [row for row in frames if row["status"] == "ok"]
        n_doubtful = sum(row["status"] == "doubtful" for row in frames)
        n_refused = len(frames) - len(trusted) - n_doubtful
        best = best_frame(trusted)
        number = best["frame"] if best else None
        values = (file, len(frames), len(trusted), n_doubtful, n_refused, number)
        summary: Row = dict(zip(_FIRST, values, strict=True))
        for column in measure_of(task).main_columns(task):
            found = [value for row in trusted if (value := row[column.name]) is not None]
            median = spread = None
            if found:
                low, median, high = np.percentile(np.array(found, float), (25, 50, 75)).tolist()
                spread = high - low
            summary[column.name] = rounded(median, column.decimals)
            summary[_spread(column)] = rounded(spread, column.decimals)
        yield summary


def best_frame(rows: Iterable[Mapping[str, Value]]) -> Mapping[str, Value] | None:
    """Return the row that speaks for a film: the surest, if possible undoubted; None if none is."""
    measured = [row for row in rows if row["status"] in _SURE]
    rank = lambda row: (_SURE[row["status"]], row["confidence"])  # noqa: E731
    return max(measured, key=rank, default=None)


def write_cines(path: Path, rows: Iterable[Mapping[str, Value]], task: Task) -> list[Row]:
    """Write the summary of films, and return it; without films there is no file.

    Raises OutputWriteError if it cannot be written.
    """
    found = [*summaries(rows, task)]
    if not found:
        path.unlink(missing_ok=True)
        return found
    spreads = {_spread(column): column.decimals for column in measure_of(task).main_columns(task)}
    write_csv(path, columns(task), found, column_decimals(task) | spreads)
    return found


def _spread(column: Column) -> str:
    stem, _, unit = column.name.rpartition("_")
    return f"{stem}_spread_{unit}"
