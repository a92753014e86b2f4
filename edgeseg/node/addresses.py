"""Application entity titles, hosts and ports, as users give them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from edgeseg.errors import DataError
from edgeseg.system.addresses import in_brackets
from edgeseg.system.text import short

_LONGEST_TITLE = 16  # DICOM PS3.5, table 6.2-1: AE
_LONGEST_HOST = 253  # RFC 1035
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Remote:
    """A node that reports are sent to.

    Attributes
    ----------
    ae_title
        Its application entity title.
    host
        Its name or address; an IPv6 address without brackets.
    port
        Its TCP port, 1 to 65535.
    """

    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.ae_title}@{in_brackets(self.host)}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Remote:
        """Read ``AET@HOST:PORT``; an IPv6 address stands in brackets.

        Raises
        ------
        DataError
            If it is anything else.
        """
        title, at, place = text.rpartition("@")
        host, colon, port = place.rpartition(":")
        if not at or not colon:
            raise DataError(f"{short(text)}: expected AET@HOST:PORT, as ARCHIVE@10.0.0.5:104")
        if not (port.isascii() and port.isdecimal() and 0 < int(port) <= _LAST_PORT):
            raise DataError(f"{short(text)}: expected a port of 1 to 65535, not {short(port)}")
        return cls(check_title(title), _parse_host(host, text), int(port))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who may send: an application entity title, and where it must call from.

    Attributes
    ----------
    ae_title
        The calling title.
    host
        Name or address it must call from; None: any.
    """

    ae_title: str
    host: str | None = None

    def __str__(self) -> str:
        return self.ae_title if self.host is None else f"{self.ae_title}@{in_brackets(self.host)}"

    @classmethod
    def parse(cls, text: str) -> Caller:
        """Read ``AET`` or ``AET@HOST``; brackets around an IPv6 address may be left out.

        Raises
        ------
        DataError
            If it is neither.
        """
        title, at, host = text.rpartition("@")
        if not at:
            return cls(check_title(text))
        if not host.startswith("[") and _is_address(host):  # no port could be meant
            return cls(check_title(title), normalize_address(host))
        return cls(check_title(title), _parse_host(host, text))

    def admits(self, title: str, address: str) -> bool:
        """Return whether who calls by a title from a normalized address is this caller."""
        return title == self.ae_title and (
            self.host is None or address in _find_addresses(self.host)
        )


def check_title(text: str) -> str:
    """Return an application entity title without the spaces around it, which mean nothing.

    Raises
    ------
    DataError
        If it is not 1 to 16 printable ASCII characters other than the backslash.
    """
    title = text.strip(" ")
    if not title:
        problem = "not only spaces"
    elif len(title) > _LONGEST_TITLE:
        problem = f"this has {len(title)}"
    elif not (title.isascii() and title.isprintable()) or "\\" in title:
        problem = "printable ASCII only, and no backslash"
    else:
        return title
    raise DataError(f"{short(text)}: an AE title has 1 to 16 characters, {problem}")


def normalize_address(text: str) -> str:
    """Return an IP address in its one spelling: an IPv4 one within IPv6 alone, without a zone."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def find_fixed_addresses(callers: Iterable[Caller]) -> set[str] | None:
    """Return the only addresses callers may call from; None if some may from anywhere.

    A name's address may change, so one counts as anywhere.
    """
    hosts = [caller.host for caller in callers]
    if any(host is None or not _is_address(host) for host in hosts):
        return None
    return {host for host in hosts if host is not None}


def _find_addresses(host: str) -> set[str]:
    """Return the addresses a host has now; none of one that no name server knows."""
    if _is_address(host):
        return {normalize_address(host)}
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {normalize_address(str(entry[4][0])) for entry in found}


def _parse_host(text: str, whole: str) -> str:
    """Return a host's name or address; ``whole`` is what an error quotes."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if _is_address(bare) and (bare != text or ":" not in bare):
        return normalize_address(bare)
    if ":" in text or bare != text:
        raise DataError(
            f"{short(whole)}: expected an IPv6 address in brackets, as AET@[fd00::5]:104"
        )
    if not 0 < len(text) <= _LONGEST_HOST or not text.isprintable() or set(text) & set(" @/\\[]"):
        raise DataError(f"{short(whole)}: expected a host's name or address, not {short(text)}")
    return text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
