"""The web server, with real connections: what it answers, and what it bounds."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.output import table
from edgeseg.phantom.head import Phantom
from edgeseg.segmenter import Segmenter
from edgeseg.serve.api import Measurer
from edgeseg.serve.server import Bounds, Server, run_server
from edgeseg.serve.site import CONTENT_SECURITY_POLICY, Asset

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
    expected = table.prediction_row("a b.png", prediction, 0.0)
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
        (f"{MEASURE}?include=everything", None, "'everything'"),
        (f"{MEASURE}?pixelsize=0.1", None, "pixelsize"),
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


HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""A request that nobody checked, in the body of another."""


def send(server: Server, data: bytes) -> list[int]:
    """Send bytes, and return the statuses of all answers until the server ends the connection."""
    with socket.create_connection(server.server_address[:2], timeout=30) as caller:
        caller.sendall(data)
        answer = b"".join(iter(lambda: caller.recv(1 << 16), b""))
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.mark.parametrize("request_line", [
    b"GET /health", b"HEAD /", b"GET /none", b"POST /health", b"PUT /health", b"OPTIONS /",
])  # fmt: skip
def test_a_body_that_is_not_read_is_no_request(server: Server, request_line: bytes) -> None:
    head = b"%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    assert len(send(server, head % (request_line, len(HIDDEN)) + HIDDEN)) == 1


AMBIGUOUS = {
    "two lengths": b"Host: localhost\r\nContent-Length: 3\r\nContent-Length: 49",
    "two lengths in one header": b"Host: localhost\r\nContent-Length: 3, 49",
    "13 digits": b"Host: localhost\r\nContent-Length: 0000000000003",
    "a sign": b"Host: localhost\r\nContent-Length: +3",
    "an exponent": b"Host: localhost\r\nContent-Length: 3e0",
    "a hexadecimal length": b"Host: localhost\r\nContent-Length: 0x3",
    "a negative length": b"Host: localhost\r\nContent-Length: -3",
    "digits of another script": "Host: localhost\r\nContent-Length: \u0663".encode(),
    "an empty length": b"Host: localhost\r\nContent-Length: ",
    "length and chunks": b"Host: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
    "a space before a colon": b"Host: localhost\r\nContent-Length : 3",
    "a folded header": b"Host: localhost\r\nX: y\r\n Content-Length: 3",
    "a line without a colon": b"Host: localhost\r\nX\r\nContent-Length: 3",
    "a bare carriage return": b"Host: localhost\r\nX: y\rContent-Length: 3",
    "a bare line feed": b"Host: localhost\nContent-Length: 3",
    "a zero byte": b"Host: localhost\r\nX: \0",
    "no host": b"X: y",
    "two hosts": b"Host: localhost\r\nHost: evil.example",
    "a host behind a user": b"Host: localhost@evil.example",
    "half an IPv6 address": b"Host: [::1",
    "an IPv6 address without brackets": b"Host: ::1",
    "a host and a path": b"Host: localhost/x",
    "a port too large": b"Host: localhost:65536",
    "no port": b"Host: localhost:",
    "an empty origin": b"Host: localhost\r\nOrigin: ",
    "an origin without a scheme": b"Host: localhost\r\nOrigin: localhost",
    "a broken origin": b"Host: localhost\r\nOrigin: http://[::1",
    "two origins": b"Host: localhost\r\nOrigin: http://localhost http://evil.example",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
@pytest.mark.parametrize("method", [b"GET /health", b"POST /v1/measure"])
def test_what_can_be_read_in_two_ways_is_refused(server: Server, method: bytes, name: str) -> None:
    head = b"%s HTTP/1.1\r\n%s\r\n\r\nabc" % (method, AMBIGUOUS[name])
    assert send(server, head + HIDDEN) == [400]


@pytest.mark.parametrize("line", [
    b"GET http://evil.example/ HTTP/1.1", b"GET / HTTP/9.9", b"GET /", b"GET  / HTTP/1.1",
    b"get / HTTP/1.1", b"\x00\xff\x13\x37",
])  # fmt: skip
def test_first_lines_that_are_malformed_are_refused(server: Server, line: bytes) -> None:
    assert send(server, line + b"\r\nHost: localhost\r\n\r\n") == [400]


@pytest.mark.parametrize("head", [b"GET /%s", b"GET / HTTP/1.1\r\nX: %s", b"GET / HTTP/1.1\r\n%s"])
def test_too_long_or_too_many_headers_are_refused(server: Server, head: bytes) -> None:
    filler = b"X: y\r\n" * 30_000 if head.endswith(b"\n%s") else b"x" * 150_000
    before = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert send(server, before + head % filler + b"\r\n\r\n") in ([200, 400], [200, 414])


LOCAL = ("localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1", "127.8.9.1:80", "[::1]:8000",
         "[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]")  # fmt: skip
FOREIGN = ("evil.example", "127.0.0.1.evil.example", "127.evil.example", "localhost.evil.example",
           "0.0.0.0", "0177.0.0.1", "2130706433", "0x7f.0.0.1", "127.1", "[::2]", "10.0.0.1",
           "[::ffff:10.0.0.1]", "xn--localhost-")  # fmt: skip


@pytest.mark.parametrize(("host", "status"), [
    *((host, 200) for host in LOCAL), *((host, 421) for host in FOREIGN),
])  # fmt: skip
def test_only_names_of_this_machine_are_answered(server: Server, host: str, status: int) -> None:
    """A name that another site's page has pointed here is not one."""
    assert ask(server, "GET", "/health", Host=host)[0] == status


@pytest.mark.parametrize(("headers", "status"), [
    ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
    ({"Origin": "http://localhost:1"}, 403), ({"Sec_Fetch_Site": "cross-site"}, 403),
    ({"Origin": "http://LOCALHOST:8000", "Host": "localhost:8000"}, 200),
    ({"Sec_Fetch_Site": "same-origin"}, 200),
])  # fmt: skip
def test_pages_of_other_sites_may_not_measure(
    server: Server, scan_file: bytes, headers: dict[str, str], status: int
) -> None:
    assert ask(server, "POST", MEASURE, scan_file, **headers)[0] == status


def test_a_body_must_say_its_length_and_be_bounded(nano: Segmenter, scan_file: bytes) -> None:
    with running(nano, bounds=Bounds(body_bytes=1000)) as server:
        status, _, answer = ask(server, "POST", MEASURE, scan_file)
        assert status == 413
        assert "1000" in json.loads(answer)["error"]
        assert ask(server, "POST", MEASURE, b"", Transfer_Encoding="chunked")[0] in (400, 411)
        assert send(
            server, b"POST /v1/measure HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ) == [411]
        assert ask(server, "GET", "/health")[0] == 200


def test_a_caller_may_wait_for_leave_to_send(server: Server, scan_file: bytes) -> None:
    """As curl does with large files."""
    head = b"POST /v1/measure HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    head += b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(scan_file)
    assert send(server, head + scan_file) == [100, 200]


class Held(Segmenter):
    """Predicts once it is let go."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.go = threading.Event()

    def predict(self, *arguments: Any, **named: Any) -> Any:
        self.go.wait()
        return super().predict(*arguments, **named)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds that other threads bring about."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("never")


def test_more_images_than_places_get_503(scan_file: bytes) -> None:
    held = Held("hc18-nano", device="cpu", threads=1)
    with running(held, workers=1, queue=2) as server, ThreadPoolExecutor(3) as callers:
        try:
            answers = [callers.submit(ask, server, "POST", MEASURE, scan_file) for _ in range(3)]
            wait_for(lambda: server.measurer.taken == 3)
            assert json.loads(ask(server, "GET", "/health")[2])["n_under_way"] == 3
            status, headers, body = ask(server, "POST", MEASURE, scan_file)
            assert (status, headers["Retry-After"]) == (503, "1")
            assert "again later" in json.loads(body)["error"]
        finally:
            held.go.set()
        assert [answer.result()[0] for answer in answers] == [200] * 3


def keep_open(stack: contextlib.ExitStack, server: Server) -> http.client.HTTPConnection:
    """Open a connection that the server has answered on, and keep it."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=30)
    stack.callback(connection.close)
    connection.request("GET", "/health")
    assert connection.getresponse().read()
    return connection


def test_more_connections_than_bounded_get_503(nano: Segmenter) -> None:
    with running(nano, bounds=Bounds(connections=2)) as server, contextlib.ExitStack() as stack:
        held = [keep_open(stack, server) for _ in range(2)]
        assert ask(server, "GET", "/health")[0] == 503
        held[0].close()
        wait_for(lambda: ask(server, "GET", "/health")[0] == 200)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address")
def test_one_address_leaves_connections_to_others(nano: Segmenter) -> None:
    bounds = Bounds(connections=3, connections_of_caller=2)
    with running(nano, bounds=bounds) as server, contextlib.ExitStack() as stack:
        for _ in range(2):
            keep_open(stack, server)
        assert ask(server, "GET", "/health")[0] == 503
        place = server.server_address[:2]
        with socket.create_connection(place, 30, source_address=("127.0.0.2", 0)) as other:
            other.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert other.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    assert Bounds().connections_of_caller < Bounds().connections


@pytest.mark.parametrize("start", [
    b"", b"GET /health", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
    b"POST /v1/measure HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\nPNG",
])  # fmt: skip
def test_a_slow_caller_is_cut_off(nano: Segmenter, start: bytes) -> None:
    """Also one that sends a byte now and then, for which no single wait is long."""
    with running(nano, bounds=Bounds(request_s=0.3)) as server:
        with socket.create_connection(server.server_address[:2], timeout=10) as caller:
            caller.sendall(start)

            def is_cut_off() -> bool:
                try:
                    caller.sendall(b"x")
                except OSError:
                    return True
                is_readable = bool(select.select([caller], [], [], 0.05)[0])
                return is_readable and not caller.recv(1 << 16)

            with contextlib.suppress(OSError):
                wait_for(is_cut_off)
        assert ask(server, "GET", "/health")[0] == 200


def test_callers_that_break_off_leave_nothing_behind(nano: Segmenter) -> None:
    length = b"POST /v1/measure HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\nshort"
    with running(nano) as server:
        for request in (b"", b"GET", b"GET / HTTP/1.1\r\n", length, length[:-5]):
            with socket.create_connection(server.server_address[:2], timeout=10) as caller:
                caller.sendall(request)
        names = "process_request_thread"
        wait_for(lambda: not any(names in thread.name for thread in threading.enumerate()))
        assert server.measurer.taken == 0
        assert ask(server, "GET", "/health")[0] == 200


def test_a_connection_asks_again_and_again(server: Server, scan_file: bytes) -> None:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=30)
    with contextlib.closing(connection):
        for method, path, body in (
            ("GET", "/health", None), ("POST", MEASURE, scan_file), ("POST", MEASURE, b"no image"),
            ("GET", "/none", None),
        ) * 2:  # fmt: skip
            connection.request(method, path, body)
            answer = connection.getresponse()
            assert answer.read()
            assert answer.headers["Connection"] is None


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
