"""Seven images, three of them broken, as an archive; a store whose answers are cut off."""

from __future__ import annotations

import io
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

pytest.importorskip("pyarrow")
import pyarrow.parquet as pq

from edgeseg.archive import parquet
from edgeseg.archive.manifest import Manifest
from edgeseg.archive.manifest_writer import write_manifest
from edgeseg.archive.part_worker import Done
from edgeseg.archive.place import place_of
from edgeseg.archive.plan import Archive, Plan
from edgeseg.archive.pool import measure_parts
from edgeseg.segmenter import Segmenter
from tests.run.conftest import run, scans, untimed

__all__ = ["scans"]  # a fixture


def open_archive(plan: Plan) -> Archive:
    return Archive(plan, Manifest(plan.manifest))


def measure(
    plan: Plan, shard: tuple[int, int] = (0, 1), threads: int | None = None, **more: Any
) -> Iterator[Done]:
    """Measure the parts of a shard that are missing."""
    return measure_parts(plan, open_archive(plan).find_missing(shard), threads, **more)


def part_path(plan: Plan, number: int) -> Path:
    return open_archive(plan).part(number).local


def measured_by_infer(scans: Path, out: Path, size_mm: float | None = 0.2) -> list[Any]:
    segmenter = Segmenter("hc18-nano", device="cpu", threads=1)
    return untimed(run(segmenter, scans, out, size_mm).rows)


def rows_of(plan: Plan) -> list[dict[str, Any]]:
    archive = open_archive(plan)
    rows: list[Any] = []
    for number in sorted(archive.list_parts()):
        data = archive.part(number).read_whole(parquet.is_whole)
        rows += pq.read_table(io.BytesIO(data)).to_pylist()
    return untimed(rows)


def same_as_infer(plan: Plan, scans: Path, out: Path, size_mm: float | None = 0.2) -> bool:
    """Tell whether rows are those of a folder's run, but for the place of files that failed."""

    def placeless(row: dict[str, Any]) -> dict[str, Any]:
        is_failed = row["status"] == "failed"
        return row | ({"reason": row["reason"].rpartition(": ")[2]} if is_failed else {})

    expected = measured_by_infer(scans, out, size_mm)
    return [*map(placeless, rows_of(plan))] == [*map(placeless, expected)]


def upload(scans: Path, url: str, store: str) -> None:
    """Put a folder into a store."""
    for path in filter(Path.is_file, scans.rglob("*")):
        place = place_of(f"{url}{store}") / path.relative_to(scans).as_posix()
        place.write(path.read_bytes())


def within_head(answer: bytes) -> bytes:
    return answer[: answer.find(b"\r\n\r\n") // 2]


def within_length(answer: bytes) -> bytes:
    """Cut off in the middle of the number of bytes."""
    return answer[: answer.lower().find(b"content-length: ") + 17]


def within_body(answer: bytes) -> bytes:
    return answer[: answer.find(b"\r\n\r\n") + 9]


def unavailable(answer: bytes) -> bytes:
    return b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n"


CUTS = [within_head, within_length, within_body, unavailable]


class CuttingProxy:
    """Passes requests on to a server, and cuts ``n_cut`` answers off; a context."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.cut(rb"$^", within_head)

    def __enter__(self) -> Self:
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._proxy.owner = self  # type: ignore[attr-defined]
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()

    @property
    def query(self) -> str:
        """What follows the question mark in URLs of the server behind it."""
        port = self._proxy.server_address[1]
        return f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"

    def cut(self, request: bytes, cut: Callable[[bytes], bytes], every: int = 1) -> None:
        """Cut the answers to requests whose first line matches: all, or one in so many."""
        self._request, self._cut, self._every = re.compile(request), cut, every
        self._n_matches = self.n_cut = 0

    def answer(self, request: bytes, answer: bytes) -> bytes:
        """Return what is sent of the server's answer to a request."""
        if not self._request.match(request):
            return answer
        self._n_matches += 1
        if (self._n_matches - 1) % self._every:
            return answer
        self.n_cut += 1
        return self._cut(answer)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # for 'Expect: 100-continue'

    def _pass_on(self) -> None:
        owner: CuttingProxy = self.server.owner  # type: ignore[attr-defined]
        request: bytes = self.raw_requestline  # type: ignore[attr-defined]
        del self.headers["Connection"], self.headers["Expect"]
        head = request + bytes(self.headers).rstrip(b"\n").replace(b"\n", b"\r\n")
        body = b"".join(self._read_body())
        with socket.create_connection(owner.server) as server:
            server.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
            answer = b"".join(iter(lambda: server.recv(1 << 16), b""))
        answer = owner.answer(request, answer)
        self.wfile.write(answer)
        self.close_connection = True

    def _read_body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return
        size = 1
        while size:
            line = self.rfile.readline()
            size = int(line, 16)
            yield line + self.rfile.read(size + 2)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def plan(tmp_path: Path, scans: Path) -> Plan:
    """Four parts, of two images each but the last."""
    manifest = place_of(str(tmp_path / "m.parquet"))
    write_manifest([str(scans)], manifest, 0.2)
    return Plan(manifest.text, str(tmp_path / "out"), part_size=2)


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[str, int]]:
    """Host and port of a server; its bucket is ``archive``."""
    pytest.importorskip("moto.server")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**keys, "AWS_EC2_METADATA_DISABLED": "true"}.items():
                patch.setenv(name, value)
            client = boto3.client(
                "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1"
            )
            client.create_bucket(Bucket="archive")
            yield host, port
    finally:
        server.stop()


@pytest.fixture(scope="session")
def store(server: tuple[str, int]) -> str:
    """What follows the question mark in the server's URLs."""
    return "?endpoint_override={}:{}&scheme=http&region=us-east-1".format(*server)


@pytest.fixture
def proxy(server: tuple[str, int]) -> Iterator[CuttingProxy]:
    """A proxy of the server that cuts answers off."""
    with CuttingProxy(server) as proxy:
        yield proxy
