"""Peers made of bytes, for what no proper client does."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from types import ModuleType

from tests.conftest import benchmark_script

hostile: ModuleType = benchmark_script("library.hostile.dicom_peer")
ABORT, REJECTION, RELEASED, ACCEPTANCE, DATA = 7, 3, 6, 2, 4


def read_unit(connection: socket.socket) -> tuple[int, bytes]:
    """The next data unit: its type, 0 where the connection is at its end, and its bytes."""
    header = _read(connection, 6)
    if len(header) < 6:
        return 0, b""
    kind, length = struct.unpack(">BxI", header)
    return kind, _read(connection, length)


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        try:
            part = connection.recv(count - len(data))
        except ConnectionError:
            break
        if not part:
            break
        data += part
    return data


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


def status_of(unit: tuple[int, bytes]) -> int:
    """The status in an answer."""
    kind, body = unit
    assert kind == DATA
    at = body.index(struct.pack("<HHI", 0, 0x0900, 2))
    return int(struct.unpack_from("<H", body, at + 8)[0])


def echoes(connection: socket.socket) -> bool:
    connection.sendall(hostile.fragments((1, 3, hostile.command(0x30, data=False))))
    return status_of(read_unit(connection)) == 0


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)
