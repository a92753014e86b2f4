"""Peers made of bytes, for what no proper client does."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from types import ModuleType

from tests.conftest import benchmark_script

hostile: ModuleType = benchmark_script("library.hostile.dicom_peer")
read_unit, status_of = hostile.read_unit, hostile.status_of
answers_echo = hostile.answers_echo
ABORT, ACCEPTANCE = 7, 2


@contextlib.contextmanager
def connected(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, 10) as connection:
        yield connection


@contextlib.contextmanager
def associated(address: tuple[str, int]) -> Iterator[socket.socket]:
    """A peer that may echo in context 1, and store ultrasound images in context 3."""
    with connected(address) as connection:
        connection.sendall(hostile.usual_request())
        assert read_unit(connection)[0] == ACCEPTANCE
        yield connection


def store_command() -> bytes:
    return bytes(hostile.fragments((3, 3, hostile.command(1, data=True))))


def data(part: bytes, *, last: bool) -> bytes:
    return bytes(hostile.fragments((3, 2 if last else 0, part)))


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)
