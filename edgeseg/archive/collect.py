"""Checks that an archive is complete, and writes its summary, failures and report."""

from __future__ import annotations

import io
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.archive import parquet
from edgeseg.archive.place import Place
from edgeseg.archive.plan import (
    FAILURES_NAME,
    READS,
    SUMMARY_NAME,
    Archive,
    differences,
)
from edgeseg.errors import DataError
from edgeseg.measure.tasks import measure_of
from edgeseg.network.task import Task, read_task
from edgeseg.output.report.page import REPORT_NAME, write_page
from edgeseg.output.table import STATUSES, TIMING_COLUMNS, Row, look_rank
from edgeseg.system.files import csv_text, is_part, json_text
from edgeseg.system.parallel import ordered_map
from edgeseg.system.text import SIGNATURE, printable, shield

_MOST_SHOWN = 10_000  # rows of the report: what a browser opens in a second
_MAX_MISSING = 1000  # missing parts that the summary lists
_FAILURES = ("file", "frame", "reason", "path")
_FIRST_FAILURES = 10


@dataclass(slots=True)
class Collected:
    """What an archive holds of the frames and parts that its manifest lists."""

    missing: list[int]  # numbers of the parts that are not written yet
    statuses: Counter[str] = field(default_factory=Counter)  # how many rows have which
    flags: Counter[str] = field(default_factory=Counter)
    failures: list[Row] = field(default_factory=list)  # the first, with the path of the file


def collect(archive: Archive, on_part: Callable[[], None] = lambda: None) -> Collected:
    """Check an archive against its manifest, and write summary, failures and report beside it.

    Memory does not grow with the number of parts; ``on_part`` is called after each. Raises
    `DataError`, which names it, if there is no archive, or a part is damaged, is of another one, or
    has not the rows that the manifest lists; `OutputWriteError` if something cannot be written.
    """
    out, record = archive.plan.place, archive.read_own_record()
    task = read_task(record["model"]["task"])
    figures = ["confidence", *(column.name for column in measure_of(task).columns(task))]
    moments = {name: _Moments() for name in (*figures, *TIMING_COLUMNS)}
    done = sorted(archive.list_parts())
    missing = sorted({*range(archive.n_parts)}.difference(done))
    found = Collected(missing)
    needed: list[tuple[float, int, int]] = []  # `look_rank`, part, and row in it
    with_failures: list[int] = []
    open_part = partial(_open_part, archive, record)
    for number, part in zip(done, ordered_map(open_part, done, READS), strict=True):
        columns = part.rows(0, part.n_rows, ["status", "flags", "confidence"])
        for i, (status, flags, confidence) in enumerate(zip(*columns.values(), strict=True)):
            found.statuses[status] += 1
            found.flags.update(filter(None, flags.split(";")))
            needed.append((look_rank(status, confidence), number, i))
        if len(needed) > 10 * _MOST_SHOWN:
            needed = sorted(needed)[:_MOST_SHOWN]
        for name, values in part.arrays([*moments]).items():
            moments[name].add(values[np.isfinite(values)])
        if "failed" in columns["status"]:
            with_failures.append(number)
        on_part()
    counts = {status: found.statuses[status] for status in STATUSES}
    means = {name.removesuffix("_ms"): moments[name].as_dict()["mean"] for name in TIMING_COLUMNS}
    summary = {
        "status": "running" if missing else "done",
        **record,
        "counts": {"n_images": found.statuses.total(), **counts},
        "n_rows": archive.manifest.n_rows,
        "n_parts": archive.n_parts,
        "n_missing_parts": len(missing),
        "missing_parts": missing[:_MAX_MISSING],
        "flags": dict(sorted(found.flags.items())),
        "figures": {name: moments[name].as_dict() for name in figures},
        "timings": {"stages_ms": means},
    }
    (out / SUMMARY_NAME).write(json_text(summary).encode())
    (out / FAILURES_NAME).write(_failures_csv(archive, with_failures, open_part, found.failures))
    rows = _read_rows(sorted(key[1:] for key in sorted(needed)[:_MOST_SHOWN]), open_part)
    _write_report(out, task, rows, summary)
    if not missing:  # else somebody may be writing one
        for folder in (out, archive.parts):
            for name in filter(is_part, folder.list_names()):  # left by killed writers
                (folder / name).delete()
    return found


def _open_part(archive: Archive, record: Mapping[str, Any], number: int) -> parquet.Reader:
    """Open a part's file and hold it to the manifest."""
    place = archive.part(number)
    data = place.read_whole(parquet.is_whole)
    if not parquet.is_whole(data):
        raise DataError(f"{place.text}: damaged; run the archive again, which measures it anew")
    part = parquet.Reader(io.BytesIO(data))
    if differing := differences(part.record, record):
        raise DataError(f"{place.text} is of another archive: {differing}")
    start, stop = archive.rows_of(number)
    listed = (row.source for row in archive.manifest.read_rows(start, stop))
    keys = [(printable(source.file), source.frame or None) for source in listed]
    found = part.rows(0, part.n_rows, ["file", "frame"])
    if [*zip(*found.values(), strict=True)] != keys:
        raise DataError(
            f"{place.text} has not the rows {start} to {stop} of the manifest; delete it and run "
            "the archive again"
        )
    return part


def _failures_csv(
    archive: Archive,
    numbers: Sequence[int],
    open_part: Callable[[int], parquet.Reader],
    first: list[Row],
) -> Iterator[bytes]:
    """Yield the table of the failed rows of parts in pieces, and note the first of them."""
    yield (SIGNATURE + csv_text([_FAILURES])).encode()
    for number, part in zip(numbers, ordered_map(open_part, numbers, READS), strict=True):
        columns = part.rows(0, part.n_rows, ["file", "frame", "reason", "status"])
        listed = archive.manifest.read_rows(*archive.rows_of(number))
        for *cells, status, row in zip(*columns.values(), listed, strict=True):
            if status == "failed":
                cells.append(row.source.location)
                if len(first) < _FIRST_FAILURES:
                    first.append(dict(zip(_FAILURES, cells, strict=True)))
                line = csv_text([[shield(str(cell or "")) for cell in cells]])
                yield line.encode(errors="replace")


def _read_rows(
    keys: Iterable[tuple[int, int]], open_part: Callable[[int], parquet.Reader]
) -> list[Row]:
    """Return the rows of keys, each the number of a part and of a row in it; sorted."""
    found = []
    for number, keys_of_part in groupby(keys, itemgetter(0)):
        part = open_part(number)
        values = part.rows(0, part.n_rows, part.names)
        found += [{name: values[name][i] for name in part.names} for _, i in keys_of_part]
    return found


def _write_report(out: Place, task: Task, rows: Sequence[Row], summary: Mapping[str, Any]) -> None:
    """Write the page of some rows, of a summary that counts all; see `write_page`."""
    n_rows = summary["counts"]["n_images"]
    most = ", those that most need a look" if len(rows) < n_rows else ""
    record = {**summary, "arguments": {"rows shown": f"{len(rows)} of {n_rows}{most}"}}
    with tempfile.TemporaryDirectory(prefix="edgeseg-") as scratch:
        path = (out.local if out.is_local else Path(scratch)) / REPORT_NAME
        # pictures of a store stay where they are, beside the page
        overlays = path.with_name("overlays") if summary["overlays"] else None
        write_page(path, task, rows, record, overlays)
        if not out.is_local:
            (out / REPORT_NAME).write(path.read_bytes())


class _Moments:
    """Mean and variance of numbers that come in parts, from sums of distances to the first."""

    def __init__(self) -> None:
        self.n, self.first, self.sum, self.squares = 0, 0.0, 0.0, 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        if values.size:
            self.first = self.first if self.n else float(values[0])
            apart = values - self.first
            self.n, self.sum = self.n + values.size, self.sum + float(apart.sum())
            self.squares += float((apart**2).sum())
            self.low, self.high = min(self.low, values.min()), max(self.high, values.max())

    def as_dict(self) -> dict[str, float | int | None]:
        if not self.n:
            return {"n": 0, "mean": None, "sd": None, "min": None, "max": None}
        mean = self.sum / self.n
        around = max(0.0, self.squares - self.sum * mean)
        sd = math.sqrt(around / (self.n - 1)) if self.n > 1 else None
        low, high = float(self.low), float(self.high)
        return {"n": self.n, "mean": self.first + mean, "sd": sd, "min": low, "max": high}
