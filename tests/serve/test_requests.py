"""Requests that are malformed, or not of this machine's own pages."""

from __future__ import annotations

import pytest

from edgeseg.serve.server import Server
from tests.serve.callers import MEASURE, ask, send

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
