"""Where nodes are, who they are, what their peers may take, and how connections are secured."""

from __future__ import annotations

import enum
import re
import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import ConfigError, DataError, InputNotFoundError
from edgeseg.system.addresses import in_brackets, is_address, parse_address
from edgeseg.system.text import short

_PLACE = re.compile(r"(?:\[([^\[\]]+)\]|([^\s:@/\\\[\]]{1,253}))(?::([0-9]{1,6}))?")
_LONGEST_TITLE = 16  # DICOM PS3.5, table 6.2-1: AE


class Status(enum.IntEnum):
    """Answers to a C-STORE (PS3.4, table B.2-1, and PS3.7, annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    INVALID_INSTANCE = 0x0117
    OUT_OF_RESOURCES = 0xA700


@dataclass(frozen=True, slots=True)
class Bounds:
    """What peers may take at most, whatever they send.

    Memory is bounded by ``connections`` threads with a buffer of ``pdu_bytes`` each, disk by
    ``associations`` instances of ``instance_bytes``.
    """

    # 1 GiB holds 12 s of uncompressed colour at 1024 x 768, 30 frames a second
    instance_bytes: int = 1 << 30
    # the longest proper request, of 128 contexts with 40 transfer syntaxes each, has 360 KB
    pdu_bytes: int = 1 << 19  # of one protocol data unit
    associations: int = 8  # callers served at once; more are rejected for the moment
    connections: int = 32  # at once; more are closed before they have a thread
    connections_of_address: int = 16  # so that others find room
    queue: int = 1000  # instances that wait; more are answered "out of resources"
    association_s: float = 10.0  # from the connection to the end of the request, TLS included
    idle_s: float = 60.0  # of silence between messages
    pdu_s: float = 30.0  # for one protocol data unit from first to last byte, and each write
    stop_s: float = 10.0  # for running messages to end when the node stops


@dataclass(frozen=True, slots=True)
class Remote:
    """A node that reports are sent to: its title, host (IPv6 without brackets) and TCP port."""

    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.ae_title}@{in_brackets(self.host)}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Remote:
        """Read ``AET@HOST:PORT``, IPv6 in brackets; anything else is a DataError."""
        title, _, place = text.rpartition("@")
        host, port = _split_place(place)
        if host is None or port is None or not 0 < port < 1 << 16:
            raise DataError(
                f"{short(text)}: expected AET@HOST:PORT, such as ARCHIVE@10.0.0.5:104 or "
                "ARCHIVE@[fd00::5]:104, with a port of 1 to 65535"
            )
        return cls(check_title(title), host, port)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who may send: a calling title, and the name or address to call from; None: any."""

    ae_title: str
    host: str | None = None

    @classmethod
    def parse(cls, text: str) -> Caller:
        """Read ``AET`` or ``AET@HOST``, IPv6 with or without brackets; else a DataError."""
        title, at, place = text.rpartition("@")
        if not at:
            return cls(check_title(text))
        host, port = (place, None) if is_address(place) else _split_place(place)
        if host is None or port is not None:
            expected = "AET or AET@HOST, such as PROBE@10.0.0.7"
            raise DataError(f"{short(text)}: expected {expected}")
        return cls(check_title(title), str(parse_address(host)) if is_address(host) else host)

    def admits(self, title: str, address: str) -> bool:
        """Return whether who calls by a title, from a parsed address, is this caller."""
        return title == self.ae_title and (
            self.host is None or address in _find_addresses(self.host)
        )


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a node listens, and to whom.

    Port 0 takes one that is free. Callers may call it by any title. Where ``allow`` is None anybody
    may send.
    """

    host: str = "127.0.0.1"
    port: int = 11112
    ae_title: str = "EDGESEG"
    allow: Sequence[Caller] | None = None
    tls: ssl.SSLContext | None = None
    bounds: Bounds = Bounds()


def check_title(text: str) -> str:
    """Return an AE title without the spaces around it, which mean nothing, or raise a DataError."""
    title = text.strip(" ")
    is_printable = title.isascii() and title.isprintable() and "\\" not in title
    if not is_printable or not 0 < len(title) <= _LONGEST_TITLE:
        raise DataError(
            f"{short(text)}: an AE title has 1 to 16 characters of printable ASCII, no backslash"
        )
    return title


def find_fixed_addresses(callers: Iterable[Caller]) -> set[str] | None:
    """Return the only addresses callers may call from; None if some may from anywhere.

    A name's address may change, so one counts as anywhere.
    """
    hosts = {caller.host or "" for caller in callers}
    return hosts if all(map(is_address, hosts)) else None


def _find_addresses(host: str) -> set[str]:
    """Return the addresses a host has now; none of one that no name server knows."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {str(parse_address(str(entry[4][0]))) for entry in found}


def _split_place(text: str) -> tuple[str | None, int | None]:
    """Return host and port, None without one; no host of what is none. IPv6 has brackets."""
    found = _PLACE.fullmatch(text)
    host = found and (found[1] or found[2])
    if not found or not host or (found[1] and not is_address(host)):
        return None, None
    return host.lower(), None if found[3] is None else int(found[3])


def make_tls(
    authority: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    *,
    is_node: bool = False,
) -> ssl.SSLContext:
    """Return what connections to a node are secured with, at its end or a caller's, from PEM files.

    A node needs a certificate and its key, without a password; a caller shows them, both or
    neither, to a node that asks. One of the authority's certificates must have signed that of the
    other end; without an authority callers need none, and a node's is held to those that this
    system trusts. It must name the node's host. Raises `InputNotFoundError` if a file is missing,
    `ConfigError` if it is not what is expected.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_node else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths, expected = [path for path in (certificate, key) if path], "a file that can be read"
    try:
        for path in (*paths, *filter(None, [authority])):
            path.open("rb").close()  # names the file if it cannot be read
        if certificate is not None:
            expected = "a certificate and its own key, both PEM, the key without a password"
            # without a function for it, OpenSSL would ask on the terminal for a password
            context.load_cert_chain(certificate, key, password=lambda: "")
        if authority is not None:
            paths, expected = [authority], "certificates in PEM"
            context.load_verify_locations(authority)
            context.verify_mode = ssl.CERT_REQUIRED
        elif not is_node:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    except FileNotFoundError as error:
        raise InputNotFoundError(f"{error.filename}: no such file") from error
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        reason = getattr(error, "reason", None) or error
        names = getattr(error, "filename", None) or " with ".join(map(str, paths))
        raise ConfigError(f"{names}: expected {expected} ({reason})") from error
    return context
