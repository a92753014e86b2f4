"""Host names and IP addresses as text."""

from __future__ import annotations


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's loopback interface."""
    return host in ("localhost", "::1") or host.startswith("127.")


def in_brackets(host: str) -> str:
    """Return a host as written before a port: an IPv6 address in brackets, ``[::1]``."""
    return f"[{host}]" if ":" in host else host
