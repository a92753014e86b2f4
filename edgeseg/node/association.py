"""One association of pynetdicom's server, held within bounds."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from edgeseg.node.addresses import normalize_address
from edgeseg.node.bounds import Bounds
from edgeseg.node.notices import Notices

_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # of Linux; it holds for a while only
_POLL_S = 0.05
_REACTOR_S = 0.005  # between looks of pynetdicom for something to do


def bound_association(association: Any, bounds: Bounds, notices: Notices) -> None:
    """Bound what an association reads, and turn what ends its threads into a notice."""
    association.dul.socket.recv = _Receive(association, bounds, notices)
    association.dul._run_loop_delay = _REACTOR_S
    for thread in (association, association.dul):
        thread.run = _guard(thread.run, notices)


def host_of(association: Any) -> str:
    """Return the address of an association's caller."""
    return normalize_address(str(association.requestor.address))


class _Receive:
    """Reads from a connection, no unit that is too long, and for none too long."""

    def __init__(self, association: Any, bounds: Bounds, notices: Notices) -> None:
        self._association, self._bounds, self._notices = association, bounds, notices
        self.taken_bytes = 0  # since the last instance was whole

    def __call__(self, n_bytes: int) -> bytearray:
        """Return so many bytes, fewer where the connection has ended; see pynetdicom's `recv`."""
        bounds = self._bounds
        self.taken_bytes += n_bytes
        if n_bytes > bounds.pdu_bytes or self.taken_bytes > bounds.instance_bytes:
            what = "a unit" if n_bytes > bounds.pdu_bytes else "an instance"
            self._notices(
                f"{host_of(self._association)}: {what} too large; the association was ended"
            )
            raise OSError
        raw, unit = self._association.dul.socket.socket, bytearray(n_bytes)
        deadline_s = time.monotonic() + bounds.pdu_s
        left = memoryview(unit)
        if _QUICK_ACK is not None:  # for peers that wait for it before they send the rest
            raw.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        while left:
            raw.settimeout(max(deadline_s - time.monotonic(), _POLL_S))
            n_read = raw.recv_into(left)
            if not n_read or time.monotonic() > deadline_s:
                break
            left = left[n_read:]
        raw.settimeout(bounds.pdu_s)  # for what is sent
        return unit[: len(unit) - len(left)]


def _guard(run: Callable[[], None], notices: Notices) -> Callable[[], None]:
    """Return a thread's work whose exception becomes a notice, without its text, which may quote.

    What the system says of it, as that the disk is full, quotes nothing.
    """

    def guarded() -> None:
        try:
            run()
        except Exception as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            notices(f"an association broke down: {reason}")

    return guarded
