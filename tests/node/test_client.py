"""Files that are sent to another node."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from pathlib import Path

import pytest
from pytest import MonkeyPatch

from edgeseg.node.addresses import Caller, Remote
from edgeseg.node.report_sender import Outcome, send_files
from tests.node.conftest import Node, Start, example

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("pynetdicom")


def send(paths: list[Path], address: tuple[str, int]) -> list[Outcome]:
    return send_files(paths, Remote("NODE", *address), "EDGESEG")


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
