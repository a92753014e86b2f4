"""The figures of all rows of an archive, and the rows that its report shows."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.archive.parquet import Reader
from edgeseg.archive.place import Place
from edgeseg.measure.tasks import measure_of
from edgeseg.network.task import Task
from edgeseg.output import table
from edgeseg.output.report.page import REPORT_NAME, write_page
from edgeseg.output.table import Row

_NEED = {"failed": 0.0, "doubtful": 2.0, "empty": 4.0, "ok": 6.0}  # and the confidence
_MOST_SHOWN = 10_000  # rows of the report: what a browser opens in a second


class Figures:
    """Number, mean, spread and range of each figure, and the mean times of the stages."""

    def __init__(self, task: Task) -> None:
        own = [column.name for column in measure_of(task).columns(task)]
        self._names = ["confidence", *own]
        self._moments = {name: _Moments() for name in (*self._names, *table.TIMING_COLUMNS)}

    def add(self, part: Reader) -> None:
        """Add the rows of a part."""
        for name, values in part.arrays([*self._moments]).items():
            self._moments[name].add(values[np.isfinite(values)])

    def as_dict(self) -> dict[str, dict[str, float | int | None]]:
        """Return them by column."""
        return {name: self._moments[name].as_dict() for name in self._names}

    def stages_ms(self) -> dict[str, float | None]:
        """Return the mean times, as ``run.json`` has them."""
        return {
            name.removesuffix("_ms"): self._moments[name].as_dict()["mean"]
            for name in table.TIMING_COLUMNS
        }


class _Moments:
    """Mean and variance of numbers that come in parts.

    Source: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing
    sample variances".
    """

    def __init__(self) -> None:
        self.n, self.mean, self.squares = 0, 0.0, 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        if not values.size:
            return
        n, mean = values.size, float(values.mean())
        apart = mean - self.mean
        self.squares += float(((values - mean) ** 2).sum()) + apart**2 * self.n * n / (self.n + n)
        self.mean += apart * n / (self.n + n)
        self.n += n
        self.low, self.high = min(self.low, values.min()), max(self.high, values.max())

    def as_dict(self) -> dict[str, float | int | None]:
        sd = math.sqrt(self.squares / (self.n - 1)) if self.n > 1 else None
        if not self.n:
            return {"n": 0, "mean": None, "sd": None, "min": None, "max": None}
        return {
            "n": self.n, "mean": self.mean, "sd": sd,
            "min": float(self.low), "max": float(self.high),
        }  # fmt: skip


class MostNeeded:
    """Which rows most need a look, of all: failed ones, doubtful ones, the least confident."""

    def __init__(self) -> None:
        self._need = np.empty(0)
        self._where = np.empty((0, 2), dtype=np.int64)

    def add(self, number: int, part: Reader, statuses: Sequence[str]) -> None:
        """Add the rows of a part."""
        (confidence,) = part.arrays(["confidence"]).values()
        need = np.array([_NEED.get(status, 0.0) for status in statuses])
        need += np.nan_to_num(confidence)
        where = np.column_stack([np.full(len(need), number), np.arange(len(need))])
        self._need = np.concatenate([self._need, need])
        self._where = np.concatenate([self._where, where])
        if len(self._need) > _MOST_SHOWN:
            kept = np.sort(np.argsort(self._need, kind="stable")[:_MOST_SHOWN])
            self._need, self._where = self._need[kept], self._where[kept]

    def list_rows(self, open_part: Callable[[int], Reader]) -> list[Row]:
        """Return them in the order of the manifest; see `collect`."""
        found = []
        for number in np.unique(self._where[:, 0]):
            part = open_part(int(number))
            values = part.rows(0, part.n_rows, part.names)
            for i in self._where[self._where[:, 0] == number, 1]:
                found.append({name: values[name][i] for name in part.names})
        return found


def write_report(
    out: Place, task: Task, rows: Sequence[Row], summary: Mapping[str, Any], *, overlays: bool
) -> None:
    """Write the page of some rows, of a summary that counts all; see `write_page`."""
    n_rows = summary["counts"]["n_images"]
    shown = f"{len(rows)} of {n_rows}"
    if len(rows) < n_rows:
        shown += ", those that most need a look"
    record = {**summary, "arguments": {"rows shown": shown}}
    with tempfile.TemporaryDirectory(prefix="edgeseg-") as scratch:
        path = (out.local if out.is_local else Path(scratch)) / REPORT_NAME
        # pictures of a store stay where they are, beside the page
        write_page(path, task, rows, record, path.with_name("overlays") if overlays else None)
        if not out.is_local:
            (out / REPORT_NAME).write(path.read_bytes())
