"""A web server of the page and of measurements, bounded in all that callers may take of it."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from edgeseg.serve.handler import Handler
from edgeseg.serve.measuring import Measurer
from edgeseg.serve.site import Asset
from edgeseg.system.addresses import is_loopback


class Bounds(NamedTuple):
    """What callers may take of the machine.

    Attributes
    ----------
    body_bytes
        Of an image file.
    connections
        Open at once; more are told to come back.
    request_s
        For a caller to send a request, and to take its answer.
    """

    body_bytes: int = 32 << 20
    connections: int = 64
    request_s: float = 20.0


class Server(http.server.ThreadingHTTPServer):
    """Answers the addresses of the page, ``/v1/measure`` and ``/health``.

    Parameters
    ----------
    place
        Host and port to listen on; port 0 takes a free one.
    measurer
        What measures.
    assets
        Files of the page by address; without ``index.html`` the first page says that there is none.
    bounds
        See `Bounds`.
    """

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
        super().__init__(place, Handler)
        self.measurer, self.assets, self.bounds = measurer, assets, bounds
        self.tags = {name: f'"{_digest(asset.content)}"' for name, asset in assets.items()}
        self._slots = threading.BoundedSemaphore(bounds.connections)
        self._ends: dict[socket.socket, float] = {}
        self._changing = threading.Lock()

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(str(self.server_address[0]))

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, while there are not too many."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.settimeout(0.2)
            body = b"too many connections; come back later\n"
            request.sendall(
                b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.spare(request)
            self._slots.release()

    def limit(self, connection: socket.socket) -> None:
        """End a connection that has not come on in the time that a request may take."""
        with self._changing:
            self._ends[connection] = time.monotonic() + self.bounds.request_s

    def spare(self, connection: socket.socket) -> None:
        """Let a connection take its time: it waits for us."""
        with self._changing:
            self._ends.pop(connection, None)

    def service_actions(self) -> None:
        """End connections that are too slow; called about twice a second."""
        now = time.monotonic()
        with self._changing:
            late = [connection for connection, end in self._ends.items() if end < now]
        for connection in late:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that break off: that is theirs to do."""


@contextlib.contextmanager
def serving(server: Server) -> Iterator[None]:
    """Answer meanwhile, in a thread of its own; what is under way at the end is given time."""
    thread = threading.Thread(target=server.serve_forever, name="edgeseg-serve")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.measurer.close()
        server.server_close()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
