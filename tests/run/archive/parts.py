"""What the parts of an archive hold, as rows of ``results.csv`` without their times."""

from __future__ import annotations

import io

import pyarrow.parquet as pq

from edgeseg.network.task import Task
from edgeseg.output.table import TIMING_COLUMNS, Row, row_of_values
from edgeseg.run.archive.manifest import Manifest
from edgeseg.run.archive.plan import Archive, Plan


def rows_of(plan: Plan) -> list[Row]:
    archive = Archive(plan, Manifest(plan.manifest))
    rows = []
    for number in sorted(archive.done()):
        table = pq.read_table(io.BytesIO(archive.part(number).read()))
        rows += [row_of_values(values, Task()) for values in table.to_pylist()]
    return [{k: v for k, v in row.items() if k not in TIMING_COLUMNS} for row in rows]
