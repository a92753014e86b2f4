"""The page that shows a live picture, over the server of `edgeseg.serve`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path

from edgeseg.errors import EdgesegError
from edgeseg.live.source import LiveFrame
from edgeseg.live.view import LiveView
from edgeseg.serve.api import Measurer
from edgeseg.serve.server import Bounds, Handler, Server
from edgeseg.serve.site import PAGE, SHARED, Asset

_PAGE = Path(__file__).with_name("page")
_OTHERS = (SHARED / "common.css", PAGE / "style.css", PAGE / "icon-192.png")
_BOUNDARY = "edgeseg-frame"


class LiveHandler(Handler):
    """Answers requests for the live picture, for what is measured in it, and to keep a frame."""

    server: LiveServer

    def do_GET(self) -> None:
        """Answer with the picture as it comes, with what is measured, or with a file."""
        path = self._head.path.removeprefix("/")
        if path == "picture":
            self._stream()
        elif path == "state":
            self._send_json(HTTPStatus.OK, self.server.view.state())
        else:
            super().do_GET()

    def do_POST(self) -> None:
        """Keep the frame that is shown."""
        if self._head.path != "/freeze":
            super().do_POST()
        elif self._head.is_cross_site:
            self._refuse(HTTPStatus.FORBIDDEN, "pages of other sites may not keep frames")
        elif (newest := self.server.view.newest()) is None:
            self._refuse(HTTPStatus.CONFLICT, "there is no picture yet")
        else:
            try:
                file = self.server.keep(newest)
            except EdgesegError as error:
                self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
            else:
                self._send_json(HTTPStatus.OK, {"file": file})

    def _stream(self) -> None:
        """Send picture after picture, each in place of the one before, to whoever keeps up."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        number, boundary = 0, f"--{_BOUNDARY}\r\n".encode()
        self.wfile.write(boundary)
        while True:
            self.server.stop_deadline(self.connection)
            if (found := self.server.view.next_picture(number)) is None:
                return
            number, picture = found
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
            self.server.start_deadline(self.connection)
            self.wfile.write(head + picture + b"\r\n" + boundary)


class LiveServer(Server):
    """Serves a live view at a port of this machine; ``keep`` keeps a frame and names it."""

    handler = LiveHandler

    def __init__(self, port: int, view: LiveView, keep: Callable[[LiveFrame], str]) -> None:
        measurer = Measurer(view.segmenter, 1, 0)
        super().__init__(("127.0.0.1", port), measurer, _read_page(), Bounds())
        self.view, self.keep = view, keep


def _read_page() -> Mapping[str, Asset]:
    files = (*_PAGE.iterdir(), *_OTHERS)
    return {path.name: Asset(path.name, path.read_bytes()) for path in files}
