"""How time and memory of an archive's commands grow with its images.

    python benchmarks/archive_growth.py --data HC18 --files 10000 100000 --rows 100000 1000000

`edgeseg manifest` lists folders of 1,000 files, the images of HC18 under further names (hard links
in --scratch), with one pixel size and with a table of as many. Then manifests of more rows are
written, of the same files again and again: `edgeseg archive` measures the last part, and `edgeseg
archive --collect` reads all parts, which are that one with other names. Prints Markdown, and leaves
``results/archive-growth.json``.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from library.archives import PIXEL_SIZE_MM
from library.processes import EDGESEG, run, write_result

from edgeseg.archive import parquet
from edgeseg.archive.manifest import SCHEMA
from edgeseg.archive.plan import part_schema
from edgeseg.network.task import Task

_PART = "part-{:08d}.parquet"
_PART_ROWS = 1000
_GROUP_ROWS = 20_000


def link(scans: list[Path], count: int, top: Path) -> Path:
    """Make folders of files; returns the table of their pixel sizes."""
    table = top / "sizes.csv"
    with table.open("w", encoding="utf-8") as stream:
        stream.write("filename,pixel size(mm)\n")
        for i, scan in zip(range(count), itertools.cycle(scans), strict=False):
            folder = top / "scans" / f"{i // 1000:05d}"
            if i % 1000 == 0:
                folder.mkdir(parents=True)
            os.link(scan, folder / f"{i:08d}.png")
            stream.write(f"{i:08d}.png,{PIXEL_SIZE_MM}\n")
    return table


def write_rows(scans: list[Path], count: int, manifest: Path) -> None:
    """Write a manifest of files that each are listed many times."""
    paths = [str(scan.resolve()) for scan in scans]

    def group(start: int) -> dict[str, list[Any]]:
        numbers = range(start, min(start + _GROUP_ROWS, count))
        values: dict[str, list[Any]] = {name: [None] * len(numbers) for name in SCHEMA.names}
        values["path"] = [paths[i % len(paths)] for i in numbers]
        values["file"] = [name_of(i) for i in numbers]
        for side in "xy":
            values[f"pixel_size_{side}_mm"] = [PIXEL_SIZE_MM] * len(numbers)
        return values

    with manifest.open("w+b") as stream:
        parquet.write_table(stream, SCHEMA, map(group, range(0, count, _GROUP_ROWS)), {})


def name_of(row: int) -> str:
    """Return what a row of such a manifest calls its image."""
    return f"{row // 1000:05d}/{row:08d}.png"


def copy_part(parts: Path, n_rows: int) -> None:
    """Write the last part under the names of all others, with their files' names."""
    n_parts = -(-n_rows // _PART_ROWS)
    last = parquet.Reader(io.BytesIO((parts / _PART.format(n_parts - 1)).read_bytes()))
    columns = part_schema(Task(), last.names)
    values = last.rows(0, last.n_rows, last.names)
    for number in range(n_parts - 1):
        start = number * _PART_ROWS
        values["file"] = [name_of(i) for i in range(start, start + _PART_ROWS)]
        data = parquet.table_bytes(columns, values, last.record)
        (parts / _PART.format(number)).write_bytes(data)


def of_files(scans: list[Path], count: int, top: Path) -> Iterator[dict[str, Any]]:
    """Yield what listing files costs."""
    table, out = link(scans, count, top), top / "m.parquet"
    listing = [*EDGESEG, "manifest", str(top / "scans"), "--out", str(out), "--overwrite"]
    for what, more in (
        ("one pixel size", ["--pixel-size", str(PIXEL_SIZE_MM)]),
        ("a table of as many", ["--pixel-sizes", str(table)]),
    ):
        cost = run([*listing, *more])
        bytes_each = round(out.stat().st_size / count, 1)
        yield {"what": f"manifest, {what}", "n": count, **cost._asdict(), "bytes_each": bytes_each}


def of_rows(scans: list[Path], count: int, top: Path) -> Iterator[dict[str, Any]]:
    """Yield what a part and collecting all parts costs."""
    manifest, out = top / "m.parquet", top / "out"
    write_rows(scans, count, manifest)
    n_parts = -(-count // _PART_ROWS)
    archive = [*EDGESEG, "archive", str(manifest), "--out", str(out), "--device", "cpu"]
    share = ["--threads", "2", "--shard", f"{n_parts - 1}/{n_parts}"]
    yield {"what": "archive, one part", "n": count, **run([*archive, *share])._asdict()}
    copy_part(out / "parts", count)
    yield {"what": "archive --collect", "n": count, **run([*archive, "--collect"])._asdict()}


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description="What grows with the images of an archive.")
    parser.add_argument("--data", type=Path, required=True, help="HC18 folder")
    parser.add_argument("--files", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--scratch", type=Path, help="folder to work in")
    options = parser.parse_args()
    files = sorted((options.data / "training_set").glob("*.png"))
    given = [path for path in files if not path.stem.endswith("_Annotation")]
    rows = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scans = [Path(shutil.copy(path, folder)) for path in given]
        for measure, counts in ((of_files, options.files), (of_rows, options.rows)):
            for count in counts:
                top = Path(folder, f"{measure.__name__}-{count}")
                top.mkdir()
                for row in measure(scans, count, top):
                    rows.append({k: round(v, 2) if k != "what" else v for k, v in row.items()})
                    print(rows[-1], flush=True)  # noqa: T201
                shutil.rmtree(top)
    write_result("archive-growth", {"rows": rows})
    print("| | images | s | CPU s | peak MiB |\n|---|--:|--:|--:|--:|")  # noqa: T201
    for row in rows:
        figures = f"{row['wall_s']:.1f} | {row['cpu_s']:.1f} | {row['peak_rss_mb']:.0f}"
        print(f"| {row['what']} | {row['n']:,} | {figures} |")  # noqa: T201


if __name__ == "__main__":
    main()
