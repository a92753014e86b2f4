"""Addresses of a network as people write them."""

from __future__ import annotations


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address is this machine's own to itself."""
    return host in ("localhost", "::1") or host.startswith("127.")


def in_brackets(host: str) -> str:
    """Return a host as it stands before a port: ``[::1]``, and any other as it is."""
    return f"[{host}]" if ":" in host else host
