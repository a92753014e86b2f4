"""Manifests: as of a folder, and of other programs, with odd names and paths in them."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgeseg.archive import manifest
from edgeseg.archive.collect import collect
from edgeseg.archive.manifest import Manifest
from edgeseg.archive.manifest_writer import write_manifest
from edgeseg.archive.place import place_of
from edgeseg.archive.plan import Plan
from edgeseg.errors import DataError, EdgesegError, InputNotFoundError
from edgeseg.inputs.discover import discover
from edgeseg.inputs.facts import PixelSizes
from edgeseg.inputs.size_table import read_table
from edgeseg.inputs.source import Source
from edgeseg.run.worker import PixelSizesOfSources
from tests.archive.conftest import measure, measured_by_infer, open_archive, rows_of


def make(inputs: list[Path], out: Path, **more: object) -> list[dict[str, object]]:
    write_manifest([str(path) for path in inputs], place_of(str(out)), **more)  # type: ignore[arg-type]
    rows: list[dict[str, object]] = pq.read_table(out).to_pylist()
    return rows


def images(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"none")
    return folder


def test_names_and_order_are_those_of_a_folder(tmp_path: Path) -> None:
    a = images(tmp_path / "x" / "s", "b.png", "ä/a.png", "only.png", "Z.png")
    b = images(tmp_path / "y" / "s", "b.png", "ä/a.png")
    rows = make([a, b, a / "b.png"], tmp_path / "m.parquet")
    found = discover([str(a), str(b), str(a / "b.png")]).items
    assert [(row["file"], row["path"]) for row in rows] == [(i.file, i.location) for i in found]
    assert rows[0]["size_bytes"] == 4 and rows[0]["frame"] is None


def size_or_reason(sizes: PixelSizesOfSources, item: Source, shape: Any) -> object:
    try:
        return sizes.size_of(item, shape)
    except EdgesegError as error:
        return str(error)


@pytest.mark.parametrize(
    "table",
    [
        "filename,pixel size(mm)\na/1.png,0.1\na/2.png,0.2\nb/1.png,\nb/9.png,0.4\n",
        "file,pixel size x (mm),pixel size y (mm)\nD:\\study\\a\\1.png,0.1,0.2\n2,0.1,0.1\n3,5,5\n",
        "filename,pixel size(mm)\n1.png,0.1\n1.png,0.2\n2.png,0.1\n2.png,0.1\n3.png,77\n",
        "filename,pixel size(mm)\nother/a/1.png,0.1\nother/b/1.png,0.3\nelse/a/1.png,0.1\n",
        "filename,pixel size(mm),width,height\na/1.png,0.1,640,480\na/2.png,0.2,640,480\n",
    ],
)
def test_pixel_sizes_are_matched_as_in_a_folder(tmp_path: Path, table: str) -> None:
    scans = images(tmp_path / "scans", "a/1.png", "a/2.png", "b/1.png", "3.png")
    path = tmp_path / "sizes.csv"
    path.write_text(table, "utf-8")
    said: list[str] = []
    make([scans], tmp_path / "m.parquet", table=path, on_notice=said.append)
    items = discover([str(scans)]).items
    told: list[str] = []
    sizes = PixelSizes(items, None, read_table(path, told.append))
    manifest = Manifest(str(tmp_path / "m.parquet"))
    for item, listing in zip(items, manifest.read_rows(0, manifest.n_rows), strict=True):
        assert listing.source == item
        for shape in (None, (480, 640), (48, 64)):
            found = [size_or_reason(each, item, shape) for each in (listing, sizes)]
            assert found[0] == found[1]
    examples = re.compile("such as.*|: its row.*")  # any of several that are alike
    assert {examples.sub("", text) for text in said} == {
        examples.sub("", text) for text in [*told, *sizes.notices]
    }


def test_a_table_of_no_image_is_refused(tmp_path: Path) -> None:
    scans, table = images(tmp_path / "scans", "a.png"), tmp_path / "sizes.csv"
    table.write_text("filename,pixel size(mm)\nx.png,0.1\n")
    with pytest.raises(DataError, match="no row of the pixel-size table is of any image"):
        make([scans], tmp_path / "m.parquet", table=table)
    with pytest.raises(InputNotFoundError, match="no image in"):
        make([images(tmp_path / "none", "a.txt")], tmp_path / "m.parquet")
    with pytest.raises(DataError, match="not a table of Parquet"):
        Manifest(str(table))


def test_values_that_changed_or_changed_places_are_another_manifest(tmp_path: Path) -> None:
    """Of edgeseg's making, and of another program's."""
    scans, out = images(tmp_path / "s", "a.png", "b.png"), tmp_path / "m.parquet"
    digests = []
    for mm in (0.125, 0.375, 0.375):
        make([scans], out, pixel_size_mm=mm)
        digests.append(Manifest(str(out)).digest)
    for sizes in ([0.1, 0.2, 0.3, 0.4], [0.1, 0.3, 0.2, 0.4]):
        pq.write_table(pa.table({"path": [*"abcd"], "mm": sizes}), out, compression="none")
        digests.append(Manifest(str(out)).digest)
    assert digests[1] == digests[2] and len({*digests}) == 4


def test_rows_are_read_across_groups(tmp_path: Path) -> None:
    """Of another program's making, with a path alone and groups of any size."""
    paths = [f"/scans/{i:03d}.png" for i in range(100)]
    pq.write_table(pa.table({"path": paths}), tmp_path / "m.parquet", row_group_size=7)
    manifest = Manifest(str(tmp_path / "m.parquet"))
    for start, stop in ((0, 100), (6, 8), (13, 13), (7, 14), (99, 100)):
        found = [listing.source.location for listing in manifest.read_rows(start, stop)]
        assert found == paths[start:stop]
    assert manifest.read_rows(0, 1)[0].size is None


@pytest.mark.skipif(os.name == "nt", reason="files that are open keep their names")
def test_a_killed_list_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is made in has no name in the folder from the start."""
    scans, out = images(tmp_path / "scans", "a.png", "b.png"), tmp_path / "out"
    seen: list[list[Path]] = []
    write = pq.ParquetWriter.write_table

    def look(*given: object, **more: object) -> None:
        seen.append([*out.iterdir()])
        write(*given, **more)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", look)
    write_manifest([str(scans)], place_of(str(out / "m.parquet")), 0.2)
    assert seen == [[]] and [path.name for path in out.iterdir()] == ["m.parquet"]


def test_a_manifest_of_another_program_is_read_whatever_its_types(
    plan: Plan, scans: Path, tmp_path: Path
) -> None:
    table = pq.read_table(plan.manifest)
    nothing = pa.array([float("nan")] * len(table))
    columns = {
        "path": table["path"].cast(pa.large_string()),
        "file": table["file"].dictionary_encode(),
        "frame": nothing,
        "size_bytes": nothing,
        "pixel_size_x_mm": table["pixel_size_x_mm"].cast(pa.string()),
    }
    pq.write_table(pa.table(columns), plan.manifest)
    list(measure(plan))
    assert not collect(open_archive(plan)).missing
    found, expected = (
        [(row["file"], row["status"], row["hc_mm"]) for row in rows]
        for rows in (rows_of(plan), measured_by_infer(scans, tmp_path / "folder"))
    )
    assert found == expected


def test_a_frame_that_is_listed_twice_is_refused_however_far_apart(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pq.read_table(plan.manifest)
    pq.write_table(pa.concat_tables([table[:1], table]), plan.manifest)
    with pytest.raises(DataError, match=r"\.png is listed 2 times"):
        list(measure(plan))
    assert not plan.place.exists()
    pq.write_table(table, plan.manifest)
    monkeypatch.setattr(manifest, "hash", lambda _: 1, raising=False)  # alike, but not one
    Manifest(plan.manifest).refuse_repeated()


def test_a_name_leads_nowhere_out_of_the_results(plan: Plan, scans: Path, tmp_path: Path) -> None:
    names = ["../../out.png", "..", "a/../b.png", "..\\c.png", "./d.png", "..e/f..png"]
    columns = {"path": [str(scans / "a.png")] * len(names), "file": names}
    pq.write_table(pa.table(columns), plan.manifest)
    plan = replace(plan, masks=True)
    list(measure(plan))
    assert not collect(open_archive(plan)).missing
    assert [row["file"] for row in rows_of(plan)] == [
        "%2E%2E/%2E%2E/out.png", "%2E%2E", "a/%2E%2E/b.png", "%2E%2E\\c.png", "%2E/d.png",
        "..e/f..png",
    ]  # fmt: skip
    masks = tmp_path / "out" / "masks"
    assert len([*masks.rglob("*.png")]) == len([*tmp_path.rglob("*.png")]) - 6 == len(names)


def test_what_is_no_manifest_is_told(plan: Plan) -> None:
    for table, says in (
        (pa.table({"name": ["a"]}), "expected 'path'"),
        (pa.table([["a"], ["b"]], ["path", "path"]), "at most once each"),
        (pa.table({"path": ["/a.png", None]}), "row 1, counted from 0, has the path ''"),
        (pa.table({"path": ["imgs/a.png"]}), "row 0, .* begins in no folder"),
        (pa.table({"path": ["/a\0.png"]}), "a character that no name has"),
    ):
        pq.write_table(table, plan.manifest)
        with pytest.raises(DataError, match=says):
            list(measure(plan))


def test_odd_paths_are_rows_and_hide_no_disk_that_is_gone(plan: Plan, scans: Path) -> None:
    odd = ["ftp://host/a.png", "file://other/a.png"]
    paths = [*odd, *(str(scans / name) for name in ("a.png", "b.jpg", "a b/a.png"))]
    pq.write_table(pa.table({"path": paths}), plan.manifest)
    list(measure(plan))
    reasons = [row["reason"] for row in rows_of(plan)]
    assert "cannot be opened" in reasons[0] and "'other'" in reasons[1]
    assert reasons[2:] == [""] * 3
    scans.rename(scans.with_name("gone"))
    again = replace(plan, out=plan.out + "2")
    with pytest.raises(InputNotFoundError, match="no other of the manifest can be read there"):
        list(measure(again))
    assert len(open_archive(again).list_parts()) <= 1  # of the odd ones alone


@pytest.mark.skipif(os.name == "nt", reason="needs named pipes")
@pytest.mark.parametrize("frame", [None, 1])
def test_a_pipe_or_a_side_of_no_length_is_a_row(plan: Plan, scans: Path, frame: int | None) -> None:
    os.mkfifo(scans / "pipe.dcm")
    paths = [str(scans / name) for name in ("pipe.dcm", "a.png", "b.jpg")]
    sides = {"pixel_size_x_mm": [None, 0.2, 0.2], "pixel_size_y_mm": [None, 0.0, None]}
    pq.write_table(pa.table({"path": paths, "frame": [frame, None, None], **sides}), plan.manifest)
    list(measure(plan))
    rows = rows_of(plan)
    assert [row["status"] for row in rows] == ["failed", "failed", "ok"]
    assert "a pipe or a device" in rows[0]["reason"]
