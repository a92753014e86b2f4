"""A web server and what its callers send."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
from collections.abc import Iterator, Mapping

from edgeseg.segmenter import Segmenter
from edgeseg.serve.api import Measurer
from edgeseg.serve.server import Bounds, Server, run_server
from edgeseg.serve.site import Asset

ASSETS = {"index.html": Asset(b"<p>hello", "text/html"), "vendor/a.gz": Asset(b"\x1f\x8b", "x/y")}
MEASURE = "/v1/measure"


@contextlib.contextmanager
def running(
    segmenter: Segmenter,
    assets: Mapping[str, Asset] = ASSETS,
    bounds: Bounds = Bounds(),  # noqa: B008 (it cannot be changed)
    workers: int = 2,
    queue: int = 4,
) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Measurer(segmenter, workers, queue), assets, bounds)
    with run_server(server):
        yield server


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=30)
    with contextlib.closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def send(server: Server, data: bytes) -> list[int]:
    """Send bytes, and return the statuses of all answers until the server ends the connection."""
    with socket.create_connection(server.server_address[:2], timeout=30) as caller:
        caller.sendall(data)
        answer = b"".join(iter(lambda: caller.recv(1 << 16), b""))
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
