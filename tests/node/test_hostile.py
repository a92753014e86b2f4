"""Peers that mean harm: a node outlives them, and gives back what they took."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.node.bounds import Bounds
from edgeseg.node.terms import Received
from tests.node.conftest import Node
from tests.node.peers import (
    associated,
    data,
    hostile,
    read_unit,
    status_of,
    store_command,
    until,
)

# pynetdicom leaves sockets and files of what breaks down to the garbage collection
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
FEW_S = Bounds(association_s=0.5, pdu_s=0.5, idle_s=0.5)
MIB = 1 << 20


def resident_mib() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        pytest.skip("this system does not tell a process its resident memory")
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def harm(address: tuple[str, int], seed: int, count: int) -> None:
    numbers = random.Random(seed)
    for _ in range(count):
        hostile.carry_out(address, hostile.attack(numbers))


def test_broken_peers_end_nothing_and_leave_nothing(
    started: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.node.notices._LINES", 10**9)
    node = started(bounds=FEW_S)
    waiting = threading.active_count()
    harm(node.address, seed=1, count=150)  # what memory is taken once and kept
    until(lambda: threading.active_count() <= waiting)
    resident_before = resident_mib()
    harm(node.address, seed=2, count=200)
    until(lambda: hostile.answers_echo(node.address))
    until(lambda: threading.active_count() <= waiting)
    assert resident_mib() - resident_before < 24
    until(lambda: not [*node.spool.iterdir()])


def test_broken_peers_by_the_dozen_at_once(started: Callable[..., Node]) -> None:
    node = started(bounds=FEW_S)
    waiting = threading.active_count()
    threads = [
        threading.Thread(target=harm, args=(node.address, seed, 12)) for seed in range(3, 27)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: threading.active_count() <= waiting)
    until(lambda: hostile.answers_echo(node.address))
    until(lambda: not [*node.spool.iterdir()])


def test_an_instance_is_never_whole_in_memory(started: Callable[..., Node]) -> None:
    resident: list[float] = []

    def store(received: Received) -> int:
        resident.append(resident_mib())
        return 0

    node = started(store=store)
    part = data(bytes(1 << 18), last=False)
    with associated(node.address) as peer:
        for count in (1, 400):
            peer.sendall(store_command())
            for _ in range(count):
                peer.sendall(part)
            peer.sendall(data(b"", last=True))
            assert status_of(read_unit(peer)) == 0
    small, large = resident  # of 256 KiB, and of 100 MiB
    assert large - small < 10


def test_the_same_numbers_mean_the_same_harm() -> None:
    first, second = (hostile.attack(random.Random(7)) for _ in range(2))
    assert first == second
