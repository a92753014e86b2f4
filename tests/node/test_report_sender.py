"""Documents go back whatever the archive and the disk do, and a stop does not wait for either."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeseg.errors import OutputWriteError
from edgeseg.node import report_sender
from edgeseg.node.addresses import Remote
from edgeseg.node.report_sender import ReportSender
from tests.node.conftest import Node, Start, example
from tests.node.peers import until

pytest.importorskip("pynetdicom")

Sending = Callable[..., contextlib.AbstractContextManager[ReportSender]]


@pytest.fixture
def sending(tmp_path: Path) -> Sending:
    """Send 0.dcm, 1.dcm and so on to a node, where ``note`` is called with those that are sent."""

    @contextlib.contextmanager
    def send(
        node: Node, count: int, note: Callable[[list[str]], None], said: list[str]
    ) -> Iterator[ReportSender]:
        names = [f"{number}.dcm" for number in range(count)]
        for name in names:
            (tmp_path / name).write_bytes(example().read_bytes())
        results: Any = SimpleNamespace(out=tmp_path, store=SimpleNamespace(note_sent=note))
        remote = Remote("NODE", *node.address)
        with ReportSender(results, remote, "EDGESEG", None, said.append) as sender:
            sender.add(names)
            yield sender

    return send


@pytest.mark.parametrize("status", [0, 0xC000])
def test_what_is_sent_or_refused_is_noted(status: int, started: Start, sending: Sending) -> None:
    noted, received, notices = [], [], []
    node = started(store=lambda path, uid: received.append(path) or status)
    with sending(node, 3, noted.extend, notices):
        until(lambda: len(noted) == 3)
    assert noted == ["0.dcm", "1.dcm", "2.dcm"]
    assert len(received) == 3
    assert [("0xC000" in notice) for notice in notices] == [True] * 3 * bool(status)


def test_a_full_disk_is_said(node: Node, sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_sender, "_FIRST_WAIT_S", 0.01)
    noted, said = [], []

    def note(names: list[str]) -> None:
        if not said:
            raise OutputWriteError("the disk is full")
        noted.extend(names)

    with sending(node, 1, note, said):
        until(lambda: noted == ["0.dcm"])
    assert said == ["the disk is full"]


@pytest.fixture
def hanging(started: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An archive that answers once it is free, which a stop does not wait for."""
    monkeypatch.setattr(report_sender, "_STOP_S", 0.2)
    is_reached, is_free = threading.Event(), threading.Event()

    def hang(path: Path, uid: str) -> int:
        is_reached.set()
        is_free.wait(30)
        return 0

    yield SimpleNamespace(node=started(store=hang), is_reached=is_reached, is_free=is_free)
    is_free.set()


def test_a_stop_waits_for_neither_a_hanging_archive_nor_the_rest(
    hanging: Any, sending: Sending
) -> None:
    said: list[str] = []
    with sending(hanging.node, 2, lambda _: None, said) as sender:
        assert hanging.is_reached.wait(10)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 10  # a minute's answer is waited for otherwise
    until(lambda: sender._thread not in threading.enumerate())  # nor is a thread left
    assert said[-1].endswith("not sent yet: 2; the next start sends them")
    noted: list[str] = []
    hanging.is_reached.clear()
    with sending(hanging.node, 60, noted.extend, []):
        assert hanging.is_reached.wait(10)
        threading.Timer(0.3, hanging.is_free.set).start()
    assert noted == ["0.dcm"]
