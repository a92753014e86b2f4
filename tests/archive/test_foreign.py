"""Manifests of other programs, with odd names and paths in them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

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

    def measures(rows: list[dict[str, Any]]) -> list[list[Any]]:
        return [[row["file"], row["status"], row["hc_mm"]] for row in rows]

    assert measures(rows_of(plan)) == measures(measured_by_infer(scans, tmp_path / "folder"))


def test_values_that_changed_places_are_another_manifest(plan: Plan) -> None:
    table = pq.read_table(plan.manifest)
    digests = set()
    for sizes in ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [0.1, 0.3, 0.2, 0.4, 0.5, 0.6, 0.7]):
        columns = {"path": table["path"], "pixel_size_x_mm": pa.array(sizes)}
        pq.write_table(pa.table(columns), plan.manifest, compression="none")
        digests.add(Manifest(plan.manifest).digest)
    assert len(digests) == 2


@pytest.mark.parametrize("first", [0, 6])
def test_a_frame_that_is_listed_twice_is_refused_however_far_apart(plan: Plan, first: int) -> None:
    table = pq.read_table(plan.manifest)
    pq.write_table(pa.concat_tables([table[first : first + 1], table]), plan.manifest)
    with pytest.raises(DataError, match=r"\.(png|jpg) is listed 2 times"):
        list(measure(plan))
    assert not open_archive(plan).plan.place.exists()


def test_frames_whose_hashes_are_alike_are_not_one(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pq.read_table(plan.manifest), plan.manifest)
    monkeypatch.setattr(manifest, "hash", lambda _: 1, raising=False)
    Manifest(plan.manifest).refuse_repeated()


def test_a_name_leads_nowhere_out_of_the_results(plan: Plan, scans: Path, tmp_path: Path) -> None:
    names = ["../../out.png", "..", "a/../b.png", "..\\c.png", "./d.png", "..e/f..png"]
    columns = {"path": [str(scans / "a.png")] * len(names), "file": names}
    pq.write_table(pa.table(columns), plan.manifest)
    list(measure(replace(plan, masks=True)))
    assert not collect(open_archive(replace(plan, masks=True))).missing
    assert [row["file"] for row in rows_of(plan)] == [
        "%2E%2E/%2E%2E/out.png", "%2E%2E", "a/%2E%2E/b.png", "%2E%2E\\c.png", "%2E/d.png",
        "..e/f..png",
    ]  # fmt: skip
    masks = tmp_path / "out" / "masks"
    assert len([*masks.rglob("*.png")]) == len([*tmp_path.rglob("*.png")]) - 6 == len(names)


def test_a_name_of_no_file_is_told(plan: Plan) -> None:
    pq.write_table(pa.table({"path": ["/a\0.png"]}), plan.manifest)
    with pytest.raises(DataError, match="a character that no name has"):
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
    with pytest.raises(InputNotFoundError, match="no other of the manifest can be read there"):
        list(measure(replace(plan, out=plan.out + "2")))
    assert (
        len(open_archive(replace(plan, out=plan.out + "2")).list_parts()) <= 1
    )  # of the odd ones alone


def test_a_row_without_a_path_is_told_by_its_number(plan: Plan, scans: Path) -> None:
    pq.write_table(pa.table({"path": [str(scans / "a.png"), None]}), plan.manifest)
    with pytest.raises(DataError, match="row 1, counted from 0, has the path ''"):
        list(measure(plan))


def test_a_column_that_is_there_twice_is_told(plan: Plan) -> None:
    pq.write_table(pa.table([["a"], ["b"]], ["path", "path"]), plan.manifest)
    with pytest.raises(DataError, match="at most once each"):
        open_archive(plan)


def test_a_side_of_no_length_is_no_pixel_size(plan: Plan, scans: Path) -> None:
    columns = {"pixel_size_x_mm": [0.2, 0.2], "pixel_size_y_mm": [0.0, None]}
    paths = [str(scans / "a.png"), str(scans / "b.jpg")]
    pq.write_table(pa.table({"path": paths, **columns}), plan.manifest)
    list(measure(plan))
    assert [row["status"] for row in rows_of(plan)] == ["failed", "ok"]


@pytest.mark.skipif(os.name == "nt", reason="needs named pipes")
@pytest.mark.parametrize("frame", [None, 1])
def test_a_pipe_is_a_row(plan: Plan, scans: Path, frame: int | None) -> None:
    os.mkfifo(scans / "pipe.dcm")
    paths = [str(scans / "pipe.dcm"), str(scans / "a.png")]
    pq.write_table(pa.table({"path": paths, "frame": [frame, None]}), plan.manifest)
    list(measure(plan))
    rows = rows_of(plan)
    assert [row["status"] for row in rows] == ["failed", "ok"]
    assert "a pipe or a device" in rows[0]["reason"]


def test_a_path_that_begins_in_no_folder_is_refused(plan: Plan) -> None:
    for path in ("imgs/a.png", "C:\\a.png" if os.name != "nt" else "a.png"):
        pq.write_table(pa.table({"path": [path]}), plan.manifest)
        with pytest.raises(DataError, match=r"row 0, counted from 0, has the path .* no folder"):
            list(measure(plan))
