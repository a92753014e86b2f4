"""What an archive ended with: whether all of it is there, what failed, a summary, a report."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeseg.archive.arrow import parquet
from edgeseg.archive.plan import (
    FAILURES_NAME,
    SUMMARY_NAME,
    Archive,
    differences,
    read_record,
)
from edgeseg.archive.summary import Failures, Figures, MostNeeded, write_report
from edgeseg.errors import DataError
from edgeseg.network.task import read_task
from edgeseg.output.table import Row
from edgeseg.system.files import json_text
from edgeseg.system.parallel import ordered_map

_STATUSES = ("ok", "doubtful", "empty", "failed")
_READS = 8  # parts at once, most of which wait for a store
_MOST_TOLD = 1000  # of missing parts, in the summary


@dataclass(slots=True)
class Collected:
    """What is there of an archive.

    Attributes
    ----------
    n_rows, n_parts
        That the manifest asks for.
    missing
        Numbers of the parts that are not written yet.
    statuses, flags
        How many rows have which.
    failures
        The first rows that failed.
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
    out = archive.plan.place
    record = read_record(out)
    if record is None:
        raise DataError(f"{archive.plan.out}: there is no archive here")
    if record["manifest"]["sha256"] != archive.manifest.digest:
        raise DataError(f"{archive.plan.out} is of another manifest than {archive.manifest.text}")
    if record["part_size"] != archive.plan.part_size:
        raise DataError(
            f"{archive.plan.out} has parts of {record['part_size']} frames, not of "
            f"{archive.plan.part_size}; leave --part-size out"
        )
    task = read_task(record["model"]["task"])
    done = archive.list_parts()
    missing = [number for number in range(archive.n_parts) if number not in done]
    found = Collected(archive.manifest.n_rows, archive.n_parts, missing)
    figures, needed, failures = Figures(task), MostNeeded(), Failures(archive.manifest)
    numbers = sorted(done)
    parts = ordered_map(lambda number: _open_part(archive, number, record), numbers, _READS)
    for number, part in zip(numbers, parts, strict=True):
        statuses = part.counts("status")
        found.statuses.update(statuses)
        for flags, count in part.counts("flags").items():
            found.flags.update(dict.fromkeys(filter(None, flags.split(";")), count))
        figures.add(part)
        needed.add(number, part)
        if statuses.get("failed"):
            failures.add(part, archive.rows_of(number)[0])
        on_part()
    found.failures = failures.first
    summary = _summary(record, found, figures)
    (out / SUMMARY_NAME).write(json_text(summary).encode())
    (out / FAILURES_NAME).write(failures.pieces())
    rows = needed.rows(lambda number: _open_part(archive, number, record))
    write_report(out, task, rows, summary, overlays=record["overlays"])
    if not missing:  # else somebody may be writing one
        for place in (out, archive.parts):
            place.remove_parts()
    return found


def _open_part(archive: Archive, number: int, record: Mapping[str, Any]) -> parquet.Reader:
    """Open a part's file and hold it to the manifest."""
    place = archive.part(number)
    data = place.read_whole(parquet.is_whole)
    if not parquet.is_whole(data):
        raise DataError(f"{place.text}: damaged; run the archive again, which measures it anew")
    part = parquet.Reader(io.BytesIO(data))
    if differing := differences(part.record, record):
        raise DataError(f"{place.text} is of another archive: another {differing[0]}")
    start, stop = archive.rows_of(number)
    if part.n_rows != stop - start or not archive.manifest.has_rows(start, part):
        raise DataError(
            f"{place.text} has not the rows {start} to {stop} of the manifest; delete it and run "
            "the archive again"
        )
    return part


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
        "missing_parts": found.missing[:_MOST_TOLD],
        "flags": dict(sorted(found.flags.items())),
        "figures": figures.as_dict(),
        "timings": {"stages_ms": figures.stages_ms()},
    }
