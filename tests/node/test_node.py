"""Instances are answered once they are safe, and have their rows once, whatever ends the node."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest import MonkeyPatch

from edgeseg.errors import OutputWriteError
from edgeseg.images.frame import Frame
from edgeseg.inputs.facts import PixelSizes
from edgeseg.inputs.source import Source
from edgeseg.measure.ellipse import Ellipse
from edgeseg.node import node as node_module
from edgeseg.node.addresses import Status
from edgeseg.node.node import Inbox
from edgeseg.output.record import RUN_NAME
from edgeseg.output.report.page import REPORT_NAME
from edgeseg.run.engine import Engine
from edgeseg.run.results import open_results
from edgeseg.run.store import Store
from edgeseg.run.worker import Options, Worker, read_source
from tests.fakes import FakeSession, head_image, open_fake, record_calls, until

pydicom = pytest.importorskip("pydicom")

from tests.images.dicom import files as dicom_files  # noqa: E402

SCAN = head_image(Ellipse(30.0, 20.0, 16.0, 12.0, 0.3), (40, 60))
PATIENCE_S = 30


class Node:
    """An inbox over a folder of results, whose engine reads no image while ``gate`` is closed."""

    def __init__(self, out: Path, monkeypatch: MonkeyPatch) -> None:
        self.out, self.spool = out, out / ".incoming"
        self.spool.mkdir(parents=True, exist_ok=True)
        self.gate = threading.Event()
        self.gate.set()
        self.notices: list[str] = []
        self.store: Store
        self._measured: list[str] = []
        options = Options(masks=False, overlays=False, resume=True)
        segmenter = open_fake(monkeypatch, FakeSession())
        self.worker = Worker(segmenter, PixelSizes([]), options, read=self._read)

    @contextlib.contextmanager
    def run(self, limit: int = 1000) -> Iterator[Inbox]:
        with (
            contextlib.closing(Store(self.out)) as self.store,
            Engine(self.worker, self.store, self.out, 2) as engine,
        ):
            stop = engine.stop
            engine.stop = lambda: (stop(), self.gate.set())  # type: ignore[method-assign]
            listeners = self._measured.append, self.notices.append
            with Inbox(engine, self.store, self.spool, limit, *listeners) as inbox:
                yield inbox

    def _read(self, source: Source) -> Frame:
        assert self.gate.wait(PATIENCE_S)
        return read_source(source)

    def wait_measured(self, count: int) -> None:
        until(lambda: len(self._measured) >= count)

    def receive(self, uid: str = "1.2.3", frames: np.ndarray = SCAN) -> tuple[Path, str]:
        """Write an instance as it came over the network, and return it with its UID."""
        path = self.spool / f"tmp{pydicom.uid.generate_uid()}.dcm"
        dicom_files.write(path, frames, SOPInstanceUID=uid)
        return path, uid

    @property
    def spooled(self) -> set[str]:
        return {path.name for path in self.spool.glob("[0-9]*")}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: MonkeyPatch) -> Node:
    monkeypatch.setattr(node_module, "_RETRY_S", 0.01)
    return Node(tmp_path / "out", monkeypatch)


@pytest.mark.parametrize("n_frames", [1, 50])
def test_the_answer_comes_before_the_rows_which_are_there_once(node: Node, n_frames: int) -> None:
    frames = np.stack([SCAN] * n_frames)
    with node.run() as inbox:
        node.gate.clear()
        assert inbox.take(*node.receive(frames=frames)) == Status.SUCCESS
        assert inbox.take(*node.receive(frames=frames)) == Status.SUCCESS  # it waits
        assert node.spooled == {"1.2.3.dcm"}
        assert node.store.waiting() == ["1.2.3.dcm"]
        assert len(node.store.packed_rows()) == 0
        node.gate.set()
        node.wait_measured(1)
        assert inbox.take(*node.receive(frames=frames)) == Status.SUCCESS
        assert len(node.store.packed_rows()) == n_frames
        assert not node.spooled
        assert node.store.waiting() == []


@pytest.mark.parametrize("is_full", [False, True])
def test_of_two_equal_senders_one_waits(
    node: Node, is_full: bool, monkeypatch: MonkeyPatch
) -> None:
    keeping, may_go_on = threading.Event(), threading.Event()
    sync = node_module.sync

    def slow_sync(path: Path) -> None:
        monkeypatch.setattr(node_module, "sync", sync)
        keeping.set()
        assert may_go_on.wait(PATIENCE_S)
        if is_full:
            fail()

    monkeypatch.setattr(node_module, "sync", slow_sync)
    with node.run() as inbox:
        answers: list[Status] = []
        threads = [
            threading.Thread(target=lambda: answers.append(inbox.take(*node.receive())))
            for _ in range(2)
        ]
        threads[0].start()
        assert keeping.wait(PATIENCE_S)
        threads[1].start()
        threads[1].join(0.1)
        assert threads[1].is_alive()  # it cannot know yet
        may_go_on.set()
        for thread in threads:
            thread.join()
        assert answers.count(Status.OUT_OF_RESOURCES) == is_full
        node.wait_measured(1)
        assert len(node.store.packed_rows()) == 1


def fail(*_: object) -> None:
    raise OutputWriteError("the disk is full")


@pytest.mark.parametrize(
    ("place", "failure"),
    [
        *(("pathlib.Path.replace", fail), ("edgeseg.node.node.sync", fail)),
        *(("edgeseg.run.store.Store.enqueue", failure) for failure in (fail, lambda *_: 1 / 0)),
        ("shutil.disk_usage", lambda _: SimpleNamespace(free=9, total=999)),
    ],
)
def test_what_cannot_be_kept(
    node: Node, place: str, failure: Any, monkeypatch: MonkeyPatch
) -> None:
    with node.run() as inbox:
        received = node.receive()
        with monkeypatch.context() as patch, contextlib.suppress(ZeroDivisionError):
            patch.setattr(place, failure)
            assert inbox.take(*received) == Status.OUT_OF_RESOURCES
            assert "refused" in node.notices[0]
        assert not node.spooled
        assert node.store.waiting() == []
        received[0].unlink(missing_ok=True)  # as the server does
        assert inbox.take(*node.receive()) == Status.SUCCESS
        node.wait_measured(1)


def test_the_note_is_durable_after_its_file(node: Node, monkeypatch: MonkeyPatch) -> None:
    steps: list[object] = []
    record_calls(monkeypatch, steps, node_module, "sync", lambda path: path)
    record_calls(monkeypatch, steps, Store, "enqueue", lambda _, file: file)
    with node.run() as inbox:
        assert inbox.take(*node.receive()) == Status.SUCCESS
    assert steps == [node.spool / "1.2.3.dcm", node.spool, "1.2.3.dcm"]


def test_a_full_queue_takes_more_once_something_is_measured(node: Node) -> None:
    with node.run(limit=2) as inbox:
        node.gate.clear()
        answers = [inbox.take(*node.receive(uid)) for uid in ("1.1", "1.2", "1.3", "1.1")]
        assert answers == [0, 0, Status.OUT_OF_RESOURCES, 0]
        assert node.spooled == {"1.1.dcm", "1.2.dcm"}
        node.gate.set()
        node.wait_measured(2)
        assert inbox.take(*node.receive("1.3")) == Status.SUCCESS
        node.wait_measured(3)
        assert len(node.store.packed_rows()) == 3


def test_what_waits_is_measured_by_the_next_run(node: Node) -> None:
    uids = [f"1.{number}" for number in range(30)]
    with node.run() as inbox:
        node.gate.clear()
        for uid in uids:
            inbox.take(*node.receive(uid))
    with contextlib.closing(Store(node.out)) as store:
        waiting = store.waiting()
        assert waiting  # the engine measures only what had begun
        assert {*waiting} == node.spooled
        assert len(store.packed_rows()) == len(uids) - len(waiting)
    assert node.notices == [
        "instances that wait to be measured: 2",  # again in a minute
        f"instances that wait for the next start: {len(waiting)}",
    ]
    with open_results(node.worker, node.out, {}) as results:
        results.export()
    assert json.loads((node.out / RUN_NAME).read_text())["counts"]["n_waiting"] == len(waiting)
    assert f"{len(waiting)} more wait to be measured" in (node.out / REPORT_NAME).read_text()
    with node.run():
        node.wait_measured(len(uids))
        assert node.store.files() == {f"{uid}.dcm" for uid in uids}
        assert not node.spooled


def test_a_kill_between_two_steps_loses_nothing_and_repeats_nothing(node: Node) -> None:
    def place(uid: str) -> None:
        node.receive(uid)[0].replace(node.spool / f"{uid}.dcm")

    with node.run() as inbox:
        inbox.take(*node.receive("1.1"))
        node.wait_measured(1)
    place("1.1")  # its rows are durable, its file not yet removed
    place("1.2")  # not noted, so not answered
    place("1.3")  # noted
    with contextlib.closing(Store(node.out)) as store:
        store.enqueue("1.3.dcm")
        store.enqueue("1.4.dcm")  # noted, and its file is gone
    with node.run() as inbox:
        node.wait_measured(2)
        assert node.store.files() == {"1.1.dcm", "1.3.dcm"}
        assert len(node.store.packed_rows()) == 2
        assert not node.spooled
        assert node.store.waiting() == []
        assert inbox.take(*node.receive("1.4")) == Status.SUCCESS
        node.wait_measured(3)
    assert len(node.notices) == 1
    assert "1.4.dcm: removed before it was measured" in node.notices[0]


@pytest.mark.parametrize("step", ["has", "replace_rows"])
def test_rows_are_written(node: Node, step: str, monkeypatch: MonkeyPatch) -> None:
    intact: Callable[..., Any] = getattr(Store, step)
    failures = [OutputWriteError("the disk is full"), MemoryError()]

    def failing(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise failures.pop()
        return intact(*args, **kwargs)

    monkeypatch.setattr(Store, step, failing)
    with node.run() as inbox:
        assert inbox.take(*node.receive()) == Status.SUCCESS
        node.wait_measured(1)
        assert len(node.store.packed_rows()) == 1
    reasons = [notice.rpartition(": ")[2] for notice in node.notices]
    assert reasons == ["MemoryError", "the disk is full"]


def test_documents_are_left_out_and_counted_and_what_is_no_image_has_a_row(node: Node) -> None:
    with node.run() as inbox:
        path, uid = node.receive("1.1")
        dataset = pydicom.dcmread(path)
        for keyword in ("Rows", "Columns", "PixelData"):
            delattr(dataset, keyword)
        dataset.save_as(path)
        assert inbox.take(path, uid) == Status.SUCCESS
        path, uid = node.receive("1.3")
        other = pydicom.dcmread(path)
        other.Modality = "CT"
        other.save_as(path)
        assert inbox.take(path, uid) == Status.SUCCESS
        (path := node.spool / "tmp.dcm").write_bytes(b"no DICOM")
        assert inbox.take(path, "1.2") == Status.SUCCESS
        node.wait_measured(1)
        assert node.store.files() == {"1.2.dcm"}
        assert '"failed"' in node.store.packed_rows()[0]
        assert not node.spooled
    assert node.notices == ["DICOM files left out, which hold no ultrasound image: 2"]


def test_other_pixels_of_the_same_instance_are_said(node: Node) -> None:
    with node.run() as inbox:
        node.gate.clear()
        for pixels in (SCAN, SCAN, SCAN[::-1]):  # while it waits
            assert inbox.take(*node.receive(frames=pixels)) == Status.SUCCESS
        assert len(node.notices) == 1
        node.gate.set()
        node.wait_measured(1)
        for pixels in (SCAN, SCAN[::-1]):
            assert inbox.take(*node.receive(frames=pixels)) == Status.SUCCESS
    assert node.notices == ["1.2.3.dcm: sent again with other pixels; the first are measured"] * 2


def test_an_exam_goes_on_while_an_image_of_it_waits(node: Node) -> None:
    with node.run() as inbox:
        node.gate.clear()
        path, uid = node.receive()
        study_uid = pydicom.dcmread(path).StudyInstanceUID
        assert inbox.take(path, uid) == Status.SUCCESS
        assert inbox.has_study(study_uid)
        node.gate.set()
        node.wait_measured(1)
        assert not inbox.has_study(study_uid)
