"""Instances that come over the network, and what peers may take."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from edgeseg.errors import ConfigError, OutputWriteError
from edgeseg.node.addresses import Caller, NodeAddress, Status
from edgeseg.node.node import Notices
from edgeseg.node.server import run_server
from tests.fakes import until
from tests.node.conftest import (
    ABORT,
    Node,
    Start,
    associated,
    connected,
    data,
    example,
    read_unit,
    run,
    store_command,
)

pydicom = pytest.importorskip("pydicom")
pynetdicom = pytest.importorskip("pynetdicom")

# How each is made of an uncompressed image, and how it is proposed.
ENCODINGS = {
    "1.2.840.10008.1.2": (["dcmconv", "+ti"], ["-xi"]),
    "1.2.840.10008.1.2.2": (["dcmconv", "+tb"], ["-xb"]),
    "1.2.840.10008.1.2.1.99": (["dcmconv", "+td"], ["-xd", "-R"]),
    "1.2.840.10008.1.2.4.70": (["dcmcjpeg", "+e1"], ["-xs", "-R"]),
}


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_storescu_stores_every_encoding(syntax: str, node: Node, tmp_path: Path) -> None:
    make, propose = ENCODINGS[syntax]
    file = tmp_path / "image.dcm"
    made = run(*make, example(), file)
    assert made.returncode == 0, made.stderr
    done = run("storescu", *propose, "-aet", "SCANNER", "127.0.0.1", node.port, file)
    assert done.returncode == 0, done.stderr
    sent = pydicom.dcmread(file)
    got = pydicom.dcmread(io.BytesIO(node.received[sent.SOPInstanceUID]))
    del sent[0xFFFC, 0xFFFC]  # padding, which storescu leaves out
    assert got == sent
    assert got.file_meta.TransferSyntaxUID == syntax
    assert not [*node.spool.iterdir()]
    assert not node.notices


def test_of_many_encodings_for_one_image_one_is_taken_that_can_be_read(node: Node) -> None:
    # JPEG-LS stands first in what is proposed here
    done = run("storescu", "-xt", "+C", "127.0.0.1", node.port, example())
    assert done.returncode == 0, done.stderr
    (content,) = node.received.values()
    got = pydicom.dcmread(io.BytesIO(content))
    assert got.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def by_pynetdicom(node: Node, sop_class: str, syntax: str, title: str = "SCANNER") -> Any:
    entity = pynetdicom.AE(title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    entity.add_requested_context(sop_class, syntax)
    return entity.associate(*node.address)


@pytest.mark.filterwarnings("ignore")
def test_an_unknown_class_or_encoding_is_taken_too(node: Node) -> None:
    for sop_class, syntax in (
        ("1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.1.2.4.202"),  # high-throughput JPEG 2000
        ("1.3.12.2.1107.5.9.1", "1.3.12.2.1107.9.9"),  # both of a maker
    ):
        association = by_pynetdicom(node, sop_class, syntax)
        assert [c.abstract_syntax for c in association.accepted_contexts] == [sop_class]
        association.release()


def store(node: Node, uid: str = "1.2.3") -> int:
    """Store a small instance, and return the status that is answered."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.6.1", uid
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "4711"
    association = by_pynetdicom(node, str(dataset.SOPClassUID), "1.2.840.10008.1.2")
    assert association.is_established
    status = int(association.send_c_store(dataset).Status)
    association.release()
    return status


def test_a_failing_store_names_no_patient(
    started: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    node = started(store=Mock(side_effect=ValueError("Doe^Jane")))
    assert store(node) == store(node) == Status.PROCESSING_FAILURE  # it goes on
    assert len(node.notices) == 2
    assert "SCANNER@127.0.0.1" in node.notices[0]
    assert "Doe" not in node.notices[0]
    assert capfd.readouterr() == ("", "")
    assert not [*node.spool.iterdir()]


@pytest.mark.filterwarnings("ignore")
def test_a_uid_that_is_none_is_refused_and_never_a_path(node: Node) -> None:
    for uid in ("1.2.a", "../../x"):
        assert store(node, uid) == Status.INVALID_INSTANCE
    assert store(node) == Status.SUCCESS
    assert [*node.received] == ["1.2.3"]


def test_only_those_allowed_are_served(started: Start) -> None:
    node = started(allow=[Caller("SCANNER"), Caller("ELSEWHERE", "10.9.8.7")])
    assert store(node) == Status.SUCCESS
    for title in ("OTHER", "ELSEWHERE"):
        association = by_pynetdicom(node, "1.2.840.10008.1.1", "1.2.840.10008.1.2", title)
        assert association.is_rejected
    assert len(node.received) == 1
    assert node.notices[0].startswith("OTHER@127.0.0.1: rejected")
    node = started(allow=[Caller("SCANNER", "10.9.8.7")])  # so that others are not even read
    with connected(node.address) as peer:
        assert read_unit(peer) == (0, b"")
    until(lambda: len(node.notices) == 1)
    assert "no caller there is allowed" in node.notices[0]


def serve(host: str, port: int, spool: Path) -> Any:
    return run_server(NodeAddress(host, port), lambda path, uid: 0, spool, lambda text: None)


def test_a_port_is_free_at_once_and_one_in_use_is_named(node: Node, tmp_path: Path) -> None:
    (spool := tmp_path / "file").write_text("")
    address, left = ("127.0.0.1", 0), tmp_path / "tmpabc.dcm"
    for _ in range(2):
        left.write_bytes(b"of a patient")
        with serve(*address, tmp_path) as address:
            assert not left.exists()  # what a killed node left is deleted
    for host in ("127.0.0.1", "no.such.host.invalid"):  # in use, and unknown
        server = serve(host, node.address[1], tmp_path)
        with pytest.raises(ConfigError, match=f"{host}:{node.port}"), server:
            pytest.fail("it listens")
    with pytest.raises(OutputWriteError, match="file"), serve("127.0.0.1", 0, spool):
        pytest.fail("it listens")


def test_notices_left_out_are_counted_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [0.0], list[str]()
    monkeypatch.setattr("edgeseg.node.node.time.monotonic", lambda: now[0])
    notices = Notices(said.append)
    for number in range(25):
        notices(f"{number}\x1b[2J")
    assert len(said) == 20
    assert "\x1b" not in said[0]
    now[0] = 61.0
    notices("again")
    notices("again")  # once an hour
    assert said[20:] == ["5 more notices were left out", "again"]
    now[0] = 3700.0
    notices("again")
    assert said[22:] == ["again"]


def test_what_ends_an_association_is_a_notice(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Mock(side_effect=OSError(28, "No space left on device", "Doe^Jane"))
    monkeypatch.setattr("pynetdicom.dimse_messages.NamedTemporaryFile", full)
    with associated(node.address) as peer:
        peer.sendall(store_command() + data(b"abc", last=True))
        assert read_unit(peer)[0] in (0, ABORT)
    assert node.notices == ["an association broke down: No space left on device"]
