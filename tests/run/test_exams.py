"""A study's report is written once its exam has ended, once, whatever ends the run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeseg.errors import DataError, OutputWriteError
from edgeseg.run import exams as exams_module
from edgeseg.run.exams import Exams
from edgeseg.run.store import FileRows, Store
from edgeseg.system import files
from tests.fakes import record_calls, until

ROW = {"file": "a.dcm", "frame": None, "status": "ok"}


def merge(parts: list[bytes], previous: bytes | None) -> bytes | None:
    """Stand for the report of a study: those of its images, sorted; the same set is the same."""
    whole = b",".join(sorted(parts))
    return None if whole == previous else whole


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr("edgeseg.output.dicom.study.merge_reports", merge)
    monkeypatch.setattr(exams_module, "_POLL_S", 0.01)
    return Folder(tmp_path)


class Folder:
    """A folder of results, in which files of the study 1.2 are measured."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.store: Store
        self.sent: list[str] = []
        self.notices: list[str] = []

    @contextlib.contextmanager
    def run(self, ends_after_s: float = 0.0) -> Iterator[Exams]:
        with contextlib.closing(Store(self.out)) as self.store:
            how = self.notices.append, ends_after_s, self.sent.extend
            with Exams(self.out, self.store, *how) as exams:
                yield exams

    def measure(self, uid: str) -> None:
        path = self.out / (name := f"findings/1.2/{uid}.dcm")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(uid.encode())
        file = f"{uid}.dcm"
        self.store.announce([exams_module.Picture(name, file, 1)])
        rows = [ROW | {"file": file}]
        self.store.replace_rows([FileRows(file, "1", ["findings"], rows, [name])])

    @property
    def reports(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.out.glob("sr/*")}


def test_more_of_an_exam_makes_a_new_version(folder: Folder) -> None:
    with folder.run():
        folder.measure("5")
        until(lambda: folder.sent == ["sr/1.2.dcm"])
        folder.measure("4")
        until(lambda: len(folder.sent) == 2)
        folder.measure("4")  # again
        until(lambda: not folder.store.exams())
        assert folder.store.owed() == ["sr/1.2.dcm", "sr/1.2.2.dcm"]
    assert folder.reports == {"1.2.dcm": b"5", "1.2.2.dcm": b"4,5"}


class Clock:
    """Stands for the module `time`; its time passes when it is told to."""

    def __init__(self) -> None:
        self.now_s, self.n_asked = 0.0, 0

    def monotonic(self) -> float:
        self.n_asked += 1
        return self.now_s

    def add(self, seconds: float) -> None:
        """Have all exams looked at, then time pass, then all exams looked at."""
        for step_s in (seconds, 0.0):
            asked = self.n_asked
            until(lambda asked=asked: self.n_asked >= asked + 2)
            self.now_s += step_s


def test_an_exam_ends_a_while_after_its_last_image_is_measured(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exams_module, "time", clock := Clock())
    with folder.run(ends_after_s=60) as exams:
        for uid in "45":
            folder.measure(uid)
            clock.add(59)
        exams.is_waiting = lambda study: study == "1.2"
        clock.add(59)
        assert folder.sent == []
        exams.is_waiting = lambda study: False
        until(lambda: folder.sent == ["sr/1.2.dcm"])
    assert folder.reports == {"1.2.dcm": b"4,5"}


def test_an_exam_without_an_end_is_gathered_by_the_next_run(folder: Folder) -> None:
    with folder.run(ends_after_s=60):
        folder.measure("5")
    assert folder.reports == {}
    for _ in range(2):  # by the first alone; the second makes again what is gone
        with folder.run(ends_after_s=60) as exams:
            exams.write_all()
            assert folder.store.exams() == {}
        assert folder.reports == {"1.2.dcm": b"5"}
        (folder.out / "sr" / "1.2.dcm").unlink()
    assert folder.sent == ["sr/1.2.dcm"]


def test_what_comes_while_a_report_is_written_makes_the_next(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = ["4"]

    def merge_while_more_comes(*args: Any) -> bytes | None:
        if late:
            folder.measure(late.pop())
        return merge(*args)

    monkeypatch.setattr("edgeseg.output.dicom.study.merge_reports", merge_while_more_comes)
    with folder.run():
        folder.measure("5")
        until(lambda: len(folder.sent) == 2)
    assert folder.reports == {"1.2.dcm": b"5", "1.2.2.dcm": b"4,5"}


@pytest.mark.skipif(os.name == "nt", reason="folders are not flushed there")
def test_an_exam_ends_once_its_report_survives_a_power_cut(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    record_calls(monkeypatch, log, files, "sync", lambda path: f"flush {path.suffix or path.name}")
    record_calls(monkeypatch, log, Store, "end_exam", lambda *_: "end")
    with folder.run(ends_after_s=60) as exams:
        folder.measure("5")
        exams.write_all()
    assert log[:3] == ["flush .part", "flush sr", "end"]


class Kill(BaseException):
    """Ends what runs at once."""


@pytest.mark.parametrize(
    "step", [(Store, "announce"), (exams_module, "write_atomic"), (Store, "end_exam")]
)
@pytest.mark.parametrize("is_before", [True, False])
def test_a_kill_between_two_steps_loses_nothing_and_repeats_nothing(
    folder: Folder, step: tuple[object, str], is_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    intact = getattr(*step)

    def kill(*args: object, **kwargs: object) -> None:
        if not is_before:
            intact(*args, **kwargs)
        raise Kill

    with folder.run(ends_after_s=60) as exams, monkeypatch.context() as patch:
        folder.measure("5")
        patch.setattr(*step, kill)
        with contextlib.suppress(Kill):
            exams.write_all()
    with folder.run():
        until(lambda: not folder.store.exams())
        assert folder.store.owed() == ["sr/1.2.dcm"]
    assert folder.reports == {"1.2.dcm": b"5"}


@pytest.mark.parametrize(
    ("error", "is_tried_again"), [(OutputWriteError, True), (DataError, False)]
)
def test_what_cannot_be_written_is_said(
    folder: Folder, error: type[Exception], is_tried_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [error("the disk is full")]

    def fail_once(*args: Any) -> bytes | None:
        if failures:
            raise failures.pop()
        return merge(*args)

    monkeypatch.setattr("edgeseg.output.dicom.study.merge_reports", fail_once)
    with folder.run():
        folder.measure("5")
        until(lambda: bool(folder.notices))
        until(lambda: bool(folder.sent) == is_tried_again)
    assert "the disk is full" in folder.notices[0]


def test_a_report_of_somebody_else_is_kept(folder: Folder) -> None:
    (folder.out / "sr").mkdir()
    (folder.out / "sr" / "1.2.dcm").write_bytes(b"mine")
    with folder.run():
        folder.measure("5")
        until(lambda: bool(folder.notices))
    assert folder.reports == {"1.2.dcm": b"mine"}
