"""What the parts of an archive hold, as rows of ``results.csv`` without their times; uploads."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq

from edgeseg.network.task import Task
from edgeseg.output.table import TIMING_COLUMNS, Row, row_of_values
from edgeseg.run.archive.manifest import Manifest
from edgeseg.run.archive.place import place_of
from edgeseg.run.archive.plan import Archive, Plan


def rows_of(plan: Plan) -> list[Row]:
    archive = Archive(plan, Manifest(plan.manifest))
    rows = []
    for number in sorted(archive.done()):
        table = pq.read_table(io.BytesIO(archive.part(number).read()))
        rows += [row_of_values(values, Task()) for values in table.to_pylist()]
    return [{k: v for k, v in row.items() if k not in TIMING_COLUMNS} for row in rows]


def upload(scans: Path, url: str, store: str) -> None:
    """Put a folder into a store."""
    for path in scans.rglob("*"):
        if path.is_file():
            name = path.relative_to(scans).as_posix()
            place_of(f"{url}{store}").below(name).write(path.read_bytes())
