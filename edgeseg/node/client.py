"""Sends files to another node, as they are."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.node.addresses import Remote
from edgeseg.node.bounds import USUAL, Bounds
from edgeseg.node.library import pynetdicom
from edgeseg.node.terms import OWN_TITLE, Status

_CONTEXTS = 128  # of an association, PS3.8
_WARNING = 0xB  # first digit of statuses: it is stored all the same


class Outcome(NamedTuple):
    """What became of a file that was to be sent.

    Attributes
    ----------
    is_sent
        Whether the peer has said that it keeps it.
    is_refused
        Whether the peer does not want it, and would not later.
    reason
        Why it was not sent; else empty, as it is of what was not tried.
    """

    is_sent: bool
    is_refused: bool = False
    reason: str = ""


def send_files(
    paths: Sequence[Path],
    remote: Remote,
    *,
    ae_title: str = OWN_TITLE,
    tls: ssl.SSLContext | None = None,
    bounds: Bounds = USUAL,
    may_go_on: Callable[[], bool] = lambda: True,
    on_open: Callable[[Callable[[], None]], None] = lambda cut_off: None,
) -> list[Outcome]:
    """Store files at another node, in one association, each in its own encoding.

    Parameters
    ----------
    paths
        DICOM files with meta information.
    remote
        Where to.
    ae_title
        Under which it knows us.
    tls
        What the connection is secured with; None: nothing.
    bounds
        How long it may take.
    may_go_on
        Asked before each file; once it says no, the rest stays unsent.
    on_open
        Called, once there is an association, with a function that cuts it off from any thread.

    Returns
    -------
    list of Outcome
        One for each path, in their order.

    Raises
    ------
    MissingExtraError
        If pynetdicom is not installed.
    """
    kinds = [_read_kind(path) for path in paths]
    wanted = [*dict.fromkeys(kind for kind in kinds if kind is not None)]
    if not wanted:
        return [Outcome(False, True, f"{path}: not a DICOM file") for path in paths]
    with _open_association(remote, wanted, ae_title, tls, bounds) as association:
        if association is None:
            secured = "" if tls is None else ", and speak TLS with a certificate that is trusted"
            reason = f"{remote}: no association; is it there, and does it know {ae_title}{secured}?"
            return [Outcome(False, reason=reason) for _ in paths]
        on_open(association.dul.socket.close)
        return [
            _send_file(association, path, remote) if may_go_on() else Outcome(False)
            for path in paths
        ]


def _send_file(association: Any, path: Path, remote: Remote) -> Outcome:
    try:
        status = association.send_c_store(path).get("Status")
    except RuntimeError:  # the association has ended
        status = None
    except Exception:  # of any kind: no context for the file, or it cannot be read
        reason = f"{remote}: it takes no such document, or {path.name} cannot be read"
        return Outcome(False, is_refused=True, reason=reason)
    if status is None:
        return Outcome(False, reason=f"{remote}: it gave no answer")
    if status == Status.SUCCESS or status >> 12 == _WARNING:
        return Outcome(True)
    # a full disk or a fault there need not stay
    may_pass = status >> 8 == Status.OUT_OF_RESOURCES >> 8 or status == Status.PROCESSING_FAILURE
    return Outcome(False, not may_pass, f"{remote}: refused {path.name}, 0x{status:04X}")


@contextlib.contextmanager
def _open_association(
    remote: Remote,
    kinds: Sequence[tuple[str, str]],
    ae_title: str,
    tls: ssl.SSLContext | None,
    bounds: Bounds,
) -> Iterator[Any]:
    """Give an association in which kinds of instances may be sent; None if there is none."""
    entity = pynetdicom().AE(ae_title)
    entity.connection_timeout = entity.acse_timeout = bounds.association_s
    entity.dimse_timeout = entity.network_timeout = bounds.answer_s
    for kind in kinds[:_CONTEXTS]:
        entity.add_requested_context(*kind)
    connections: list[socket.socket] = []

    def on_connection(event: Any) -> None:
        connections.append(event.assoc.dul.socket.socket)
        # small parts are sent at once; else each file waits for the peer's last word
        connections[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    options: dict[str, Any] = {} if tls is None else {"tls_args": (tls, remote.host)}
    options["evt_handlers"] = [(pynetdicom().evt.EVT_CONN_OPEN, on_connection)]
    association = None
    try:
        with contextlib.suppress(OSError, UnicodeError):  # no host of that name
            association = entity.associate(
                remote.host, remote.port, ae_title=remote.ae_title, **options
            )
        if association is None or not association.is_established:
            yield None
            return
        yield association
        association.release()
    finally:
        for connection in connections:
            connection.close()  # which pynetdicom leaves to the collector where a peer has gone


def _read_kind(path: Path) -> tuple[str, str] | None:
    """Return class and encoding of a DICOM file; None if it is not one."""
    try:
        meta, _ = pynetdicom().dsutils.split_dataset(path)
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except Exception:  # of any kind, by what the bytes are
        return None
