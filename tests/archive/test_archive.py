from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import active_children
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from edgeseg.archive import alone, deaths
from edgeseg.archive import plan as plans
from edgeseg.archive.alone import run_alone
from edgeseg.archive.collect import collect
from edgeseg.archive.making import write_manifest
from edgeseg.archive.place import Place, place_of
from edgeseg.archive.plan import Plan, Shard
from edgeseg.archive.work import Worker
from edgeseg.errors import (
    DataError,
    InputNotFoundError,
    ModelNotFoundError,
    OutputExistsError,
    OutputWriteError,
)
from edgeseg.segmenter import Segmenter
from tests.archive.parts import measured_by_infer, opened, rows_of


def test_rows_are_those_of_a_folder_digit_for_digit_and_typed(
    plan: Plan, scans: Path, tmp_path: Path
) -> None:
    done = list(run_alone(plan, threads=2))
    assert [each.number for each in done] == [0, 1, 2, 3]
    assert sum(each.statuses.get("failed", 0) for each in done) == 3
    assert rows_of(plan) == measured_by_infer(scans, tmp_path / "folder")
    schema = pq.read_schema(tmp_path / "out" / "parts" / "part-00000000.parquet")
    assert str(schema.field("hc_mm").type) == "double"
    assert str(schema.field("frame").type) == "int32"
    assert str(schema.field("flags").type) == "string"


def test_parts_that_are_there_are_passed_over_whoever_wrote_them(
    plan: Plan, tmp_path: Path
) -> None:
    shards = [[d.number for d in run_alone(plan, Shard(i, 3))] for i in (1, 3)]
    assert shards == [[1], [0, 3]]  # of three shares, counted from 1
    before = (tmp_path / "out" / "parts" / "part-00000001.parquet").stat().st_mtime_ns
    assert [d.number for d in run_alone(plan)] == [2]
    assert not list(run_alone(plan))
    assert (tmp_path / "out" / "parts" / "part-00000001.parquet").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "hc18-edge"}, "another model "),
        ({"part_size": 3}, "another part size "),
        ({"masks": True}, "another choice of masks "),
    ],
)
def test_another_model_size_or_kind_is_refused(
    plan: Plan, change: dict[str, object], says: str
) -> None:
    next(iter(run_alone(plan)))
    with pytest.raises(DataError, match=says):
        Worker(replace(plan, **change))  # type: ignore[arg-type]


def test_another_manifest_is_refused(plan: Plan, scans: Path, tmp_path: Path) -> None:
    next(iter(run_alone(plan)))
    other = place_of(str(tmp_path / "other.parquet"))
    write_manifest([str(scans / "a b")], other, 0.2)
    with pytest.raises(DataError, match="another manifest "):
        Worker(replace(plan, manifest=other.text))
    with pytest.raises(DataError, match="of another manifest"):
        collect(opened(replace(plan, manifest=other.text)))


def test_of_two_that_begin_at_once_one_is_refused(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter, late = Segmenter("hc18-nano", device="cpu"), opened(replace(plan, part_size=3))
    read = plans.read_record

    def other_first(out: Place) -> object:
        monkeypatch.setattr(plans, "read_record", read)
        opened(plan).claim(segmenter)
        return None  # as it was before

    monkeypatch.setattr(plans, "read_record", other_first)
    with pytest.raises(DataError, match="another part size "):
        late.claim(segmenter)
    assert json.loads(plan.place.below("archive.json").read())["part_size"] == 2
    assert [*plan.place.names()] == ["archive.json"]


@pytest.mark.parametrize("name", ["report.html", "summary.json", "failures.csv", "masks"])
def test_nothing_of_others_is_overwritten(plan: Plan, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(OutputExistsError, match=name):
        list(run_alone(replace(plan, masks=True)))
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_part_is_whole_or_not_there(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it is written, whatever is left is no part."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    worker = Worker(plan)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # nor is anything tidied
        list(worker.run([0]))
    assert not opened(plan).done() and len(list((tmp_path / "out" / "parts").iterdir())) == 1
    collect(opened(plan))
    assert len(list((tmp_path / "out" / "parts").iterdir())) == 1  # somebody's who goes on
    list(run_alone(plan))
    collect(opened(plan))
    assert all(p.suffix == ".parquet" for p in (tmp_path / "out" / "parts").iterdir())


def test_pictures_are_written_before_their_part(plan: Plan, tmp_path: Path) -> None:
    list(run_alone(replace(plan, masks=True, overlays=True)))
    names = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert {"masks/a b/ü.png", "overlays/a b/ü.jpg", "masks/b.jpg.png"} <= names
    collect(opened(replace(plan, masks=True, overlays=True)))
    assert "data:image/jpeg" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_collecting_tells_what_is_missing_and_what_failed(plan: Plan, tmp_path: Path) -> None:
    list(run_alone(plan, Shard(0, 2)))
    found = collect(opened(plan))
    assert found.missing == [1, 3]
    list(run_alone(plan))
    found = collect(opened(plan))
    assert not found.missing and found.statuses == {"ok": 4, "failed": 3}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert summary["status"] == "done" and summary["counts"]["failed"] == 3
    assert summary["figures"]["hc_mm"]["n"] == 4
    failures = (tmp_path / "out" / "failures.csv").read_text("utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in failures] == [
        "file", "broken.png", "empty.png", "text.png"
    ]  # fmt: skip
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000


def test_a_part_of_other_rows_is_found_out(plan: Plan, tmp_path: Path) -> None:
    list(run_alone(plan))
    parts = tmp_path / "out" / "parts"
    table = pq.read_table(parts / "part-00000001.parquet")
    pq.write_table(table.slice(0, 1), parts / "part-00000001.parquet")
    with pytest.raises(DataError, match=r"part-00000001\.parquet has not the rows 2 to 4"):
        collect(opened(plan))
    (parts / "part-00000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"part-00000001\.parquet: cannot be read"):
        collect(opened(plan))


def test_a_disk_that_is_gone_makes_no_rows(plan: Plan, scans: Path) -> None:
    scans.rename(scans.with_name("gone"))
    with pytest.raises(InputNotFoundError, match="no other of the manifest can be read there"):
        list(run_alone(plan))
    assert not opened(plan).done()


def test_a_disk_that_goes_in_the_middle_makes_no_rows(plan: Plan, scans: Path) -> None:
    parts = iter(Worker(replace(plan, read_ahead=0)).run([0, 1, 2, 3]))
    next(parts)
    scans.rename(scans.with_name("gone"))
    with pytest.raises(InputNotFoundError):
        list(parts)
    assert len(opened(plan).done()) < 4


def test_one_file_that_is_gone_or_changed_is_a_failed_row(plan: Plan, scans: Path) -> None:
    (scans / "a.png").unlink()
    with (scans / "a b" / "a.png").open("ab") as stream:
        stream.write(b"more")
    list(run_alone(plan))
    reasons = {row["file"]: row["reason"] for row in rows_of(plan)}
    assert "no such file" in reasons["a.png"]
    assert "it was changed since; make a new manifest" in reasons["a b/a.png"]


def test_processes_share_parts(plan: Plan, scans: Path, tmp_path: Path) -> None:
    counted: list[int] = []
    done = list(run_alone(plan, threads=2, processes=2, on_rows=counted.append))
    assert sorted(each.number for each in done) == [0, 1, 2, 3]
    assert sum(counted) == 7
    assert rows_of(plan) == measured_by_infer(scans, tmp_path / "folder")


def test_a_process_that_dies_is_replaced(plan: Plan, scans: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(_: int) -> None:
        if not killed:
            (first, *_rest) = active_children()
            assert first.pid is not None
            killed.append(first.pid)
            first.kill()

    done = list(run_alone(plan, threads=2, processes=2, on_rows=kill))
    assert killed and {each.number for each in done} <= {0, 1, 2, 3}
    assert not opened(plan).missing()
    assert rows_of(plan) == measured_by_infer(scans, tmp_path / "folder")


def _serve_and_die_of_part_2(plan: Plan, threads: int, pipe: Connection) -> None:
    worker = Worker(plan, threads)
    for number in alone._asked(pipe):
        if number == 2:
            os._exit(9)
        for done in worker.run([number]):
            pipe.send(("done", done))
    pipe.send(("end", None))


def _serve_many_and_die_of_part_2(plan: Plan, threads: int, pipe: Connection) -> None:
    numbers = list(alone._asked(pipe))
    if 2 in numbers:
        os._exit(9)
    for done in Worker(plan, threads).run(numbers):
        pipe.send(("done", done))
    pipe.send(("end", None))


@pytest.mark.parametrize("serve", [_serve_and_die_of_part_2, _serve_many_and_die_of_part_2])
def test_a_part_that_kills_each_process_is_told_at_last(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, serve: object
) -> None:
    """By a memory that is too small, say; all other parts are written, begun at once or not."""
    monkeypatch.setattr(alone, "_serve", serve)
    monkeypatch.setattr(deaths, "MOST", 3)
    with pytest.raises(OutputWriteError, match="of part 2 the process died 3 times"):
        list(run_alone(plan, threads=2, processes=2))
    assert opened(plan).missing() == [2]


def test_what_a_process_cannot_open_is_told(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="none"):
        list(run_alone(replace(plan, model=str(tmp_path / "none")), processes=2))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_each_frame_has_one_row_though_it_is_killed_again_and_again(
    plan: Plan, scans: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "edgeseg", "archive", plan.manifest, "--out", plan.out]
    command += ["--part-size", "2", "--threads", "1"]
    for wait_s in (0.3, 0.6, 0.8, 1.0, 1.2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, check=False, capture_output=True).returncode in (0, 1)
    assert rows_of(plan) == measured_by_infer(scans, tmp_path / "folder")


def test_a_full_disk_is_told(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    worker = Worker(plan)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputWriteError, match=r"part-00000000\.parquet: .*No space left"):
            list(worker.run([0]))
    assert not opened(plan).parts.names()
    assert [done.number for done in worker.run([0])] == [0]
