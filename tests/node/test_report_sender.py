"""Documents reach the archive whatever it and the disk do, and a stop waits for neither."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest import MonkeyPatch

from edgeseg.errors import OutputWriteError
from edgeseg.node import report_sender
from edgeseg.node.addresses import Caller, Remote
from edgeseg.node.report_sender import Outcome, Peer, ReportSender
from tests.fakes import until
from tests.node.conftest import Node, SlowStore, Start, example

pydicom = pytest.importorskip("pydicom")
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
        peer = Peer(Remote("NODE", *node.address), "EDGESEG")
        with ReportSender(results, peer, said.append) as sender:
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
    """An archive that answers once it may, which a stop does not wait for."""
    monkeypatch.setattr(report_sender, "_STOP_S", 0.2)
    store = SlowStore()
    yield SimpleNamespace(node=started(store=store), store=store)
    store.may_go_on.set()


def test_a_stop_waits_for_neither_a_hanging_archive_nor_the_rest(
    hanging: Any, sending: Sending
) -> None:
    said: list[str] = []
    with sending(hanging.node, 2, lambda _: None, said) as sender:
        assert hanging.store.is_storing.wait(10)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 10  # a minute's answer is waited for otherwise
    until(lambda: sender._thread not in threading.enumerate())  # nor is a thread left
    assert said[-1].endswith("not sent yet: 2; the next start sends them")
    noted: list[str] = []
    hanging.store.is_storing.clear()
    with sending(hanging.node, 60, noted.extend, []):
        assert hanging.store.is_storing.wait(10)
        threading.Timer(0.3, hanging.store.may_go_on.set).start()
    assert noted == ["0.dcm"]


def send(paths: list[Path], address: tuple[str, int]) -> list[Outcome]:
    return Peer(Remote("NODE", *address), "EDGESEG").send(paths)


def test_files_come_whole_as_encoded_and_others_are_refused(node: Node, tmp_path: Path) -> None:
    (text := tmp_path / "text.dcm").write_text("no DICOM")
    paths = [example(name) for name in ("rgb_color", "palette_color", "ybr_color")]
    refused, *sent = send([text, *paths], node.address)
    assert sent == [Outcome(True)] * 3
    for path, content in zip(paths, node.received.values(), strict=True):
        original, got = pydicom.dcmread(path), pydicom.dcmread(io.BytesIO(content))
        assert got == original
        assert got.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    assert refused.is_done and "text.dcm" in refused.reason
    (alone,) = send([text], node.address)
    assert alone.is_done and "text.dcm" in alone.reason


ANSWERS = [(0xB000, True), (0xA700, False), (0x0110, False), (0xC000, True)]


@pytest.mark.parametrize(("status", "is_done"), ANSWERS)
def test_the_answer_says_whether_to_send_again(status: int, is_done: bool, started: Start) -> None:
    node = started(store=lambda path, uid: status)
    (outcome,) = send([example()], node.address)
    assert outcome.is_done == is_done
    assert bool(outcome.reason) == (status != 0xB000)


def test_nobody_there_and_a_rejection_are_sentences(started: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    rejecting = started(allow=[Caller("OTHER")]).address
    for host, at in (("127.0.0.1", port), ("no.such.host.invalid", port), rejecting):
        (outcome,) = send([example()], (host, at))
        assert not outcome.is_done
        assert f"NODE@{host}:{at}" in outcome.reason and "EDGESEG" in outcome.reason


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_speaks_no_dicom_is_a_sentence(answer: bytes, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.node.report_sender._ASSOCIATION_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def respond() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.sendall(answer)
                while connection.recv(1 << 16):
                    pass

        thread = threading.Thread(target=respond)
        thread.start()
        (outcome,) = send([example()], server.getsockname())
        thread.join()
    assert not outcome.is_done and outcome.reason
