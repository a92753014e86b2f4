"""A proxy that cuts off some answers of a server, as a load balancer does that goes away."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Cut = Callable[[bytes], bytes]


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

    def cut(self, request: bytes, cut: Cut, every: int = 1) -> None:
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
