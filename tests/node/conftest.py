from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edgeseg.node.server import run_server
from edgeseg.node.terms import Received, Status


def tool(name: str) -> str:
    """A program of Debian's dcmtk, or of openssl."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    name, *rest = map(str, command)
    return subprocess.run([tool(name), *rest], capture_output=True, text=True, timeout=30)


class Node(NamedTuple):
    """A node that runs: its address, what it has received, and its notices."""

    address: tuple[str, int]
    received: list[Received]
    contents: list[bytes]
    notices: list[str]
    spool: Path

    @property
    def port(self) -> str:
        return str(self.address[1])


@pytest.fixture(autouse=True)
def quick_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.node.server._ACCEPT_S", 0.02)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Start nodes that keep what comes, and stop them at the end."""
    pytest.importorskip("pynetdicom")
    numbers = itertools.count()
    with ExitStack() as stack:

        def start(**options: Any) -> Node:
            received: list[Received] = []
            contents: list[bytes] = []
            notices: list[str] = []

            def store(instance: Received) -> int:
                contents.append(instance.path.read_bytes())
                received.append(instance)
                return Status.SUCCESS

            spool = tmp_path / f"spool{next(numbers)}"
            usual: dict[str, Any] = {"store": store, "spool": spool, "on_notice": notices.append}
            address = stack.enter_context(run_server(("127.0.0.1", 0), **usual | options))
            return Node(address, received, contents, notices, spool)

        yield start


@pytest.fixture
def node(started: Callable[..., Node]) -> Node:
    return started()


@pytest.fixture(scope="session")
def example() -> Callable[[str], Path]:
    """Real ultrasound files that come with pydicom: rgb_color, palette_color, ybr_color."""
    examples = pytest.importorskip("pydicom.examples")

    def path(name: str) -> Path:
        return Path(examples.get_path(name))

    return path


class Certificates(NamedTuple):
    authority: Path
    node: tuple[Path, Path]
    caller: tuple[Path, Path]
    stranger: tuple[Path, Path]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of an authority, a node and a caller it has signed, and one that signed itself."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(name: str, *signed: str) -> tuple[Path, Path]:
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        done = run(
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", *signed),
        )
        if done.returncode:
            pytest.skip(f"this openssl makes no such certificate: {done.stderr[-200:]}")
        return certificate, key

    authority, authority_key = make("authority")
    signed = [*("-CA", str(authority), "-CAkey", str(authority_key))]
    signed += ["-addext", "basicConstraints=critical,CA:FALSE"]
    return Certificates(authority, make("node", *signed), make("caller", *signed), make("stranger"))
