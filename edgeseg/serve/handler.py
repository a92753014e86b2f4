"""What is answered to a request: files of the page, how the server is, and measurements."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from edgeseg.errors import EdgesegError, ModelError
from edgeseg.serve.measuring import PARAMETERS, Busy
from edgeseg.serve.site import CONTENT_SECURITY_POLICY
from edgeseg.system.addresses import is_loopback
from edgeseg.system.version import __version__

if TYPE_CHECKING:
    from edgeseg.serve.server import Server

_CHUNK = 1 << 16
_DRAIN_S = 2.0  # for what a refused caller still sends, so that it hears why
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers the requests of one connection, one after another."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = f"edgeseg/{__version__}"
    sys_version = ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Let no single wait of a connection be longer than a whole request may take."""
        self.request.settimeout(self.server.bounds.request_s)
        super().setup()

    def handle_one_request(self) -> None:
        """Answer a request, which must come in its time."""
        self.server.limit(self.connection)
        super().handle_one_request()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep no log of who asked for what."""

    def do_GET(self) -> None:
        """Answer with a file of the page, or how the server is."""
        if not self._is_for_us():
            return
        path = urlsplit(self.path).path.removeprefix("/") or "index.html"
        if path == "health":
            self._send_json(HTTPStatus.OK, self._health())
        elif path == "v1/measure":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "send an image with POST", Allow="POST")
        elif path in self.server.assets:
            self._send_asset(path)
        elif path == "index.html":
            sentence = "this model cannot run in a page; POST /v1/measure measures with it\n"
            self._send(HTTPStatus.OK, sentence.encode(), "text/plain; charset=utf-8")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no {self.path}")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Measure an image."""
        if not self._is_for_us():
            return
        asked = urlsplit(self.path)
        if asked.path != "/v1/measure":
            self._refuse(
                HTTPStatus.NOT_FOUND, f"there is no {asked.path}; POST /v1/measure measures"
            )
        elif self._is_of_another_site():
            self._refuse(HTTPStatus.FORBIDDEN, "pages of other sites may not measure here")
        elif (length := self._length()) is not None:
            self._measure(length, dict(parse_qsl(asked.query, keep_blank_values=True)))

    def _measure(self, length: int, given: dict[str, str]) -> None:
        if unknown := sorted(given.keys() - {*PARAMETERS}):
            known = ", ".join(PARAMETERS)
            self._refuse(HTTPStatus.BAD_REQUEST, f"there is no parameter {unknown[0]}; {known} are")
            return
        try:
            with self.server.measurer:  # before the image is read: waiting ones would fill memory
                data = self.rfile.read(length)
                if len(data) < length:
                    self.close_connection = True  # its sender broke off
                    return
                self.server.spare(self.connection)
                measured = self.server.measurer.measure(data, given)
        except Busy:
            sentence = "too many images at once; come back later"
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, sentence, Retry_After="1")
            return
        except ModelError as error:
            self._send_json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)})
            return
        except EdgesegError as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"error": str(error)})
            return
        self._send_json(HTTPStatus.OK, measured)

    def _is_for_us(self) -> bool:
        """Tell whether a request names this server; else a page elsewhere may be behind it."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        if not self.server.is_local or is_loopback(host):
            return True
        self._refuse(HTTPStatus.MISDIRECTED_REQUEST, f"this is localhost, not {host!r}")
        return False

    def _is_of_another_site(self) -> bool:
        origin, host = self.headers.get("Origin"), self.headers.get("Host", "")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return True
        return origin is not None and urlsplit(origin).netloc != host

    def _length(self) -> int | None:
        """Return the length of a request's body; answer and return None if it cannot be taken."""
        text, most = self.headers.get("Content-Length", ""), self.server.bounds.body_bytes
        if "Transfer-Encoding" in self.headers or not (text.isascii() and text.isdecimal()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "say the image's length in Content-Length")
        elif int(text) > most:
            sentence = f"an image of {int(text)} bytes; at most {most} are taken"
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)
        else:
            return int(text)
        return None

    def _health(self) -> dict[str, Any]:
        measurer = self.server.measurer
        model = measurer.segmenter.file
        return {
            "status": "ok",
            "version": __version__,
            "model": model.name,
            "model_sha256": model.sha256,
            "n_under_way": measurer.taken,
        }

    def _send_asset(self, name: str) -> None:
        tag = self.server.tags[name]
        if self.headers.get("If-None-Match") == tag:
            self._send(HTTPStatus.NOT_MODIFIED, b"", "", ETag=tag)
            return
        content, content_type = self.server.assets[name]
        self._send(HTTPStatus.OK, content, content_type, ETag=tag, Cache_Control="no-cache")

    def _refuse(self, status: HTTPStatus, sentence: str, **headers: str) -> None:
        """Answer with why not, and end the connection: what follows it was not read."""
        self.close_connection = True
        self._send_json(status, {"error": sentence}, Connection="close", **headers)
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DRAIN_S)
            end = time.monotonic() + _DRAIN_S
            while time.monotonic() < end and self.connection.recv(_CHUNK):
                pass

    def _send_json(self, status: HTTPStatus, value: Any, **headers: str) -> None:
        content = json.dumps(value, allow_nan=False).encode() + b"\n"
        self._send(status, content, "application/json", Cache_Control="no-store", **headers)

    def _send(self, status: HTTPStatus, content: bytes, content_type: str, **headers: str) -> None:
        self.server.limit(self.connection)
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
