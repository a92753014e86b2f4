"""What peers may take: memory, disk, threads and time; and how a node stops."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.errors import ConfigError
from edgeseg.node.bounds import Bounds
from edgeseg.node.server import run_server
from edgeseg.node.terms import Received, Status
from tests.node.conftest import Node
from tests.node.peers import (
    ACCEPTANCE,
    REJECTION,
    associated,
    connected,
    data,
    echoes,
    hostile,
    read_unit,
    status_of,
    store_command,
    until,
)

pydicom = pytest.importorskip("pydicom")
pynetdicom = pytest.importorskip("pynetdicom")

KIB = 1 << 10


def test_an_instance_above_its_bound_ends_the_association_while_it_comes(
    started: Callable[..., Node],
) -> None:
    node = started(bounds=Bounds(instance_bytes=100 * KIB))
    most_bytes = 0
    with associated(node.address) as peer:
        peer.sendall(store_command())
        for _ in range(10):
            with contextlib.suppress(ConnectionError):
                peer.sendall(data(bytes(50 * KIB), last=False))
            with contextlib.suppress(FileNotFoundError):  # deleted just now
                sizes = [path.stat().st_size for path in node.spool.iterdir()]
                most_bytes = max(most_bytes, *sizes, 0)
        assert read_unit(peer)[0] == 0
    until(lambda: not [*node.spool.iterdir()])
    assert "an instance too large" in node.notices[0]
    assert most_bytes <= 101 * KIB
    with associated(node.address) as peer:
        for _ in range(3):  # each counts for itself
            peer.sendall(store_command() + data(bytes(90 * KIB), last=True))
            assert status_of(read_unit(peer)) == Status.SUCCESS


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("length", [0xFFFFFFFF, (512 * KIB) + 1])
def test_a_unit_above_its_bound_is_refused_by_its_header(
    length: int, first: bool, node: Node
) -> None:
    with connected(node.address) if first else associated(node.address) as peer:
        peer.sendall(hostile.unit(1 if first else 4, b"", length))  # and no byte of it
        peer.settimeout(10)
        assert read_unit(peer)[0] == 0
    assert "a unit too large" in node.notices[0]


def test_a_unit_of_its_bound_is_taken(node: Node) -> None:
    with associated(node.address) as peer:
        peer.sendall(store_command() + data(bytes(512 * KIB - 6), last=True))
        assert status_of(read_unit(peer)) == 0


def test_too_many_associations_are_asked_to_come_back(started: Callable[..., Node]) -> None:
    node = started(bounds=Bounds(associations=2))
    with associated(node.address), associated(node.address), connected(node.address) as third:
        third.sendall(hostile.usual_request())
        assert read_unit(third) == (REJECTION, b"\0\2\3\2")  # transient: local limit exceeded

    def is_free() -> bool:
        with connected(node.address) as peer:
            peer.sendall(hostile.usual_request())
            return read_unit(peer)[0] == ACCEPTANCE

    until(is_free)


def test_too_many_connections_are_closed(started: Callable[..., Node]) -> None:
    node = started(bounds=Bounds(connections=3))
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(connected(node.address)) for _ in range(20)]
        for peer in peers:
            peer.settimeout(0.5)
        n_closed = 0
        for peer in peers:
            with contextlib.suppress(TimeoutError):
                n_closed += read_unit(peer) == (0, b"")
        assert n_closed >= 16
    assert "there are too many" in node.notices[0]


@pytest.mark.parametrize("said", [b"", b"\1\0\0", b"\1\0\0\0\1\0abc"])
def test_a_peer_that_does_not_ask_for_an_association_is_let_go(
    said: bytes, started: Callable[..., Node]
) -> None:
    node = started(bounds=Bounds(association_s=0.3, pdu_s=0.3))
    before = threading.active_count()
    with connected(node.address) as peer:
        peer.sendall(said)
        assert read_unit(peer)[0] in (0, 7)
    until(lambda: threading.active_count() <= before)


def test_a_peer_that_drips_has_the_time_of_one_that_is_silent(
    started: Callable[..., Node],
) -> None:
    node = started(bounds=Bounds(association_s=0.4, pdu_s=0.4))
    with connected(node.address) as peer, pytest.raises(ConnectionError):
        began = time.monotonic()
        for byte in hostile.usual_request():
            peer.sendall(bytes([byte]))
            time.sleep(0.05)
            assert time.monotonic() - began < 10


def test_silence_ends_the_association(started: Callable[..., Node]) -> None:
    node = started(bounds=Bounds(idle_s=0.3))
    for began in (b"", store_command() + data(b"abc", last=False)):
        with associated(node.address) as peer:
            peer.sendall(began)
            assert read_unit(peer)[0] in (0, 7)
    until(lambda: not [*node.spool.iterdir()])


def test_a_peer_that_resets_leaves_nothing(node: Node) -> None:
    with associated(node.address) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.sendall(store_command() + data(b"abc", last=False))
        until(lambda: len([*node.spool.iterdir()]) == 1)
    until(lambda: not [*node.spool.iterdir()])
    with associated(node.address) as peer:
        assert echoes(peer)


def test_a_stop_lets_a_store_end(tmp_path: Path) -> None:
    before = threading.active_count()
    storing, go_on = threading.Event(), threading.Event()

    def slow(received: Received) -> int:
        storing.set()
        assert go_on.wait(10)
        return 0

    with contextlib.ExitStack() as peers:
        with run_server(("127.0.0.1", 0), slow, tmp_path / "spool") as address:
            peers.enter_context(associated(address))
            busy = peers.enter_context(associated(address))
            busy.sendall(store_command() + data(b"abc", last=True))
            assert storing.wait(10)
            threading.Timer(0.5, go_on.set).start()
        assert status_of(read_unit(busy)) == 0
        with pytest.raises(ConnectionRefusedError), connected(address):
            pass
    until(lambda: threading.active_count() <= before)
    assert not [*(tmp_path / "spool").iterdir()]


def test_a_stop_takes_no_more(tmp_path: Path) -> None:
    storing, go_on, taken = threading.Event(), threading.Event(), list[str]()

    def slow(received: Received) -> int:
        taken.append(received.sop_instance)
        storing.set()
        assert go_on.wait(10)
        return 0

    with contextlib.ExitStack() as peers:
        with run_server(("127.0.0.1", 0), slow, tmp_path) as address:
            busy = peers.enter_context(associated(address))
            other = peers.enter_context(associated(address))
            busy.sendall(store_command() + data(b"abc", last=True))
            assert storing.wait(10)

            def late() -> None:
                time.sleep(0.3)  # the stop has begun
                other.sendall(store_command() + data(b"abc", last=True))
                assert status_of(read_unit(other)) == Status.OUT_OF_RESOURCES
                go_on.set()

            sending = threading.Thread(target=late)
            sending.start()
        sending.join()
        assert status_of(read_unit(busy)) == 0
    assert len(taken) == 1


def test_a_stop_cuts_what_does_not_end(tmp_path: Path) -> None:
    notices: list[str] = []
    storing, go_on = threading.Event(), threading.Event()

    def endless(received: Received) -> int:
        storing.set()
        go_on.wait(10)
        return 0

    node = run_server(
        *(("127.0.0.1", 0), endless, tmp_path),
        bounds=Bounds(stop_s=0.3),
        on_notice=notices.append,
    )
    with contextlib.ExitStack() as peers:
        with node as address:
            peer = peers.enter_context(associated(address))
            peer.sendall(store_command() + data(bytes(KIB), last=True))
            assert storing.wait(10)
            began = time.monotonic()
        assert time.monotonic() - began < 5
        assert read_unit(peer)[0] == 0
    assert "cut off" in notices[0]
    assert not [*tmp_path.iterdir()]
    go_on.set()


@pytest.mark.parametrize("wrong", [{"associations": 0}, {"idle_s": float("nan")}, {"pdu_bytes": 9}])
def test_bounds_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Bounds(**wrong)  # type: ignore[arg-type]
