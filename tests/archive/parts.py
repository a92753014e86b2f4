"""An archive measured as the command does, its parts as rows without their times; uploads."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from edgeseg.archive import parquet
from edgeseg.archive.manifest import Manifest
from edgeseg.archive.part_worker import Done
from edgeseg.archive.place import place_of
from edgeseg.archive.plan import Archive, Plan
from edgeseg.archive.pool import measure_parts
from edgeseg.segmenter import Segmenter
from tests.run.folders import run, untimed


def open_archive(plan: Plan) -> Archive:
    return Archive(plan, Manifest(plan.manifest))


def measure(
    plan: Plan, shard: tuple[int, int] = (0, 1), threads: int | None = None, **more: Any
) -> Iterator[Done]:
    """Measure the parts of a shard that are missing."""
    return measure_parts(plan, open_archive(plan).find_missing(shard), threads, **more)


def part_path(plan: Plan, number: int) -> Path:
    return open_archive(plan).part(number).local


def measured_by_infer(scans: Path, out: Path, size_mm: float | None = 0.2) -> list[Any]:
    segmenter = Segmenter("hc18-nano", device="cpu", threads=1)
    return untimed(run(segmenter, scans, out, size_mm).rows)


def placeless(rows: list[Any]) -> list[Any]:
    """Return rows of which those that failed do not name the place of their file."""
    return [
        {**row, "reason": row["reason"].rpartition(": ")[2]} if row["status"] == "failed" else row
        for row in rows
    ]


def rows_of(plan: Plan) -> list[dict[str, Any]]:
    archive = open_archive(plan)
    rows: list[Any] = []
    for number in sorted(archive.list_parts()):
        data = archive.part(number).read_whole(parquet.is_whole)
        rows += pq.read_table(io.BytesIO(data)).to_pylist()
    return untimed(rows)


def upload(scans: Path, url: str, store: str) -> None:
    """Put a folder into a store."""
    for path in filter(Path.is_file, scans.rglob("*")):
        place = place_of(f"{url}{store}") / path.relative_to(scans).as_posix()
        place.write(path.read_bytes())
