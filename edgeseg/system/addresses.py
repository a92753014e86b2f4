"""Addresses of a network: hosts with ports as in URLs, and IP addresses of callers."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from pathlib import Path

_AUTHORITY = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*\.?)(?::(\d{1,5}))?"
)


def parse_authority(text: str) -> tuple[str, int | None]:
    """Parse the host and port of a URL or of a Host header.

    The host comes in lower case, without brackets and a final dot; without a port that is None.
    Raises `ValueError` if it is anything else, such as a host with a user's name before it.
    """
    found = _AUTHORITY.fullmatch(text) if text.isascii() else None
    if found is None:
        raise ValueError(f"{text!r} is not a host with or without a port")
    host, port = found[1].lower(), None if found[2] is None else int(found[2])
    if port is not None and port > 65535:
        raise ValueError(f"port {port} is more than 65535")
    if host.startswith("["):
        return str(ipaddress.IPv6Address(host[1:-1])), port
    return host.removesuffix("."), port


def is_loopback(host: str) -> bool:
    """Return whether a host, as `parse_authority` returns it, is this machine itself.

    That is ``localhost`` or a loopback address in its usual form: a name that only begins like one
    may lead anywhere.
    """
    return host == "localhost" or (is_address(host) and parse_address(host).is_loopback)


def find_own_addresses() -> list[str]:
    """Return the IPv4 addresses by which others reach this machine, the likeliest one first."""
    found: list[str] = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it chooses a route
        found.append(probe.getsockname()[0])
    with contextlib.suppress(OSError):  # Linux lists them all, those of a network of its own too
        table = Path("/proc/net/fib_trie").read_text("ascii")
        found += re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", table)
    return [each for each in dict.fromkeys(found) if not is_loopback(each)]


def caller_key(address: str) -> str:
    """Return what counts as one caller: an IPv4 address, or the /64 network of an IPv6 address."""
    parsed = parse_address(address)
    bits = 32 if parsed.version == 4 else 64  # what one customer has
    return str(ipaddress.ip_network((parsed, bits), strict=False))


def in_brackets(host: str) -> str:
    """Return a host as it stands before a port: ``[::1]``, and any other as it is."""
    return f"[{host}]" if ":" in host else host


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Parse an IP address without its zone, IPv4 within IPv6 as IPv4, or raise ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def is_address(text: str) -> bool:
    """Return whether a text is an IP address, as `parse_address` reads it."""
    try:
        parse_address(text)
    except ValueError:
        return False
    return True
