"""What peers may take: memory, disk, threads and time; and how a node stops."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from edgeseg.node.addresses import Bounds, NodeAddress, Status
from edgeseg.node.server import run_server
from tests.fakes import until
from tests.node.conftest import (
    Node,
    SlowStore,
    Start,
    associated,
    connected,
    data,
    hostile,
    read_unit,
    store_command,
)

pytest.importorskip("pydicom")
pytest.importorskip("pynetdicom")

KIB = 1 << 10
SMALL = store_command() + data(b"abc", last=True)


def test_too_large_an_instance_ends_the_association(started: Start) -> None:
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
            assert hostile.status_of(read_unit(peer)) == Status.SUCCESS


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is not told here")
def test_an_instance_is_never_whole_in_memory(started: Start) -> None:
    resident: list[int] = []

    def store(path: Path, uid: str) -> int:
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]))
        return 0

    node = started(store=store)
    part = data(bytes(1 << 18), last=False)
    with associated(node.address) as peer:
        for count in (1, 400):
            peer.sendall(store_command())
            for _ in range(count):
                peer.sendall(part)
            peer.sendall(data(b"", last=True))
            assert hostile.status_of(read_unit(peer)) == 0
    small, large = resident  # pages, of 256 KiB and of 100 MiB
    assert (large - small) * os.sysconf("SC_PAGE_SIZE") < 10 << 20


@pytest.mark.parametrize(("first", "length"), [(True, 0xFFFFFFFF), (False, (512 * KIB) + 1)])
def test_a_unit_too_large_is_refused_by_its_header(first: bool, length: int, node: Node) -> None:
    with connected(node.address) if first else associated(node.address) as peer:
        peer.sendall(hostile.unit(1 if first else 4, b"", length))  # and no byte of it
        peer.settimeout(10)
        assert read_unit(peer)[0] == 0
    assert "a unit too large" in node.notices[0]
    with associated(node.address) as peer:  # one of its bound is taken
        peer.sendall(store_command() + data(bytes(512 * KIB - 6), last=True))
        assert hostile.status_of(read_unit(peer)) == 0


def test_too_many_associations_come_back_and_connections_are_closed(started: Start) -> None:
    node = started(bounds=Bounds(associations=2))
    with associated(node.address), associated(node.address), connected(node.address) as third:
        third.sendall(hostile.usual_request())
        assert read_unit(third) == (3, b"\0\2\3\2")  # rejected for now: local limit exceeded
    until(lambda: hostile.answers_echo(node.address))
    for bounds in (Bounds(connections=3), Bounds(associations=2, connections_of_address=3)):
        _assert_closes_most_of_20(started(bounds=bounds))


def _assert_closes_most_of_20(node: Node) -> None:
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


def test_a_peer_that_asks_for_nothing_or_is_silent_is_let_go(started: Start) -> None:
    node = started(bounds=Bounds(association_s=0.3, pdu_s=0.3))
    silent = started(bounds=Bounds(idle_s=0.3))
    before = threading.active_count()
    for begun in (b"", b"\1\0\0\0\1\0abc"):
        with connected(node.address) as peer:
            peer.sendall(begun)
            assert read_unit(peer)[0] in (0, 7)
    with connected(node.address) as peer, pytest.raises(ConnectionError):
        began = time.monotonic()
        for byte in hostile.usual_request():  # it drips
            peer.sendall(bytes([byte]))
            time.sleep(0.05)
            assert time.monotonic() - began < 10
    for first in (b"", store_command() + data(b"abc", last=False)):
        with associated(silent.address) as peer:
            peer.sendall(first)
            assert read_unit(peer)[0] in (0, 7)
    until(lambda: not [*silent.spool.iterdir()])
    until(lambda: threading.active_count() <= before)


def test_a_peer_that_resets_leaves_nothing(node: Node) -> None:
    with associated(node.address) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.sendall(store_command() + data(b"abc", last=False))
        until(lambda: len([*node.spool.iterdir()]) == 1)
    until(lambda: not [*node.spool.iterdir()])
    assert hostile.answers_echo(node.address)


def test_a_stop_lets_a_store_end_and_takes_no_more(tmp_path: Path) -> None:
    before, store = threading.active_count(), SlowStore()
    with contextlib.ExitStack() as peers:
        node = NodeAddress(port=0)
        with run_server(node, store, tmp_path, lambda text: None) as address:
            busy, other = (peers.enter_context(associated(address)) for _ in range(2))
            busy.sendall(SMALL)
            assert store.is_storing.wait(10)

            def send_late() -> None:
                time.sleep(0.3)  # the stop has begun
                other.sendall(SMALL)
                assert hostile.status_of(read_unit(other)) == Status.OUT_OF_RESOURCES
                store.may_go_on.set()

            sending = threading.Thread(target=send_late)
            sending.start()
        sending.join()
        assert hostile.status_of(read_unit(busy)) == 0
        with pytest.raises(ConnectionRefusedError), connected(address):
            pass
    until(lambda: threading.active_count() <= before)
    assert len(store.taken) == 1
    assert not [*tmp_path.iterdir()]


def test_a_stop_cuts_what_does_not_end(tmp_path: Path) -> None:
    notices: list[str] = []
    store, node = SlowStore(), NodeAddress(port=0, bounds=Bounds(stop_s=0.3))
    with contextlib.ExitStack() as peers:
        with run_server(node, store, tmp_path, notices.append) as address:
            (peer := peers.enter_context(associated(address))).sendall(SMALL)
            assert store.is_storing.wait(10)
            began = time.monotonic()
        assert time.monotonic() - began < 5
        assert read_unit(peer)[0] == 0
    assert "cut off" in notices[0]
    assert not [*tmp_path.iterdir()]
    store.may_go_on.set()
