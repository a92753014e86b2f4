"""HC18's labelled images listed several times, and an archive of them as rows of a table."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from edgeseg.archive.parquet import Reader
from edgeseg.network.task import Task
from edgeseg.output import table

PIXEL_SIZE_MM = 0.1


def listed(data: Path, repeats: int, top: Path) -> list[str]:
    """Return folders below ``top`` that each are all labelled images of HC18."""
    target = (data / "training_set").resolve()
    scans = [top / "scans" / f"{i:03d}" for i in range(repeats)]
    for folder in scans:
        folder.parent.mkdir(exist_ok=True)
        folder.symlink_to(target, target_is_directory=True)
    return [*map(str, scans)]


def rows_of(out: Path) -> list[dict[str, str]]:
    """Return the rows of an archive's parts as ``results.csv`` has them, without times."""
    decimals = table.column_decimals(Task())
    rows: list[dict[str, str]] = []
    for path in sorted((out / "parts").glob("*.parquet")):
        part = Reader(io.BytesIO(path.read_bytes()))
        values = part.rows(0, part.n_rows, part.names)
        for i in range(part.n_rows):
            row = {name: values[name][i] for name in part.names}
            rows.append(dict(zip(row, table.cells(row, decimals), strict=True)))
    return untimed(rows)


def untimed(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return rows without what differs from run to run."""
    return [{k: v for k, v in row.items() if k not in table.TIMING_COLUMNS} for row in rows]
