"""What other programs, odd names, disks and processes do to an archive."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections import Counter
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgeseg.errors import DataError, ImageDecodeError, InputNotFoundError, OutputWriteError
from edgeseg.run.archive import alone, deaths, manifest, reading, summary
from edgeseg.run.archive.alone import run_alone
from edgeseg.run.archive.collect import collect
from edgeseg.run.archive.making import write_manifest
from edgeseg.run.archive.manifest import Manifest
from edgeseg.run.archive.place import place_of
from edgeseg.run.archive.plan import Plan
from edgeseg.run.archive.work import Worker
from tests.run.archive.parts import rows_of
from tests.run.archive.test_archive import measured_by_infer, opened


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
    list(run_alone(plan))
    assert not collect(opened(plan)).missing

    def measures(rows: list[dict[str, str]]) -> list[list[str]]:
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
        list(run_alone(plan))
    assert not opened(plan).plan.place.is_there()


def test_frames_whose_hashes_are_alike_are_not_one(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pq.read_table(plan.manifest), plan.manifest)
    monkeypatch.setattr(manifest, "hash", lambda _: 1, raising=False)
    Manifest(plan.manifest).refuse_repeated()


@pytest.mark.skipif(os.name == "nt", reason="needs names that are no Unicode")
def test_a_name_that_is_no_unicode_stops_nothing(plan: Plan, scans: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(scans) + b"/\xffa.png"))
    os.link(scans / "a.png", odd)
    write_manifest([str(scans)], place_of(plan.manifest), 0.2)
    odd.unlink()
    list(run_alone(plan))
    assert not collect(opened(plan)).missing
    (reason,) = [row["reason"] for row in rows_of(plan) if "no such file" in row["reason"]]
    assert "a.png" in reason


def test_a_disk_whose_files_cannot_be_read_makes_no_rows(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(path: Path) -> bytes:
        raise ImageDecodeError(f"{path}: cannot be read (Stale file handle)")

    def refuse(*_: object) -> bytes:
        raise InputNotFoundError("cannot be read")

    worker = Worker(plan)
    monkeypatch.setattr(reading.image_file, "read_bytes", stale)
    monkeypatch.setattr(reading.Place, "read", refuse)
    with pytest.raises(InputNotFoundError, match=r"Stale file handle.* connected"):
        list(worker.run([0]))
    assert not opened(plan).done()


def test_a_part_size_is_held_to_that_of_the_archive(plan: Plan) -> None:
    list(run_alone(plan))
    with pytest.raises(DataError, match="has parts of 2 frames, not of 3"):
        collect(opened(replace(plan, part_size=3)))


def test_a_damaged_value_is_found(plan: Plan, tmp_path: Path) -> None:
    list(run_alone(plan))
    path = tmp_path / "out" / "parts" / "part-00000001.parquet"
    whole = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    whole[start + column.total_compressed_size - 1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"part-00000001\.parquet: cannot be read"):
        collect(opened(plan))


def test_a_record_of_something_else_is_refused(plan: Plan, tmp_path: Path) -> None:
    list(run_alone(plan))
    record = tmp_path / "out" / "archive.json"
    record.write_text(record.read_text().replace('"task"', '"no_task"'))
    with pytest.raises(DataError, match="no record of an archive"):
        collect(opened(plan))


def test_processes_that_die_at_once_are_not_started_for_ever(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "_serve", _die)
    monkeypatch.setattr(deaths, "MOST_IN_A_ROW", 3)
    with pytest.raises(OutputWriteError, match="3 processes died one after the other"):
        list(run_alone(plan, threads=2, processes=2))


def _die(plan: Plan, threads: int, pipe: Connection) -> None:
    os._exit(9)


def test_a_fault_in_a_process_is_told_as_it_is(plan: Plan) -> None:
    broken = replace(plan, calibration="none")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*asdict"):
        list(run_alone(broken, threads=2, processes=2))


def test_a_name_leads_nowhere_out_of_the_results(plan: Plan, scans: Path, tmp_path: Path) -> None:
    names = ["../../out.png", "..", "a/../b.png", "..\\c.png", "./d.png", "..e/f..png"]
    columns = {"path": [str(scans / "a.png")] * len(names), "file": names}
    pq.write_table(pa.table(columns), plan.manifest)
    list(run_alone(replace(plan, masks=True)))
    assert not collect(opened(replace(plan, masks=True))).missing
    assert [row["file"] for row in rows_of(plan)] == [
        "%2E%2E/%2E%2E/out.png", "%2E%2E", "a/%2E%2E/b.png", "%2E%2E\\c.png", "%2E/d.png",
        "..e/f..png",
    ]  # fmt: skip
    masks = tmp_path / "out" / "masks"
    assert len([*masks.rglob("*.png")]) == len([*tmp_path.rglob("*.png")]) - 6 == len(names)


def test_a_name_of_no_file_is_told(plan: Plan) -> None:
    pq.write_table(pa.table({"path": ["/a\0.png"]}), plan.manifest)
    with pytest.raises(DataError, match="a character that no name has"):
        list(run_alone(plan))


def test_odd_paths_are_rows_and_hide_no_disk_that_is_gone(plan: Plan, scans: Path) -> None:
    odd = ["ftp://host/a.png", "file://other/a.png"]
    paths = [*odd, *(str(scans / name) for name in ("a.png", "b.jpg", "a b/a.png"))]
    pq.write_table(pa.table({"path": paths}), plan.manifest)
    list(run_alone(plan))
    reasons = [row["reason"] for row in rows_of(plan)]
    assert "cannot be opened" in reasons[0] and "'other'" in reasons[1]
    assert reasons[2:] == [""] * 3
    scans.rename(scans.with_name("gone"))
    with pytest.raises(InputNotFoundError, match="no other of the manifest can be read there"):
        list(run_alone(replace(plan, out=plan.out + "2")))
    assert len(opened(replace(plan, out=plan.out + "2")).done()) <= 1  # of the odd ones alone


def test_a_row_without_a_path_is_told_by_its_number(plan: Plan, scans: Path) -> None:
    pq.write_table(pa.table({"path": [str(scans / "a.png"), None]}), plan.manifest)
    with pytest.raises(DataError, match="row 1, counted from 0, has no path"):
        list(run_alone(plan))


def test_a_column_that_is_there_twice_is_told(plan: Plan) -> None:
    pq.write_table(pa.table([["a"], ["b"]], ["path", "path"]), plan.manifest)
    with pytest.raises(DataError, match="the column 'path' twice"):
        opened(plan)


def test_a_side_of_no_length_is_no_pixel_size(plan: Plan, scans: Path) -> None:
    columns = {"pixel_size_x_mm": [0.2, 0.2], "pixel_size_y_mm": [0.0, None]}
    paths = [str(scans / "a.png"), str(scans / "b.jpg")]
    pq.write_table(pa.table({"path": paths, **columns}), plan.manifest)
    list(run_alone(plan))
    assert [row["status"] for row in rows_of(plan)] == ["failed", "ok"]


@pytest.mark.skipif(os.name == "nt", reason="needs named pipes")
@pytest.mark.parametrize("frame", [None, 1])
def test_a_pipe_is_a_row(plan: Plan, scans: Path, frame: int | None) -> None:
    os.mkfifo(scans / "pipe.dcm")
    paths = [str(scans / "pipe.dcm"), str(scans / "a.png")]
    pq.write_table(pa.table({"path": paths, "frame": [frame, None]}), plan.manifest)
    list(run_alone(plan))
    rows = rows_of(plan)
    assert [row["status"] for row in rows] == ["failed", "ok"]
    assert "a pipe or a device" in rows[0]["reason"]


def test_a_part_whose_columns_are_called_otherwise_is_damaged(plan: Plan, tmp_path: Path) -> None:
    list(run_alone(plan))
    path = tmp_path / "out" / "parts" / "part-00000001.parquet"
    path.write_bytes(path.read_bytes().replace(b"status", b"statvs"))
    with pytest.raises(DataError, match=r"part-00000001\.parquet: cannot be read .* delete it"):
        collect(opened(plan))


def test_a_part_that_cannot_be_read_now_is_not_to_be_deleted(plan: Plan, tmp_path: Path) -> None:
    list(run_alone(plan))
    path = tmp_path / "out" / "parts" / "part-00000001.parquet"
    path.unlink()
    path.mkdir()
    with pytest.raises(InputNotFoundError, match="a folder") as raised:
        collect(opened(plan))
    assert "delete" not in str(raised.value)


def test_no_space_for_the_failures_is_told(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def flush(self) -> None:
            if self.tell() > 100:
                raise OSError(errno.ENOSPC, "No space left on device")

    list(run_alone(plan))
    monkeypatch.setattr(summary.tempfile, "TemporaryFile", Full)
    with pytest.raises(OutputWriteError, match=r"No space left on device.*TMPDIR"):
        collect(opened(plan))


def test_deaths_of_a_few_parts_end_no_run_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaths, "MOST_IN_A_ROW", 3)
    seen = deaths.Deaths()
    seen.written()
    for _ in range(9):
        assert seen.add([1]) == [1] and seen.add([2, 3]) == [2, 3]
    assert seen.add([1, 2]) == [] and seen.add([3, 4]) == [4]
    with pytest.raises(OutputWriteError, match="of part 1, 2, 3 the process died 10 times"):
        seen.check()
    assert seen.add([]) == [] and seen.add([]) == []
    with pytest.raises(OutputWriteError, match="3 processes died one after the other"):
        seen.add([])


def test_a_folder_of_a_disk_that_is_there_may_be_gone(plan: Plan, scans: Path) -> None:
    """Its files are rows, and the run goes on; while it is read, the run ends first."""
    for i in range(8):
        (scans / f"{i}.png").write_bytes((scans / "a.png").read_bytes())
    there = scans.parent / "there"
    there.mkdir()
    for i in range(100):
        os.link(scans / "a.png", there / f"{i}.png")
    write_manifest([str(scans), str(there)], place_of(plan.manifest), 0.2)
    plan = replace(plan, part_size=20, read_ahead=0)
    shutil.rmtree(scans)
    list(run_alone(plan))
    counts = Counter(row["status"] for row in rows_of(plan))
    assert counts == {"failed": 15, "ok": 100}


def test_a_path_that_begins_in_no_folder_is_refused(plan: Plan) -> None:
    for path in ("imgs/a.png", "C:\\a.png" if os.name != "nt" else "a.png"):
        pq.write_table(pa.table({"path": [path]}), plan.manifest)
        with pytest.raises(DataError, match=r"row 0, counted from 0, has the path .* no folder"):
            list(run_alone(plan))


@pytest.mark.parametrize("processes", [1, 2])
def test_an_output_of_no_name_is_told(plan: Plan, tmp_path: Path, processes: int) -> None:
    with pytest.raises(OutputWriteError, match=r"archive\.json: cannot be written|File name too"):
        list(run_alone(replace(plan, out=str(tmp_path / ("a" * 300))), processes=processes))


def test_on_a_drive_without_links_who_is_last_wins(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    record = place_of(str(tmp_path / "out" / "archive.json"))
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr("edgeseg.run.archive.place.time.sleep", lambda _: record.write(b"other"))
    record.write_first(b"mine")
    assert record.read() == b"other"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["archive.json"]
