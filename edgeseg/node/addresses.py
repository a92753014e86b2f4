"""Application entity titles, hosts and ports, as users give them."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edgeseg.errors import DataError
from edgeseg.node.bounds import Bounds
from edgeseg.system.addresses import in_brackets, parse_address
from edgeseg.system.text import short

_PLACE = re.compile(r"(?:\[([^\[\]]+)\]|([^\s:@/\\\[\]]{1,253}))(?::([0-9]{1,6}))?")
_LONGEST_TITLE = 16  # DICOM PS3.5, table 6.2-1: AE


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
        host, port = (place, None) if _is_address(place) else _split_place(place)
        if host is None or port is not None:
            expected = "AET or AET@HOST, such as PROBE@10.0.0.7"
            raise DataError(f"{short(text)}: expected {expected}")
        return cls(check_title(title), normalize_address(host) if _is_address(host) else host)

    def admits(self, title: str, address: str) -> bool:
        """Return whether who calls by a title from a normalized address is this caller."""
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
    bounds: Bounds = field(default_factory=Bounds)


def check_title(text: str) -> str:
    """Return an AE title without the spaces around it, which mean nothing, or raise a DataError."""
    title = text.strip(" ")
    is_printable = title.isascii() and title.isprintable() and "\\" not in title
    if not is_printable or not 0 < len(title) <= _LONGEST_TITLE:
        raise DataError(
            f"{short(text)}: an AE title has 1 to 16 characters of printable ASCII, no backslash"
        )
    return title


def normalize_address(text: str) -> str:
    """Return an IP address in its one spelling; see `parse_address`."""
    return str(parse_address(text))


def find_fixed_addresses(callers: Iterable[Caller]) -> set[str] | None:
    """Return the only addresses callers may call from; None if some may from anywhere.

    A name's address may change, so one counts as anywhere.
    """
    hosts = {caller.host or "" for caller in callers}
    return hosts if all(map(_is_address, hosts)) else None


def _find_addresses(host: str) -> set[str]:
    """Return the addresses a host has now; none of one that no name server knows."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {normalize_address(str(entry[4][0])) for entry in found}


def _split_place(text: str) -> tuple[str | None, int | None]:
    """Return host and port, None without one; no host of what is none. IPv6 has brackets."""
    found = _PLACE.fullmatch(text)
    host = found and (found[1] or found[2])
    if not found or not host or (found[1] and not _is_address(host)):
        return None, None
    return host.lower(), None if found[3] is None else int(found[3])


def _is_address(text: str) -> bool:
    try:
        parse_address(text)
    except ValueError:
        return False
    return True
