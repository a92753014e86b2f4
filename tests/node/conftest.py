"""Nodes, and peers made of bytes, for what no proper client does."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from edgeseg.node.addresses import NodeAddress
from edgeseg.node.server import Store, run_server
from tests.conftest import benchmark_script


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program of Debian's dcmtk, or openssl."""
    name, *rest = map(str, command)
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return subprocess.run([name, *rest], capture_output=True, text=True, timeout=30)


class Node(NamedTuple):
    """A node that runs: its address, what it has received by UID, its notices and its folder."""

    address: tuple[str, int]
    received: dict[str, bytes]
    notices: list[str]
    spool: Path

    @property
    def port(self) -> str:
        return str(self.address[1])


@pytest.fixture(autouse=True)
def quick_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.node.server._ACCEPT_S", 0.02)


Start = Callable[..., Node]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Start]:
    """Start nodes that keep what comes, and stop them at the end."""
    pytest.importorskip("pynetdicom")
    numbers = itertools.count()
    with ExitStack() as stack:

        def start(store: Store | None = None, **options: Any) -> Node:
            received: dict[str, bytes] = {}
            notices: list[str] = []

            def keep(path: Path, uid: str) -> int:
                received[uid] = path.read_bytes()
                return 0

            spool = tmp_path / f"spool{next(numbers)}"
            options = {"port": 0, **options}
            server = run_server(NodeAddress(**options), store or keep, spool, notices.append)
            return Node(stack.enter_context(server), received, notices, spool)

        yield start


@pytest.fixture
def node(started: Start) -> Node:
    return started()


def example(name: str = "rgb_color") -> Path:
    """Return a real ultrasound file of pydicom: rgb_color, palette_color, ybr_color."""
    return Path(pytest.importorskip("pydicom.examples").get_path(name))


class Certificates(NamedTuple):
    authority: Path
    node: tuple[Path, Path]
    caller: tuple[Path, Path]
    stranger: tuple[Path, Path]


def make_certificate(folder: Path, name: str, *signed: str | Path) -> tuple[Path, Path]:
    """Make a certificate and its key, signed by itself or as further arguments say."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    done = run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate),
        *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", *signed),
    )
    if done.returncode:
        pytest.skip(f"this openssl makes no such certificate: {done.stderr[-200:]}")
    return certificate, key


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of an authority, a node and a caller it has signed, and one that signed itself."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, key = make_certificate(folder, "authority")
    signed = ("-CA", authority, "-CAkey", key, "-addext", "basicConstraints=critical,CA:FALSE")
    node, caller = (make_certificate(folder, name, *signed) for name in ("node", "caller"))
    return Certificates(authority, node, caller, make_certificate(folder, "stranger"))


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


class SlowStore:
    """Stores nothing, and answers once it may go on."""

    def __init__(self) -> None:
        self.is_storing, self.may_go_on = threading.Event(), threading.Event()
        self.taken: list[str] = []

    def __call__(self, path: Path, uid: str) -> int:
        self.taken.append(uid)
        self.is_storing.set()
        assert self.may_go_on.wait(10)
        return 0
