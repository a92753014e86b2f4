"""Files that are submitted have their rows exactly once, whatever fails or is killed meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import OutputWriteError
from edgeseg.inputs.facts import PixelSizes
from edgeseg.inputs.source import Source
from edgeseg.measure.ellipse import Ellipse
from edgeseg.output.table import Row
from edgeseg.run import engine as engines
from edgeseg.run.engine import Engine
from edgeseg.run.job import PARTS_NAME
from edgeseg.run.store import Store
from edgeseg.run.worker import Options, Worker, Write
from edgeseg.segmenter import Segmenter
from tests.fakes import FakeSession, bright, head_image, open_fake, record_calls

HEAD = Ellipse(150.0, 100.0, 70.0, 54.0, 0.3)


@pytest.fixture
def segmenter(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    return open_fake(monkeypatch, FakeSession())


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.png"
    path.write_bytes(encode(".png", head_image(HEAD, (200, 300))))
    return path


@contextlib.contextmanager
def opened(
    segmenter: Segmenter, out: Path, threads: int = 2, **more: Any
) -> Iterator[tuple[Engine, Store]]:
    out.mkdir(exist_ok=True)
    worker = Worker(segmenter, PixelSizes([], 0.2), Options())
    with (
        contextlib.closing(Store(out)) as store,
        Engine(worker, store, out, threads, **more) as engine,
    ):
        yield engine, store


def source(scan: Path, file: str = "a.png", version: str = "1") -> list[Source]:
    return [Source(file, str(scan), version=version)]


def names(out: Path) -> set[str]:
    return {p.relative_to(out).as_posix() for p in out.rglob("*.*g")}


def test_what_is_submitted_again_is_measured_once(
    monkeypatch: pytest.MonkeyPatch, scan: Path, tmp_path: Path
) -> None:
    session = FakeSession()
    segmenter = open_fake(monkeypatch, session)
    for _ in range(2):  # by the next run too
        with opened(segmenter, tmp_path / "out") as (engine, store):
            threads = [
                threading.Thread(target=engine.submit, args=(source(scan, f"{i % 5}.png"),))
                for i in range(40)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    with contextlib.closing(Store(tmp_path / "out")) as store:
        assert len(store.packed_rows()) == 5
    assert len(session.fed) == 5 * 2  # looks


def test_a_new_version_replaces_rows_and_pictures(
    segmenter: Segmenter, scan: Path, tmp_path: Path
) -> None:
    out, told = tmp_path / "out", list[Row]()
    with opened(segmenter, out, on_rows=told.extend) as (engine, store):
        assert engine.submit(source(scan)).result() == told
        assert told[0]["status"] == "ok" and store.files() == {"a.png"}
        assert names(out) == {"masks/a.png", "overlays/a.jpg"}
        before = (out / "masks" / "a.png").read_bytes()
        scan.write_bytes(encode(".png", head_image(HEAD.moved(20, 20), (200, 300))))
        assert engine.submit(source(scan)).result() == []  # it does not look at the file
        assert len(engine.submit(source(scan, version="2")).result()) == 1
        assert (out / "masks" / "a.png").read_bytes() != before
        scan.write_bytes(b"no image")
        (row,) = engine.submit(source(scan, version="3")).result()
        assert row["status"] == "failed"
        assert names(out) == {*store.pictures()} == set()  # of what it was
        assert len(store.packed_rows()) == 1
    assert not (out / PARTS_NAME).exists()


@pytest.mark.parametrize("owes", [False, True])
def test_documents_that_are_to_be_sent_are_owed_once_they_are_durable(
    segmenter: Segmenter, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owes: bool
) -> None:
    measure = Worker.measure

    def with_report(worker: Worker, source: Source, write: Write) -> Row:
        write("sr/a.dcm", b"report")
        return measure(worker, source, write)

    monkeypatch.setattr(Worker, "measure", with_report)
    with opened(segmenter, tmp_path / "out", owes=owes) as (engine, store):
        engine.submit(source(scan)).result()
        assert store.owed() == (["sr/a.dcm"] if owes else [])


def test_other_people_s_pictures_are_not_replaced(
    segmenter: Segmenter, scan: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "out" / "masks" / "a.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with opened(segmenter, tmp_path / "out") as (engine, _):
        (row,) = engine.submit(source(scan)).result()
        assert row["status"] == "failed"
        assert "masks/a.png" in str(row["reason"])
        (row,) = engine.submit(source(scan, "b.png")).result()
        assert row["status"] == "ok"
    assert mine.read_bytes() == b"mine"


def test_only_a_few_frames_are_under_way_at_once(
    monkeypatch: pytest.MonkeyPatch, scan: Path, tmp_path: Path
) -> None:
    go_on, entered = threading.Event(), threading.Semaphore(0)

    def wait(gray: np.ndarray) -> np.ndarray:
        entered.release()
        assert go_on.wait(30)
        return bright(gray)

    with opened(open_fake(monkeypatch, FakeSession(wait)), tmp_path / "out") as (engine, _):
        submitted: list[str] = []

        def submit_all() -> None:
            for i in range(20):
                engine.submit(source(scan, f"{i}.png"))
                submitted.append(f"{i}.png")

        feeding = threading.Thread(target=submit_all)
        feeding.start()
        assert entered.acquire(timeout=30)
        feeding.join(0.3)
        n_ahead = len(submitted)
        go_on.set()
        feeding.join()
    assert n_ahead <= 6
    assert len(submitted) == 20


def test_an_error_reaches_the_caller_and_the_file_can_be_submitted_again(
    segmenter: Segmenter, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with opened(segmenter, out) as (engine, store):
        full = OSError(errno.ENOSPC, "No space left on device")
        for error, expected in ((full, OutputWriteError), (MemoryError(), MemoryError)):
            with monkeypatch.context() as patch:
                patch.setattr(Path, "open", Mock(side_effect=error))
                with pytest.raises(expected):
                    engine.submit(source(scan)).result()
            assert (store.files(), names(out)) == (set(), set())
        assert len(engine.submit(source(scan)).result()) == 1


@pytest.mark.parametrize("which", ["measure", "commit", "sync"])
def test_a_thread_that_cannot_start_is_heard_of(
    segmenter: Segmenter, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """As where there is no memory for its stack."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith(f"edgeseg-{which}"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with (
        pytest.raises(RuntimeError, match="can't start"),
        opened(segmenter, tmp_path / "out") as (engine, _),
    ):
        engine.submit(source(scan)).result(30)


def test_after_an_exception_what_has_not_begun_is_left_to_the_next_run(
    monkeypatch: pytest.MonkeyPatch, scan: Path, tmp_path: Path
) -> None:
    go_on = threading.Event()

    def wait(gray: np.ndarray) -> np.ndarray:
        assert go_on.wait(30)
        return bright(gray)

    futures = []
    fake = open_fake(monkeypatch, FakeSession(wait))
    with pytest.raises(KeyboardInterrupt), opened(fake, tmp_path / "out", 1) as (engine, _):
        monkeypatch.setattr(engine, "stop", lambda: (Engine.stop(engine), go_on.set()))
        futures += [engine.submit(source(scan, f"{i}.png")) for i in range(3)]
        raise KeyboardInterrupt
    assert isinstance(futures[2].exception(), OutputWriteError)


class Killed(BaseException):
    """Stands for the end of a process at one moment."""


STEPS = ["announce", "sync", "replace", "replace_rows", "forget_pictures"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_and_submitted_again_each_has_its_rows_once(
    segmenter: Segmenter, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    step: str, when: str,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    with opened(segmenter, out) as (engine, _):
        engine.submit(source(scan, "kept.png")).result()
    owner: Any = {"sync": engines, "replace": Path}.get(step, Store)
    original = getattr(owner, step)

    def killed(*args: Any) -> Any:
        if step == "replace" and PARTS_NAME not in str(args[0]):
            return original(*args)
        if when == "after":
            original(*args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with contextlib.suppress(Killed), opened(segmenter, out) as (engine, _):
            engine.submit(source(scan, "kept.png", "2")).result()
            engine.submit(source(scan, "new.png")).result()
    with opened(segmenter, out) as (engine, store):
        engine.submit(source(scan, "kept.png", "2")).result()
        (row,) = engine.submit(source(scan, "new.png")).result() or [{"status": "ok"}]
        assert row["status"] == "ok"
        assert Counter(store.files()) == {"kept.png": 1, "new.png": 1}
        assert len(store.packed_rows()) == 2
    expected = {f"{kind}/{n}.{end}" for n in ("kept", "new")
                for kind, end in (("masks", "png"), ("overlays", "jpg"))}  # fmt: skip
    assert names(out) == expected


@pytest.mark.skipif(os.name == "nt", reason="folders are not flushed there")
def test_flushes_and_renames_come_in_an_order_that_survives_a_power_cut(
    segmenter: Segmenter, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures are announced, then flushed, then named, then their names flushed, then the row."""
    out, log = tmp_path / "out", list[str]()
    record = partial(record_calls, monkeypatch, log)

    def flushed(path: Path) -> str:
        if path.parent.name == PARTS_NAME:
            return "flush part"
        return f"flush {path.relative_to(out).as_posix()}"

    record(engines, "sync", flushed)
    record(Store, "announce", lambda *_: "announce")
    record(Store, "replace_rows", lambda *_: "rows")
    record(Path, "replace", lambda _, new: f"name {new.name}" if new.is_relative_to(out) else None)
    with opened(segmenter, out, on_rows=lambda _: log.append("told")) as (engine, store):
        assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        engine.submit(source(scan)).result()
    stages: Sequence[set[str]] = [
        {"announce"}, {"flush part"}, {"name a.png", "name a.jpg"},
        {"flush .", "flush masks", "flush overlays"}, {"rows"}, {"told"},
    ]  # fmt: skip
    place = 0
    for stage in stages:
        taken = [text for text in log[place:] if text in stage]
        assert {*taken} == stage
        assert log[place : place + len(taken)] == taken, log
        place += len(taken)
    assert place == len(log)


def test_a_film_of_which_the_reading_is_interrupted_is_not_kept(
    segmenter: Segmenter, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def frames_of(_: Worker, sources: Sequence[Source]) -> Iterator[Source]:
        yield sources[0]._replace(frame=1)
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "frames_of", frames_of)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), opened(segmenter, out) as (engine, _):
        engine.submit(source(scan))
    with contextlib.closing(Store(out)) as store:
        assert store.files() == set()
    assert names(out) == set()
