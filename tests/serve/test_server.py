"""A web server on real connections: what it answers, what it refuses, and what it bounds."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import select
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from edgeseg.output import table
from edgeseg.phantom.head import Phantom
from edgeseg.segmenter import Segmenter
from edgeseg.serve.server import Bounds, Server
from edgeseg.serve.site import CONTENT_SECURITY_POLICY
from tests.fakes import until
from tests.serve.conftest import MEASURE, ask, running, send

BOMB = cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))[1].tobytes()


def test_an_image_is_measured_as_in_python(
    server: Server, nano: Segmenter, phantoms: list[Phantom], scan_file: bytes
) -> None:
    """Ages and pictures come where they are asked for."""
    path = f"{MEASURE}?pixel_size=0.2x0.25&name=a%20b.png"
    status, headers, body = ask(server, "POST", path, scan_file)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    prediction = nano.predict(phantoms[0].image, (0.2, 0.25))
    expected = table.prediction_row("a b.png", prediction, 0.0)
    found = json.loads(body)
    assert found.keys() == expected.keys()
    for name in expected.keys() - set(table.TIMING_COLUMNS):
        assert found[name] == expected[name], name
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
        (MEASURE, BOMB, "9000"),
        (f"{MEASURE}?pixel_size=12cm", None, "pixel size is '12cm'"),
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


def test_the_page_is_sent_with_its_policy_and_not_twice(server: Server, nano: Segmenter) -> None:
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
    with running(nano, assets={}) as without_page:
        status, _, body = ask(without_page, "GET", "/")
        assert status == 200
        assert b"POST /v1/measure" in body


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


def test_a_body_must_say_its_length_and_be_bounded(nano: Segmenter, scan_file: bytes) -> None:
    """A caller may wait for leave to send, as curl does with large files."""
    head = b"POST /v1/measure HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n"
    length = b"Content-Length: %d\r\nExpect: 100-continue\r\n" % len(scan_file)
    with running(nano, bounds=Bounds(body_bytes=len(scan_file))) as server:
        assert ask(server, "POST", MEASURE, scan_file + b" ")[0] == 413
        assert send(server, head % b"Transfer-Encoding: chunked\r\n") == [411]
        assert send(server, head % b"") == [411]
        assert send(server, head % length + scan_file) == [100, 200]


def test_more_images_than_places_get_503(
    nano: Segmenter, scan_file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, predict = threading.Event(), nano.predict
    monkeypatch.setattr(
        nano, "predict", lambda *args, **named: go.wait() and predict(*args, **named)
    )
    with running(nano, workers=1, queue=2) as server, ThreadPoolExecutor(3) as callers:
        try:
            answers = [callers.submit(ask, server, "POST", MEASURE, scan_file) for _ in range(3)]
            until(lambda: server.measurer.taken == 3)
            assert json.loads(ask(server, "GET", "/health")[2])["n_under_way"] == 3
            status, headers, body = ask(server, "POST", MEASURE, scan_file)
            assert (status, headers["Retry-After"]) == (503, "1")
            assert "again later" in json.loads(body)["error"]
        finally:
            go.set()
        assert [answer.result()[0] for answer in answers] == [200] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address")
def test_connections_are_bounded_in_all_and_by_address(nano: Segmenter) -> None:
    bounds = Bounds(connections=3, connections_of_caller=2)
    with running(nano, bounds=bounds) as server, contextlib.ExitStack() as stack:

        def status(address: str) -> bytes:
            """Ask on a connection that stays open, and return the answer's status."""
            caller = socket.create_connection(
                server.server_address[:2], 30, source_address=(address, 0)
            )
            stack.callback(caller.close)
            caller.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return caller.recv(1 << 16)[9:12]

        assert [status("127.0.0.1") for _ in range(3)] == [b"200", b"200", b"503"]
        assert [status("127.0.0.2") for _ in range(2)] == [b"200", b"503"]
        stack.close()
        until(lambda: status("127.0.0.1") == b"200")
    assert Bounds().connections_of_caller < Bounds().connections


@pytest.mark.parametrize("start", [
    b"", b"POST /v1/measure HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\nPNG",
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
                until(is_cut_off)
        assert ask(server, "GET", "/health")[0] == 200


def test_callers_that_break_off_leave_nothing_behind(nano: Segmenter) -> None:
    length = b"POST /v1/measure HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\nshort"
    with running(nano) as server:
        for request in (b"", b"GET / HTTP/1.1\r\n", length):
            with socket.create_connection(server.server_address[:2], timeout=10) as caller:
                caller.sendall(request)
        until(lambda: "process_request_thread" not in str(threading.enumerate()))
        assert server.measurer.taken == 0
        assert ask(server, "GET", "/health")[0] == 200


def test_a_connection_asks_again_and_again(server: Server, scan_file: bytes) -> None:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=30)
    with contextlib.closing(connection):
        for body in (None, scan_file, b"no image", None):
            connection.request("POST" if body else "GET", MEASURE if body else "/health", body)
            answer = connection.getresponse()
            assert answer.read()
            assert answer.headers["Connection"] is None


HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""A request that nobody checked, in the body of another."""


@pytest.mark.parametrize("request_line", [b"GET /health", b"POST /health", b"PUT /health"])
def test_a_body_that_is_not_read_is_no_request(server: Server, request_line: bytes) -> None:
    head = b"%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    assert len(send(server, head % (request_line, len(HIDDEN)) + HIDDEN)) == 1


AMBIGUOUS = {
    "two lengths": b"Host: localhost\r\nContent-Length: 3\r\nContent-Length: 49",
    "two lengths in one header": b"Host: localhost\r\nContent-Length: 3, 49",
    "13 digits": b"Host: localhost\r\nContent-Length: 0000000000003",
    "a negative length": b"Host: localhost\r\nContent-Length: -3",
    "digits of another script": "Host: localhost\r\nContent-Length: \u0663".encode(),
    "length and chunks": b"Host: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
    "a space before a colon": b"Host: localhost\r\nContent-Length : 3",
    "a folded header": b"Host: localhost\r\nX: y\r\n Content-Length: 3",
    "a line without a colon": b"Host: localhost\r\nX\r\nContent-Length: 3",
    "a bare line feed": b"Host: localhost\nContent-Length: 3",
    "a zero byte": b"Host: localhost\r\nX: \0",
    "no host": b"X: y",
    "two hosts": b"Host: localhost\r\nHost: evil.example",
    "a host behind a user": b"Host: localhost@evil.example",
    "half an IPv6 address": b"Host: [::1",
    "an empty origin": b"Host: localhost\r\nOrigin: ",
    "two origins": b"Host: localhost\r\nOrigin: http://localhost http://evil.example",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
@pytest.mark.parametrize("method", [b"GET /health", b"POST /v1/measure"])
def test_what_can_be_read_in_two_ways_is_refused(server: Server, method: bytes, name: str) -> None:
    head = b"%s HTTP/1.1\r\n%s\r\n\r\nabc" % (method, AMBIGUOUS[name])
    assert send(server, head + HIDDEN) == [400]


@pytest.mark.parametrize("line", [
    b"GET http://evil.example/ HTTP/1.1", b"GET / HTTP/9.9", b"GET /", b"\x00\xff\x13\x37",
])  # fmt: skip
def test_first_lines_that_are_malformed_are_refused(server: Server, line: bytes) -> None:
    assert send(server, line + b"\r\nHost: localhost\r\n\r\n") == [400]


@pytest.mark.parametrize("head", [b"GET /%s", b"GET / HTTP/1.1\r\nX: %s", b"GET / HTTP/1.1\r\n%s"])
def test_too_long_or_too_many_headers_are_refused(server: Server, head: bytes) -> None:
    filler = b"X: y\r\n" * 30_000 if head.endswith(b"\n%s") else b"x" * 150_000
    before = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert send(server, before + head % filler + b"\r\n\r\n") in ([200, 400], [200, 414])


@pytest.mark.parametrize(("host", "status"), [
    ("LOCALHOST:8000", 200), ("127.8.9.1:80", 200), ("[::1]:8000", 200),
    ("[::ffff:127.0.0.1]", 200), ("127.0.0.1.evil.example", 421), ("0.0.0.0", 421),
    ("0x7f.0.0.1", 421), ("127.1", 421), ("[::ffff:10.0.0.1]", 421), ("[::2]", 421),
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
