"""Strict reading of HTTP requests.

A proxy in front, which may ask for a password, must see the same requests as this server: whatever
two programs could read in two ways is refused, and the connection is closed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from io import BufferedIOBase
from typing import NamedTuple
from urllib.parse import parse_qsl

from edgeseg.system.addresses import parse_authority

_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[\x21-\x7e\x80-\xff]*) HTTP/1\.([01])\r\n")
_HEADER_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r\n"
)
_LENGTH = re.compile(r"[0-9]{1,12}")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([^/]+)", re.IGNORECASE)
_MAX_HEADERS = 100
_MAX_LINE_BYTES = 1 << 16


class RefusedRequest(Exception):
    """A request is not answered, for a reason that its sender is told, with a status."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


class Request(NamedTuple):
    """The head of a request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # by names in lower case; several of one name are joined by commas
    keeps_connection: bool
    length: int | None  # of the body in bytes; None where the request does not say one
    host: str
    is_cross_site: bool  # whether a page of another site sent it


def read_request(line: bytes, file: BufferedIOBase) -> Request:
    """Read the headers of a request behind its first line.

    Raises `RefusedRequest` if the line or a header is malformed, host, origin or length come
    several times or are malformed, or the body is sent in chunks.
    """
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise RefusedRequest("the request's first line is malformed")
    headers = _read_headers(file)
    host = _parse_host(headers.get("host", ""), "Host")
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    path, _, query = found[2].decode("latin-1").partition("?")
    return Request(
        method=found[1].decode("ascii"),
        path=path,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        keeps_connection=found[3] == b"1" and "close" not in options,
        length=_body_length(headers),
        host=host[0],
        is_cross_site=_is_cross_site(headers, host),
    )


def _read_headers(file: BufferedIOBase) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_MAX_HEADERS + 1):
        line = file.readline(_MAX_LINE_BYTES)
        if line == b"\r\n":
            return headers
        found = _HEADER_LINE.fullmatch(line)
        if found is None:
            raise RefusedRequest("a header is malformed, too long or cut short")
        name, value = found[1].decode("ascii").lower(), found[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    raise RefusedRequest(f"more than {_MAX_HEADERS} headers")


def _body_length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length")
    if "transfer-encoding" in headers:
        message = "send the body's length in Content-Length, and no Transfer-Encoding"
        status = HTTPStatus.LENGTH_REQUIRED if text is None else HTTPStatus.BAD_REQUEST
        raise RefusedRequest(message, status)
    if text is None:
        return None
    if not _LENGTH.fullmatch(text):
        raise RefusedRequest("Content-Length is not one number of at most 12 digits")
    return int(text)


def _is_cross_site(headers: Mapping[str, str], host: tuple[str, int | None]) -> bool:
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")
    if origin is None or origin == "null":  # null: a page without a site, such as a sandboxed frame
        return origin is not None
    found = _ORIGIN.fullmatch(origin)
    return _parse_host(found[1] if found else "", "Origin") != host


def _parse_host(text: str, header: str) -> tuple[str, int | None]:
    try:
        return parse_authority(text)
    except ValueError:
        raise RefusedRequest(f"the header {header} is missing or malformed") from None
