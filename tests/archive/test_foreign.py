"""Manifests of other programs, with odd names and paths in them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgeseg.archive import manifest
from edgeseg.archive.collect import collect
from edgeseg.archive.manifest import Manifest
from edgeseg.archive.plan import Plan
from edgeseg.errors import DataError, InputNotFoundError
from tests.archive.parts import measure, measured_by_infer, open_archive, rows_of


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
