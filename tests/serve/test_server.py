"""The web server, with real connections: what it answers, and what it bounds."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.output import table
from edgeseg.phantom.head import Phantom
from edgeseg.segmenter import Segmenter
from edgeseg.serve.measuring import Measurer
from edgeseg.serve.server import Bounds, Server, serving
from edgeseg.serve.site import CONTENT_SECURITY_POLICY, Asset

ASSETS = {"index.html": Asset(b"<p>hello", "text/html"), "vendor/a.gz": Asset(b"\x1f\x8b", "x/y")}
MEASURE = "/v1/measure"


@contextlib.contextmanager
def running(
    segmenter: Segmenter,
    assets: Mapping[str, Asset] = ASSETS,
    bounds: Bounds = Bounds(),  # noqa: B008 (it cannot be changed)
    workers: int = 2,
    waiting: int = 4,
) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Measurer(segmenter, workers, waiting), assets, bounds)
    with serving(server):
        yield server


@pytest.fixture(scope="module")
def server(nano: Segmenter) -> Iterator[Server]:
    with running(nano) as server:
        yield server


@pytest.fixture(scope="module")
def scan_file(phantoms: list[Phantom]) -> bytes:
    return encode(".png", phantoms[0].image)


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=30)
    with contextlib.closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_an_image_is_measured_as_in_python(
    server: Server, nano: Segmenter, phantoms: list[Phantom], scan_file: bytes
) -> None:
    path = f"{MEASURE}?pixel_size=0.2x0.25&name=a%20b.png"
    status, headers, body = ask(server, "POST", path, scan_file)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    prediction = nano.predict(phantoms[0].image, (0.2, 0.25))
    expected = table.typed(table.prediction_row("a b.png", prediction, 0.0))
    found = json.loads(body)
    times = [name for name in expected if name in table.TIMING_COLUMNS]
    assert found.keys() == expected.keys()
    assert all(found[name] == expected[name] for name in expected if name not in times)


def test_ages_and_pictures_come_where_they_are_asked_for(
    server: Server, nano: Segmenter, phantoms: list[Phantom], scan_file: bytes
) -> None:
    path = f"{MEASURE}?pixel_size=0.3&ga=21w3d&include=mask,overlay"
    found = json.loads(ask(server, "POST", path, scan_file)[2])
    assert found["ga_weeks_given"] == pytest.approx(21 + 3 / 7, abs=1e-3)
    assert "hc_centile_intergrowth" in found
    mask, overlay = (
        cv2.imdecode(np.frombuffer(base64.b64decode(found[name]), np.uint8), cv2.IMREAD_UNCHANGED)
        for name in ("mask", "overlay")
    )
    assert np.array_equal(mask, nano.predict(phantoms[0].image).mask())
    assert overlay is not None
    assert overlay.shape == (*phantoms[0].image.shape, 3)


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        (MEASURE, b"no image", "not a PNG, JPEG"),
        (MEASURE, b"", "empty"),
        (f"{MEASURE}?pixel_size=12cm", None, "pixel size is '12cm'"),
        (f"{MEASURE}?pixel_size=99", None, "pixel size is 99"),
        (f"{MEASURE}?ga=old", None, "'old'"),
        (f"{MEASURE}?include=everything", None, "include is 'everything'"),
        (f"{MEASURE}?pixelsize=0.1", None, "no parameter pixelsize"),
    ],
)
def test_what_cannot_be_measured_is_answered_with_a_sentence(
    server: Server, scan_file: bytes, path: str, body: bytes | None, sentence: str
) -> None:
    status, _, answer = ask(server, "POST", path, scan_file if body is None else body)
    assert status == 400
    assert sentence in json.loads(answer)["error"]


def test_the_page_is_sent_with_its_policy_and_not_twice(server: Server) -> None:
    status, headers, body = ask(server, "GET", "/")
    assert (status, body) == (200, b"<p>hello")
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-cache"
    tag = headers["ETag"]
    status, headers, body = ask(server, "GET", "/index.html", If_None_Match=tag)
    assert (status, body) == (304, b"")
    status, headers, body = ask(server, "HEAD", "/")
    assert (status, headers["Content-Length"], body) == (200, "8", b"")
    status, headers, body = ask(server, "GET", "/vendor/a.gz?x=1")
    assert (status, headers["Content-Encoding"], body) == (200, None, b"\x1f\x8b")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/none", 404), ("GET", "/../pyproject.toml", 404), ("POST", "/health", 404),
        ("GET", MEASURE, 405), ("PUT", MEASURE, 501),
    ],
)  # fmt: skip
def test_other_addresses_and_methods_are_refused(
    server: Server, method: str, path: str, status: int
) -> None:
    found, headers, _ = ask(server, method, path, b"" if method != "GET" else None)
    assert found == status
    if status == 405:
        assert headers["Allow"] == "POST"


def test_pages_of_other_sites_are_refused(server: Server, scan_file: bytes) -> None:
    assert ask(server, "GET", "/health", Host="evil.example")[0] == 421
    assert ask(server, "POST", MEASURE, scan_file, Origin="http://evil.example")[0] == 403
    assert ask(server, "POST", MEASURE, scan_file, Sec_Fetch_Site="cross-site")[0] == 403
    own = f"127.0.0.1:{server.server_address[1]}"
    assert ask(server, "POST", MEASURE, scan_file, Origin=f"http://{own}", Host=own)[0] == 200


def test_a_body_must_say_its_length_and_be_bounded(nano: Segmenter, scan_file: bytes) -> None:
    with running(nano, bounds=Bounds(body_bytes=1000)) as server:
        status, _, answer = ask(server, "POST", MEASURE, scan_file)
        assert status == 413
        assert "at most 1000" in json.loads(answer)["error"]
        assert ask(server, "POST", MEASURE, b"", Transfer_Encoding="chunked")[0] == 411
        assert ask(server, "GET", "/health")[0] == 200


class Slow(Segmenter):
    """Takes its time."""

    def predict(self, *arguments: Any, **named: Any) -> Any:
        time.sleep(0.2)
        return super().predict(*arguments, **named)


def test_more_than_may_wait_are_told_to_come_back(scan_file: bytes) -> None:
    slow = Slow("hc18-nano", device="cpu", threads=1)
    with running(slow, workers=1, waiting=2) as server, ThreadPoolExecutor(40) as callers:
        answers = [callers.submit(ask, server, "POST", MEASURE, scan_file) for _ in range(40)]
        time.sleep(0.1)
        health = json.loads(ask(server, "GET", "/health")[2])
        assert health["status"] == "ok"
        assert 1 <= health["n_under_way"] <= 3
        statuses = Counter(answer.result()[0] for answer in answers)
    assert statuses.keys() <= {200, 503}
    assert 3 <= statuses[200] < 20
    busy = next(answer.result() for answer in answers if answer.result()[0] == 503)
    assert busy[1]["Retry-After"] == "1"
    assert "come back later" in json.loads(busy[2])["error"]


def test_more_connections_than_may_be_open_are_told_so(nano: Segmenter) -> None:
    with running(nano, bounds=Bounds(connections=2)) as server, contextlib.ExitStack() as stack:
        place = server.server_address[:2]
        held = [stack.enter_context(socket.create_connection(place)) for _ in range(2)]
        for connection in held:
            connection.sendall(b"GET /hea")
        time.sleep(0.2)
        assert ask(server, "GET", "/health")[0] == 503
        held[0].close()
        time.sleep(0.3)
        assert ask(server, "GET", "/health")[0] == 200


@pytest.mark.parametrize("start", [
    b"", b"GET /health",
    b"POST /v1/measure HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\nPNG",
])  # fmt: skip
def test_a_slow_caller_is_cut_off(nano: Segmenter, start: bytes) -> None:
    """Also one that sends a byte now and then, for which no single wait is long."""
    with running(nano, bounds=Bounds(request_s=0.5)) as server:
        with socket.create_connection(server.server_address[:2], timeout=10) as caller:
            caller.sendall(start)
            began = time.monotonic()
            with contextlib.suppress(OSError):
                while time.monotonic() < began + 8:
                    time.sleep(0.2)
                    caller.sendall(b"x")
            assert time.monotonic() - began < 5
        assert ask(server, "GET", "/health")[0] == 200


HOSTILE = (
    b"\x00\xff\x13\x37" * 50, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000,
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    b"POST /v1/measure HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/measure HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e9\r\n\r\n",
    b"POST /v1/measure HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\nshort",
    b"GET /%00%ff HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3,
    b"GET // HTTP/1.1\r\nHost: [::1\r\n\r\n",
)  # fmt: skip


def test_broken_requests_leave_nothing_behind(nano: Segmenter) -> None:
    with running(nano, bounds=Bounds(request_s=1.0)) as server:
        for request in HOSTILE:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(server.server_address[:2], timeout=10) as caller,
            ):
                caller.sendall(request)
                caller.shutdown(socket.SHUT_WR)
                while caller.recv(1 << 16):
                    pass
        assert ask(server, "GET", "/health")[0] == 200
        end = time.monotonic() + 5
        handling = [True]
        while handling and time.monotonic() < end:
            handling = [t for t in threading.enumerate() if "process_request_thread" in t.name]
            time.sleep(0.05)
        assert not handling
        assert server.measurer.taken == 0


def test_a_connection_asks_again_and_again(server: Server, scan_file: bytes) -> None:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=30)
    with contextlib.closing(connection):
        for method, path, body in (("GET", "/health", None), ("POST", MEASURE, scan_file)) * 2:
            connection.request(method, path, body)
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()


def test_an_image_that_unpacks_to_more_than_it_may_is_refused(server: Server) -> None:
    bomb = cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))[1].tobytes()
    status, _, answer = ask(server, "POST", MEASURE, bomb)
    assert status == 400
    assert "50 million" in json.loads(answer)["error"] or "9000" in json.loads(answer)["error"]


def test_without_a_page_the_first_address_says_so(nano: Segmenter) -> None:
    with running(nano, assets={}) as server:
        status, _, body = ask(server, "GET", "/")
        assert status == 200
        assert b"POST /v1/measure" in body
