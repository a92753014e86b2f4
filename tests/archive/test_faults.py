"""What disks, processes and damage do to an archive."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections import Counter
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import pyarrow.parquet as pq
import pytest

from edgeseg.archive import alone, deaths, reading, summary
from edgeseg.archive.alone import run_alone
from edgeseg.archive.collect import collect
from edgeseg.archive.making import write_manifest
from edgeseg.archive.place import place_of
from edgeseg.archive.plan import Plan
from edgeseg.archive.work import Worker
from edgeseg.errors import DataError, ImageDecodeError, InputNotFoundError, OutputWriteError
from tests.archive.parts import opened, rows_of


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


def test_a_part_whose_columns_are_called_otherwise_is_damaged(plan: Plan, tmp_path: Path) -> None:
    list(run_alone(plan))
    path = tmp_path / "out" / "parts" / "part-00000001.parquet"
    path.write_bytes(path.read_bytes().replace(b"status", b"statvs"))
    cv2.setNumThreads(2)
    with pytest.raises(
        DataError, match=r"part-00000001\.parquet: cannot be read .* delete it"
    ) as raised:
        collect(opened(plan))
    assert raised.tb and cv2.getNumThreads() == 2  # nothing is read ahead, though frames live on


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
    monkeypatch.setattr("edgeseg.archive.place.time.sleep", lambda _: record.write(b"other"))
    record.write_first(b"mine")
    assert record.read() == b"other"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["archive.json"]
