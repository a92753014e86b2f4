"""A web server of the page and of measurements that bounds what callers may take of it."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from edgeseg.errors import EdgesegError, ModelError
from edgeseg.serve.api import Busy, Measurer, check_parameters
from edgeseg.serve.request import RefusedRequest, Request, read_request
from edgeseg.serve.site import CONTENT_SECURITY_POLICY, Asset
from edgeseg.system.addresses import caller_key, is_loopback
from edgeseg.system.version import __version__

_DRAIN_S = 2.0  # for what a refused caller still sends, so that it receives the answer
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Bounds(NamedTuple):
    """What callers may take of the machine."""

    body_bytes: int = 32 << 20
    connections: int = 64  # open at once; further ones get 503
    connections_of_caller: int = 48  # those of one address, so that others stay for other callers
    request_s: float = 20.0  # for a caller to send a request, and to take its answer


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers the requests of one connection, one after another."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = f"edgeseg/{__version__}"
    sys_version = ""
    disable_nagle_algorithm = True
    raw_requestline: bytes
    _head: Request
    _is_unread = False  # whether a body lies before the next request

    def handle_one_request(self) -> None:
        """Answer a request, which must come in its time."""
        self.server.start_deadline(self.connection)
        super().handle_one_request()
        if self._is_unread:
            self._drain()

    def parse_request(self) -> bool:
        """Read a request's headers; answer and return False if it is refused."""
        self.command = self.requestline = ""
        self.request_version = self.protocol_version
        self.close_connection = self._is_unread = True
        try:
            self._head = read_request(self.raw_requestline, self.rfile)
        except RefusedRequest as error:
            self._refuse(error.status, str(error))
            return False
        self.command, host = self._head.method, self._head.host
        self._is_unread = bool(self._head.length)
        self.close_connection = self._is_unread or not self._head.keeps_connection
        # a page of another site may be behind another name
        if self.server.is_local and not is_loopback(host):
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, f"this is localhost, not {host!r}")
            return False
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what the base class refuses: other methods, and lines that are too long."""
        self.request_version = self.protocol_version
        self.close_connection = self._is_unread = True
        self._refuse(HTTPStatus(code), HTTPStatus(code).phrase)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep no log of who asked for what."""

    def do_GET(self) -> None:
        """Answer with a file of the page, or with the server's state."""
        path = self._head.path.removeprefix("/") or "index.html"
        if path == "health":
            self._send_json(HTTPStatus.OK, self.server.state())
        elif path == "v1/measure":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "send an image with POST", Allow="POST")
        elif asset := self.server.assets.get(path):
            if self._head.headers.get("if-none-match") == asset.tag:
                self._send(HTTPStatus.NOT_MODIFIED, b"", "", ETag=asset.tag)
                return
            named = {"ETag": asset.tag, "Cache_Control": "no-cache"}
            self._send(HTTPStatus.OK, asset.content, asset.content_type, **named)
        elif path == "index.html":
            message = b"this model cannot run in a page; POST /v1/measure measures with it\n"
            self._send(HTTPStatus.OK, message, "text/plain")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no {self._head.path}")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Measure an image."""
        path, length, most = self._head.path, self._head.length, self.server.bounds.body_bytes
        if path != "/v1/measure":
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no {path}; POST /v1/measure measures")
        elif self._head.is_cross_site:
            self._refuse(HTTPStatus.FORBIDDEN, "pages of other sites may not measure here")
        elif length is None:
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "send the image's length in Content-Length")
        elif length > most:
            message = f"{length} bytes are more than the {most} allowed"
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        else:
            self._measure(length)

    def _measure(self, length: int) -> None:
        measurer = self.server.measurer
        try:
            check_parameters(self._head.query)
            with measurer.place():  # before the body is read: waiting ones would fill memory
                if self._head.headers.get("expect", "").lower() == "100-continue":
                    self.send_response_only(HTTPStatus.CONTINUE)
                    self.end_headers()
                data = self.rfile.read(length)
                if len(data) < length:  # the sender broke off
                    return
                self._is_unread, self.close_connection = False, not self._head.keeps_connection
                self.server.stop_deadline(self.connection)
                row = measurer.measure(data, self._head.query)
        except Busy:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "busy; try again later", Retry_After="1")
        except ModelError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        except EdgesegError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._send_json(HTTPStatus.OK, row)

    def _refuse(self, status: HTTPStatus, message: str, **headers: str) -> None:
        self._send_json(status, {"error": message}, **headers)

    def _send_json(self, status: HTTPStatus, value: object, **headers: str) -> None:
        content = json.dumps(value, allow_nan=False).encode() + b"\n"
        self._send(status, content, "application/json", Cache_Control="no-store", **headers)

    def _send(self, status: HTTPStatus, content: bytes, content_type: str, **headers: str) -> None:
        self.server.start_deadline(self.connection)
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _drain(self) -> None:
        """Discard what a caller still sends, without which it would lose the answer."""
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DRAIN_S)
            end = time.monotonic() + _DRAIN_S
            while time.monotonic() < end and self.connection.recv(1 << 16):
                pass


class Server(http.server.ThreadingHTTPServer):
    """Answers requests for the page, ``/v1/measure`` and ``/health`` at a host and port.

    Port 0 takes a free one. ``assets`` are the files of the page by address; without ``index.html``
    the first page says that there is none.
    """

    handler = Handler
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        place: tuple[str, int],
        measurer: Measurer,
        assets: Mapping[str, Asset],
        bounds: Bounds,
    ) -> None:
        if ":" in place[0]:
            self.address_family = socket.AF_INET6
        super().__init__(place, self.handler)
        self.measurer, self.assets, self.bounds = measurer, assets, bounds
        self.is_local = is_loopback(str(self.server_address[0]))
        self._open: Counter[str] = Counter()  # connections by caller
        self._ends: dict[socket.socket, float] = {}
        self._lock = threading.Lock()

    def state(self) -> dict[str, Any]:
        """Return the answer to ``/health``."""
        model = self.measurer.segmenter.file
        return {
            "status": "ok",
            "version": __version__,
            "model": model.name,
            "model_sha256": model.sha256,
            "n_under_way": self.measurer.taken,
        }

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, while there are not too many."""
        caller, bounds = caller_key(client_address[0]), self.bounds
        with self._lock:
            has_place = self._open.total() < bounds.connections
            has_place &= self._open[caller] < bounds.connections_of_caller
            self._open[caller] += has_place
        if has_place:
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.settimeout(0.2)
            request.sendall(
                b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
                b"Content-Length: 38\r\n\r\ntoo many connections; try again later\n"
            )
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.stop_deadline(request)
            with self._lock:
                self._open -= Counter([caller_key(client_address[0])])  # keeps positive counts

    def start_deadline(self, connection: socket.socket) -> None:
        """End a connection that does not come on in the time that a request may take."""
        with self._lock:
            self._ends[connection] = time.monotonic() + self.bounds.request_s

    def stop_deadline(self, connection: socket.socket) -> None:
        """Give a connection time: it waits for the measurement."""
        with self._lock:
            self._ends.pop(connection, None)

    def service_actions(self) -> None:
        """End connections that are too slow; called about twice a second."""
        now = time.monotonic()
        with self._lock:
            late = [connection for connection, end in self._ends.items() if end < now]
        for connection in late:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore callers that break off."""


@contextlib.contextmanager
def run_server(server: Server) -> Iterator[None]:
    """Answer requests in a thread meanwhile; at the end those under way are completed."""
    thread = threading.Thread(target=server.serve_forever, name="edgeseg-serve")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.measurer.close()
        server.server_close()
