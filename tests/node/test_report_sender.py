"""Documents go back whatever the archive and the disk do, and a stop does not wait for either."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeseg.errors import OutputWriteError
from edgeseg.node import report_sender
from edgeseg.node.addresses import Remote
from edgeseg.node.report_sender import ReportSender
from tests.node.conftest import Node
from tests.node.peers import until

pytest.importorskip("pynetdicom")


@pytest.fixture
def owing(tmp_path: Path, example: Callable[[str], Path]) -> Callable[..., Any]:
    """A folder with documents, which notes what was sent of them."""

    def make(count: int, sent: Callable[[list[str]], None]) -> Any:
        names = [f"{number}.dcm" for number in range(count)]
        for name in names:
            (tmp_path / name).write_bytes(example("rgb_color").read_bytes())
        return SimpleNamespace(out=tmp_path, store=SimpleNamespace(note_sent=sent), owed=names)

    return make


def sender(results: Any, node: Node, said: list[str] | None = None) -> ReportSender:
    on_notice = (said if said is not None else []).append
    return ReportSender(results, Remote("NODE", *node.address), "EDGESEG", on_notice=on_notice)


@pytest.mark.parametrize("status", [0, 0xC000])
def test_what_is_sent_or_refused_is_noted_and_not_sent_again(
    status: int, started: Callable[..., Node], owing: Callable[..., Any]
) -> None:
    noted: list[str] = []
    received: list[object] = []
    notices: list[str] = []

    def store(instance: object) -> int:
        received.append(instance)
        return status

    results = owing(3, noted.extend)
    with sender(results, started(store=store), notices) as sending:
        sending.add(results.owed)
        until(lambda: len(noted) == 3)
    assert noted == results.owed
    assert len(received) == 3
    assert [("0xC000" in notice) for notice in notices] == [True] * 3 * bool(status)


def test_a_full_disk_does_not_end_it(
    node: Node, owing: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_sender, "_FIRST_WAIT_S", 0.01)
    noted: list[str] = []
    is_full = [True]

    def note(names: list[str]) -> None:
        if is_full.pop() if is_full else False:
            raise OutputWriteError("the disk is full")
        noted.extend(names)

    said: list[str] = []
    results = owing(1, note)
    with sender(results, node, said) as sending:
        sending.add(results.owed)
        until(lambda: noted == results.owed)
    assert said == ["the disk is full"]


def test_a_stop_does_not_wait_for_an_archive_that_hangs(
    started: Callable[..., Node], owing: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_sender, "_STOP_S", 0.2)
    reached, free = threading.Event(), threading.Event()

    def hang(_: object) -> int:
        reached.set()
        free.wait(30)
        return 0

    said: list[str] = []
    node = started(store=hang)
    results = owing(2, lambda _: None)
    with sender(results, node, said) as sending:
        sending.add(results.owed)
        assert reached.wait(10)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 10  # a minute's answer is waited for otherwise
    until(lambda: sending._thread not in threading.enumerate())  # nor is a thread left
    free.set()
    assert said[-1].endswith("not sent yet: 2; the next start sends them")


def test_a_stop_does_not_wait_for_all_that_is_owed(
    started: Callable[..., Node], owing: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_sender, "_STOP_S", 0.2)
    reached, free = threading.Event(), threading.Event()

    def wait(_: object) -> int:
        reached.set()
        free.wait(30)
        return 0

    noted: list[str] = []
    node = started(store=wait)
    results = owing(60, noted.extend)
    with sender(results, node) as sending:
        sending.add(results.owed)
        assert reached.wait(10)
        threading.Timer(0.3, free.set).start()
    assert noted == results.owed[:1]
