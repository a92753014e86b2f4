"""Web servers, their callers, and the page in a browser."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import http.server
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgeseg.images.frame import PixelSize
from edgeseg.measure.ellipse import Ellipse
from edgeseg.segmenter import Segmenter
from edgeseg.serve.api import Measurer
from edgeseg.serve.server import Bounds, Server, run_server
from edgeseg.serve.site import Asset, export
from tests.browser import opened, wait_until

ASSETS = {"index.html": Asset("a.html", b"<p>hello"), "vendor/a.gz": Asset("a.gz", b"\x1f\x8b")}
MEASURE = "/v1/measure"
READY = "document.body.dataset.ready === 'true'"
IDLE = "document.getElementById('state').textContent.startsWith('Ready')"


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


INPUT = (128, 192)
"""(height, width) of the model's input."""
MODULES = ("view", "outline", "measure", "network", "decode")
PREPARE = """(names) => {
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const text = (pixels) => btoa(Array.from(pixels, (v) => String.fromCharCode(v)).join(""));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const prepare = async () => {
    const loaded = await Promise.all(names.map((name) => import(`./${name}.js`)));
    const t = Object.assign({ bytes, text, floats }, ...loaded);
    t.model = await (await fetch("model.json")).json();
    const onnx = new Uint8Array(await (await fetch("model.onnx")).arrayBuffer());
    const wasm = await t.fetchPacked("vendor/ort-wasm-simd-threaded.wasm.gz");
    t.session = await t.openNetwork(onnx, wasm, t.model);
    window.t = t;
  };
  window.failure = "";
  prepare().catch((error) => { window.failure = String(error); });
}"""
"""Imports all modules of the page as ``t``."""


def packed(data: bytes | npt.NDArray[Any]) -> str:
    """Return bytes, or the values of an array, as ``t.bytes`` and ``t.floats`` unpack them."""
    raw = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
    return base64.b64encode(raw).decode("ascii")


def unpacked(text: str, *shape: int) -> npt.NDArray[np.uint8]:
    """Return what ``t.text`` packed, in a shape."""
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)


def ellipse_fields(ellipse: Ellipse) -> dict[str, float]:
    """Return an ellipse as the page has it."""
    names = ("centerX", "centerY", "semiMajor", "semiMinor", "angle")
    return dict(zip(names, astuple(ellipse), strict=True))


def size_fields(size: PixelSize | None) -> dict[str, Any] | None:
    """Return a pixel size as the page has it."""
    return size and {"xMm": size.x_mm, "yMm": size.y_mm, "source": size.source}


@pytest.fixture(scope="session")
def address(nano: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the exported site is served."""
    with served(nano, tmp_path_factory.mktemp("site")) as address:
        yield address


@contextlib.contextmanager
def served(segmenter: Segmenter, folder: Path) -> Iterator[str]:
    """Export the site into an empty folder, and serve it as any web server does."""
    export(folder, segmenter, overwrite=False)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="package")
def page(chromium: Any, address: str) -> Iterator[Any]:
    """The site with all its modules at hand as ``t``."""
    with prepared(chromium, address) as page:
        yield page


@contextlib.contextmanager
def prepared(chromium: Any, address: str) -> Iterator[Any]:
    """Open a site and import its modules as ``t``."""
    with opened(chromium, address) as page:
        page.evaluate(PREPARE, list(MODULES))
        wait_until(page, "window.failure || window.t")
        assert page.evaluate("window.failure") == ""
        wait_until(page, READY)
        yield page


@pytest.fixture(scope="package")
def server(nano: Segmenter) -> Iterator[Server]:
    with running(nano) as server:
        yield server


def count(page: Any) -> int:
    return page.locator("#measured button").count()


def wait_for_results(page: Any, number: int) -> None:
    """Wait for a number of results in all."""
    wait_until(page, f"document.querySelectorAll('#measured button').length === {number} && {IDLE}")


def choose(page: Any, files: dict[str, bytes]) -> None:
    payloads = [{"name": n, "mimeType": "image/png", "buffer": data} for n, data in files.items()]
    page.set_input_files("#files", payloads)


def add(page: Any, files: dict[str, bytes], how: str = "choose") -> list[Any]:
    """Choose, drop or paste files, wait until they are measured, and return their buttons."""
    before = count(page)
    if how == "choose":
        choose(page, files)
    else:
        packed = {name: base64.b64encode(data).decode() for name, data in files.items()}
        page.evaluate(
            """([how, files]) => {
              const transfer = new DataTransfer();
              for (const [name, text] of Object.entries(files)) {
                const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type: "image/png" }));
              }
              document.dispatchEvent(how === "drop"
                ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true })
                : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
            }""",
            [how, packed],
        )
    wait_for_results(page, before + len(files))
    return page.locator("#measured button").all()[before:]
