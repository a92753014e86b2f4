"""Files that are sent to another node."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.node.addresses import Caller, Remote
from edgeseg.node.bounds import Bounds
from edgeseg.node.client import send_files
from tests.node.conftest import Node

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("pynetdicom")


def remote(node: Node) -> Remote:
    return Remote("NODE", *node.address)


def test_files_come_whole_each_in_its_encoding(node: Node, example: Callable[[str], Path]) -> None:
    paths = [example(name) for name in ("rgb_color", "palette_color", "ybr_color")]
    assert [outcome.is_sent for outcome in send_files(paths, remote(node))] == [True] * 3
    for path, content in zip(paths, node.contents, strict=True):
        sent, got = pydicom.dcmread(path), pydicom.dcmread(io.BytesIO(content))
        assert got == sent
        assert got.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    assert {received.caller for received in node.received} == {"EDGESEG@127.0.0.1"}


def test_what_cannot_be_read_is_refused_and_the_others_sent(
    node: Node, example: Callable[[str], Path], tmp_path: Path
) -> None:
    (text := tmp_path / "text.dcm").write_text("no DICOM")
    outcomes = send_files([text, example("rgb_color"), tmp_path / "absent"], remote(node))
    assert [outcome.is_sent for outcome in outcomes] == [False, True, False]
    assert outcomes[0].is_refused
    assert "text.dcm" in outcomes[0].reason
    (alone,) = send_files([text], remote(node))
    assert alone.is_refused


@pytest.mark.parametrize(
    ("status", "is_sent", "is_refused"),
    [
        (0x0000, True, False),
        (0xB000, True, False),
        (0xA700, False, False),
        (0x0110, False, False),
        (0xC000, False, True),
    ],
)
def test_the_answer_says_whether_to_send_again(
    status: int, is_sent: bool, is_refused: bool,
    started: Callable[..., Node], example: Callable[[str], Path],
) -> None:  # fmt: skip
    node = started(store=lambda received: status)
    (outcome,) = send_files([example("rgb_color")], remote(node))
    assert (outcome.is_sent, outcome.is_refused) == (is_sent, is_refused)
    assert bool(outcome.reason) == (not is_sent)


def test_a_rejection_is_a_sentence(
    started: Callable[..., Node], example: Callable[[str], Path]
) -> None:
    (outcome,) = send_files([example("rgb_color")], remote(started(allow=[Caller("OTHER")])))
    assert not outcome.is_sent
    assert not outcome.is_refused
    assert "EDGESEG" in outcome.reason


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_nobody_there_is_a_sentence(host: str, example: Callable[[str], Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    (outcome,) = send_files([example("rgb_color")], Remote("NODE", host, port))
    assert not outcome.is_sent
    assert f"NODE@{host}:{port}" in outcome.reason


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_speaks_no_dicom_is_a_sentence(answer: bytes, example: Callable[[str], Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def respond() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.sendall(answer)
                while connection.recv(1 << 16):
                    pass

        thread = threading.Thread(target=respond)
        thread.start()
        reached, few_s = Remote("NODE", *server.getsockname()), Bounds(association_s=0.5)
        (outcome,) = send_files([example("rgb_color")], reached, bounds=few_s)
        thread.join()
    assert not outcome.is_sent
    assert outcome.reason
