"""Parts that are measured, claimed and collected, and what disks and full drives do to them."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from edgeseg.archive import parquet, part_worker
from edgeseg.archive import plan as plans
from edgeseg.archive.collect import collect
from edgeseg.archive.manifest_writer import write_manifest
from edgeseg.archive.part_worker import PartWorker
from edgeseg.archive.place import Place, place_of
from edgeseg.archive.plan import Plan
from edgeseg.errors import DataError, InputNotFoundError, OutputExistsError, OutputWriteError
from edgeseg.images import image_file
from edgeseg.segmenter import Segmenter
from edgeseg.system import files
from tests.archive.conftest import measure, measured_by_infer, open_archive, part_path, rows_of
from tests.fakes import record_calls


def test_rows_are_those_of_a_folder_digit_for_digit_and_typed(
    plan: Plan, scans: Path, tmp_path: Path
) -> None:
    done = list(measure(plan, threads=2))
    assert [each.number for each in done] == [0, 1, 2, 3]
    assert sum(each.statuses.get("failed", 0) for each in done) == 3
    assert rows_of(plan) == measured_by_infer(scans, tmp_path / "folder")
    schema = pq.read_schema(part_path(plan, 0))
    types = [str(schema.field(name).type) for name in ("hc_mm", "frame", "flags")]
    assert types == ["double", "int32", "string"]


def test_parts_that_are_there_are_passed_over_whoever_wrote_them(plan: Plan) -> None:
    shards = [[d.number for d in measure(plan, (i, 3))] for i in (1, 3)]
    assert shards == [[1], [0, 3]]  # of three shares, counted from 1
    before = part_path(plan, 1).stat().st_mtime_ns
    assert [d.number for d in measure(plan)] == [2]
    assert not list(measure(plan)) and not list(PartWorker(plan).run([0, 1, 2, 3]))
    assert part_path(plan, 1).stat().st_mtime_ns == before


def test_what_is_of_another_archive_is_refused(plan: Plan, scans: Path, tmp_path: Path) -> None:
    list(measure(plan))
    other = place_of(str(tmp_path / "other.parquet"))
    write_manifest([str(scans / "a b")], other, 0.2)
    changes: dict[str, dict[str, object]] = {
        "model ": {"model": "hc18-edge"}, "part size ": {"part_size": 3},
        "choice of masks ": {"masks": True}, "manifest ": {"manifest": other.text},
    }  # fmt: skip
    for says, change in changes.items():
        with pytest.raises(DataError, match=f"another {says}"):
            PartWorker(replace(plan, **change))  # type: ignore[arg-type]
    for change in ({"manifest": other.text}, {"part_size": 3}):
        with pytest.raises(DataError, match=r"another (manifest|part size )"):
            collect(open_archive(replace(plan, **change)))
    record = tmp_path / "out" / "archive.json"
    record.write_text(record.read_text().replace('"task"', '"no_task"'))
    with pytest.raises(DataError, match="no record of an archive"):
        collect(open_archive(plan))


def test_of_two_begun_at_once_one_is_refused(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter, late = Segmenter("hc18-nano", device="cpu"), open_archive(replace(plan, part_size=3))
    read = plans.read_record

    def other_first(out: Place) -> object:
        monkeypatch.setattr(plans, "read_record", read)
        open_archive(plan).claim(segmenter)
        return None  # as it was before

    monkeypatch.setattr(plans, "read_record", other_first)
    with pytest.raises(DataError, match="another part size "):
        late.claim(segmenter)
    assert json.loads((plan.place / "archive.json").read())["part_size"] == 2
    assert [*plan.place.list_names()] == ["archive.json"]


@pytest.mark.parametrize("name", ["report.html", "masks"])
def test_nothing_of_others_is_overwritten(plan: Plan, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(OutputExistsError, match=name):
        list(measure(replace(plan, masks=True)))
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_part_is_whole_or_not_there(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it is written, whatever is left is no part."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    worker = PartWorker(plan)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # nor is anything tidied
        list(worker.run([0]))
    parts = plan.place.local / "parts"
    assert not open_archive(plan).list_parts() and len(list(parts.iterdir())) == 1
    collect(open_archive(plan))
    assert len(list(parts.iterdir())) == 1  # somebody's who goes on
    list(measure(plan))
    collect(open_archive(plan))
    assert all(path.suffix == ".parquet" for path in parts.iterdir())


def test_pictures_survive_a_power_cut_if_their_part_does(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, Path]] = []
    plan = replace(plan, masks=True, overlays=True)
    worker, out = PartWorker(plan), plan.place.local
    for module in (part_worker, files):
        record_calls(monkeypatch, events, module, "sync", lambda path: ("flush", path))
    record_calls(monkeypatch, events, Path, "replace", lambda _, new: ("name", new))
    list(worker.run([0]))
    pictures = {"masks/a b/a.png", "masks/a b/ü.png", "overlays/a b/a.jpg", "overlays/a b/ü.jpg"}
    folders = {out / "masks" / "a b", out / "overlays" / "a b"}
    *before, (_, part), named, flushed = events
    flushes = {path for what, path in before if what == "flush"}
    assert flushes == {*map(out.joinpath, pictures), *folders}
    path = part_path(plan, 0)
    assert files.is_part(part.name) and [named, flushed] == [("name", path), ("flush", path.parent)]
    collect(open_archive(plan))
    assert "data:image/jpeg" in (out / "report.html").read_text("utf-8")


def test_collecting_tells_what_is_missing_and_what_failed(plan: Plan, tmp_path: Path) -> None:
    list(measure(plan, (0, 2)))
    assert collect(open_archive(plan)).missing == [1, 3]
    list(measure(plan))
    found = collect(open_archive(plan))
    assert not found.missing and found.statuses == {"ok": 4, "failed": 3}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert summary["status"] == "done" and summary["counts"]["failed"] == 3
    mean = sum(row["hc_mm"] or 0 for row in rows_of(plan)) / 4
    assert summary["figures"]["hc_mm"]["n"] == 4
    assert summary["figures"]["hc_mm"]["mean"] == pytest.approx(mean)
    failures = (tmp_path / "out" / "failures.csv").read_text("utf-8-sig").splitlines()
    files = ["file", "broken.png", "empty.png", "text.png"]
    assert [line.split(",")[0] for line in failures] == files
    assert [row["file"] for row in found.failures] == files[1:]
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000


def test_a_part_of_other_rows_or_another_archive_is_found_out(plan: Plan) -> None:
    list(measure(plan))
    path = part_path(plan, 1)
    part = parquet.Reader(io.BytesIO(path.read_bytes()))
    columns = plans.part_schema(Segmenter("hc18-nano").metadata.task, part.names)
    for n_rows, record, says in (
        (1, part.record, r"part-00000001\.parquet has not the rows 2 to 4"),
        (2, {**part.record, "part_size": 3}, "is of another archive: another part size"),
    ):
        path.write_bytes(parquet.table_bytes(columns, part.rows(0, n_rows, part.names), record))
        with pytest.raises(DataError, match=says):
            collect(open_archive(plan))
    path.write_bytes(part_path(plan, 0).read_bytes())
    with pytest.raises(DataError, match="has not the rows 2 to 4"):
        collect(open_archive(plan))


def test_a_damaged_part_is_told_and_measured_again(plan: Plan, scans: Path, tmp_path: Path) -> None:
    list(measure(plan))
    path, notices = part_path(plan, 1), list[str]()
    whole = path.read_bytes()
    places = [i * (len(whole) - 1) // 8 for i in range(9)]
    flipped = [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in places]
    for damaged in (b"", whole[: len(whole) // 2], whole + b"\0", *flipped):
        path.write_bytes(damaged)
        notices.clear()
        assert open_archive(plan).find_missing(on_notice=notices.append) == [1]
        assert len(notices) == 1 and path.name in notices[0]
        with pytest.raises(DataError, match=rf"{path.name}: damaged; run the archive again"):
            collect(open_archive(plan))
        assert open_archive(plan).find_missing((0, 2)) == []  # not of this share
    assert [done.number for done in PartWorker(plan).run([0, 1])] == [1]
    assert not collect(open_archive(plan)).missing
    assert rows_of(plan) == measured_by_infer(scans, tmp_path / "folder")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_each_frame_has_one_row_though_it_is_killed_again_and_again(
    plan: Plan, scans: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "edgeseg", "archive", plan.manifest, "--out", plan.out]
    command += ["--part-size", "2", "--threads", "2", "--processes", "2"]
    for n_parts in (0, 1, 2, 3):  # that are written when it is killed, or more
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None:
            has_begun = (plan.place / "archive.json").exists()
            if has_begun and len(open_archive(plan).list_parts()) >= n_parts:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)  # until its processes have ended too
    assert subprocess.run(command, check=False, capture_output=True).returncode in (0, 1)
    assert rows_of(plan) == measured_by_infer(scans, tmp_path / "folder")


@pytest.mark.skipif(os.name == "nt", reason="needs names that are no Unicode")
def test_names_that_are_no_unicode_stop_nothing(plan: Plan, scans: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(scans.parent) + b"/\xff"))
    manifest, out = place_of(str(folder / "m.parquet")), place_of(str(folder / "out"))
    odd = Path(os.fsdecode(os.fsencode(scans) + b"/\xffa.png"))
    os.link(scans / "a.png", odd)
    write_manifest([str(scans)], manifest, 0.2)
    odd.unlink()
    plan = replace(plan, manifest=manifest.text, out=out.text)
    list(measure(plan))
    assert not collect(open_archive(plan)).missing and (folder / "out" / "report.html").exists()
    (reason,) = [row["reason"] for row in rows_of(plan) if "no such file" in row["reason"]]
    assert "a.png" in reason


@pytest.mark.parametrize("n_parts", [0, 1])
@pytest.mark.parametrize("is_stale", [False, True])
def test_a_disk_that_is_gone_makes_no_rows(
    plan: Plan, scans: Path, n_parts: int, is_stale: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(place: Place, *_: object) -> bytes:
        raise InputNotFoundError(f"{place.text}: cannot be read (Stale file handle)")

    parts = iter(PartWorker(replace(plan, read_ahead=0)).run([0, 1, 2, 3]))
    for _ in range(n_parts):
        next(parts)
    if is_stale:  # what was opened cannot be read
        monkeypatch.setattr(Place, "read", stale)
        monkeypatch.setattr(image_file, "read_bytes", lambda path: stale(place_of(str(path))))
    else:
        scans.rename(scans.with_name("gone"))
    with pytest.raises(InputNotFoundError, match="no other of the manifest can be read there"):
        list(parts)
    assert len(open_archive(plan).list_parts()) < 1 + 3 * n_parts


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
    list(measure(plan))
    counts = Counter(row["status"] for row in rows_of(plan))
    assert counts == {"failed": 15, "ok": 100}


def test_one_file_that_is_gone_or_changed_is_a_failed_row(plan: Plan, scans: Path) -> None:
    (scans / "a.png").unlink()
    with (scans / "a b" / "a.png").open("ab") as stream:
        stream.write(b"more")
    list(measure(plan))
    reasons = {row["file"]: row["reason"] for row in rows_of(plan)}
    assert "no such file" in reasons["a.png"]
    assert "it was changed since; make a new manifest" in reasons["a b/a.png"]


def test_a_part_that_cannot_be_read_now_is_not_damaged(plan: Plan) -> None:
    list(measure(plan))
    path = part_path(plan, 1)
    path.unlink()
    path.mkdir()
    for read in (collect, lambda archive: archive.find_missing()):
        with pytest.raises(InputNotFoundError, match="a folder") as raised:
            read(open_archive(plan))
        assert "damaged" not in str(raised.value)


@pytest.mark.parametrize("masks", [False, True])
def test_what_cannot_be_written_is_told(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, masks: bool
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    worker = PartWorker(replace(plan, masks=masks))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        what = "out" if masks else r"part-00000000\.parquet"
        with pytest.raises(OutputWriteError, match=f"{what}: .*No space left"):
            list(worker.run([0]))
    assert not open_archive(plan).parts.list_names()
    assert [done.number for done in worker.run([0])] == [0]
    # and a process tells of an output of no name
    with pytest.raises(OutputWriteError, match=r"archive\.json: cannot be written|File name too"):
        list(measure(replace(plan, out=str(tmp_path / ("a" * 300))), processes=2))
