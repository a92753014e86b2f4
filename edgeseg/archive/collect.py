"""Checks that an archive is complete, and writes its summary, failures and report."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edgeseg.archive import parquet
from edgeseg.archive.manifest import has_rows
from edgeseg.archive.plan import (
    FAILURES_NAME,
    READS,
    SUMMARY_NAME,
    Archive,
    differences,
    read_record,
)
from edgeseg.archive.summary import Figures, MostNeeded, write_report
from edgeseg.errors import DataError
from edgeseg.network.task import read_task
from edgeseg.output.table import Row
from edgeseg.system.cells import SIGNATURE, shield
from edgeseg.system.files import csv_text, json_text
from edgeseg.system.parallel import ordered_map

_STATUSES = ("ok", "doubtful", "empty", "failed")
_MAX_MISSING = 1000  # missing parts that the summary lists
_FAILURES = ("file", "frame", "reason", "path")
_FIRST_FAILURES = 10


@dataclass(slots=True)
class Collected:
    """What an archive holds.

    Attributes
    ----------
    n_rows, n_parts
        Of the manifest.
    missing
        Numbers of the parts that are not written yet.
    statuses, flags
        How many rows have which.
    failures
        The first failed rows: file, frame, reason, and the path of the file.
    """

    n_rows: int
    n_parts: int
    missing: list[int]
    statuses: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    failures: list[Row] = field(default_factory=list)


def collect(archive: Archive, on_part: Callable[[], None] = lambda: None) -> Collected:
    """Check an archive against its manifest, and write summary, failures and report beside it.

    Memory does not grow with the number of parts.

    Parameters
    ----------
    archive
        Of the plan that was run; its model is not opened.
    on_part
        Called after each part.

    Raises
    ------
    DataError
        If there is no archive, or a part is damaged, is of another one, or has not the rows
        that the manifest lists; the sentence names it.
    OutputWriteError
        If something cannot be written.
    """
    out, record = archive.plan.place, _read_own_record(archive)
    task = read_task(record["model"]["task"])
    done = sorted(archive.list_parts())
    missing = sorted({*range(archive.n_parts)}.difference(done))
    found = Collected(archive.manifest.n_rows, archive.n_parts, missing)
    figures, needed, with_failures = Figures(task), MostNeeded(), list[int]()
    open_part = partial(_open_part, archive, record)
    for number, part in zip(done, ordered_map(open_part, done, READS), strict=True):
        texts = part.rows(0, part.n_rows, ["status", "flags"])
        statuses = Counter(texts["status"])
        found.statuses.update(statuses)
        for flags in texts["flags"]:
            found.flags.update(filter(None, flags.split(";")))
        figures.add(part)
        needed.add(number, part, texts["status"])
        if statuses["failed"]:
            with_failures.append(number)
        on_part()
    summary = _summary(record, found, figures)
    (out / SUMMARY_NAME).write(json_text(summary).encode())
    failures = _find_failures(archive, with_failures, open_part)
    (out / FAILURES_NAME).write(_failures_csv(failures, found.failures))
    rows = needed.list_rows(open_part)
    write_report(out, task, rows, summary, overlays=record["overlays"])
    if not missing:  # else somebody may be writing one
        for place in (out, archive.parts):
            place.remove_parts()
    return found


def _read_own_record(archive: Archive) -> dict[str, Any]:
    """Return the record of an archive, which is of its plan's manifest and part size."""
    plan, manifest = archive.plan, archive.manifest
    record = read_record(plan.place)
    if record is None:
        raise DataError(f"{plan.out}: there is no archive here")
    if record["manifest"]["sha256"] != manifest.digest:
        raise DataError(f"{plan.out} is of another manifest than {manifest.text}")
    if record["part_size"] != plan.part_size:
        raise DataError(
            f"{plan.out} has parts of {record['part_size']} frames, not of {plan.part_size}; leave "
            "--part-size out"
        )
    return record


def _open_part(archive: Archive, record: Mapping[str, Any], number: int) -> parquet.Reader:
    """Open a part's file and hold it to the manifest."""
    place = archive.part(number)
    data = place.read_whole(parquet.is_whole)
    if not parquet.is_whole(data):
        raise DataError(f"{place.text}: damaged; run the archive again, which measures it anew")
    part = parquet.Reader(io.BytesIO(data))
    if differing := differences(part.record, record):
        raise DataError(f"{place.text} is of another archive: another {differing[0]}")
    start, stop = archive.rows_of(number)
    if not has_rows(part, archive.manifest.read_rows(start, stop)):
        raise DataError(
            f"{place.text} has not the rows {start} to {stop} of the manifest; delete it and run "
            "the archive again"
        )
    return part


def _find_failures(
    archive: Archive, numbers: Sequence[int], open_part: Callable[[int], parquet.Reader]
) -> Iterator[Row]:
    """Yield file, frame and reason of the failed rows of parts, and the path of the file."""
    names = ["file", "frame", "reason", "status"]
    for number, part in zip(numbers, ordered_map(open_part, numbers, READS), strict=True):
        columns = part.rows(0, part.n_rows, names)
        listed = archive.manifest.read_rows(*archive.rows_of(number))
        for *cells, status, row in zip(*(columns[name] for name in names), listed, strict=True):
            if status == "failed":
                yield dict(zip(_FAILURES, (*cells, row.source.location), strict=True))


def _failures_csv(rows: Iterable[Row], first: list[Row]) -> Iterator[bytes]:
    """Yield a table of failures in pieces, and note the first of them."""
    yield (SIGNATURE + csv_text([_FAILURES])).encode()
    for row in rows:
        if len(first) < _FIRST_FAILURES:
            first.append(row)
        cells = [shield(str(cell or "")) for cell in row.values()]
        yield csv_text([cells]).encode(errors="replace")


def _summary(record: Mapping[str, Any], found: Collected, figures: Figures) -> dict[str, Any]:
    """Return what ``summary.json`` holds."""
    return {
        "status": "running" if found.missing else "done",
        **record,
        "counts": {
            "n_images": sum(found.statuses.values()),
            **{status: found.statuses[status] for status in _STATUSES},
        },
        "n_rows": found.n_rows,
        "n_parts": found.n_parts,
        "n_missing_parts": len(found.missing),
        "missing_parts": found.missing[:_MAX_MISSING],
        "flags": dict(sorted(found.flags.items())),
        "figures": figures.as_dict(),
        "timings": {"stages_ms": figures.stages_ms()},
    }
