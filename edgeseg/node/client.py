"""Sends files to another node, as they are."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.node.addresses import Remote
from edgeseg.node.bounds import Status
from edgeseg.node.library import pynetdicom

_ASSOCIATION_S, _ANSWER_S = 10.0, 60.0
_CONTEXTS = 128  # of an association, PS3.8
_WARNING = 0xB  # first digit of statuses: it is stored all the same


class Outcome(NamedTuple):
    """What became of a file that was to be sent."""

    is_done: bool  # it need not be sent again: the peer keeps it, or refuses it for good
    reason: str = ""  # why it was not sent; empty also of what was not tried


def send_files(
    paths: Sequence[Path],
    remote: Remote,
    ae_title: str,
    tls: ssl.SSLContext | None = None,
    *,
    may_go_on: Callable[[], bool] = lambda: True,
    on_open: Callable[[Callable[[], None]], None] = lambda cut_off: None,
) -> list[Outcome]:
    """Store files at another node, in one association, each in its own encoding.

    ``ae_title`` is the title under which the node knows us. ``may_go_on`` is asked before each
    file; once it says no, the rest stays unsent. ``on_open`` is called, once there is an
    association, with a function that cuts it off from any thread.
    """
    wanted = [*dict.fromkeys(kind for path in paths if (kind := _read_kind(path)) is not None)]
    if not wanted:
        return [Outcome(True, f"{path}: not a DICOM file") for path in paths]
    with _open_association(remote, wanted, ae_title, tls) as association:
        if association is None:
            secured = "" if tls is None else ", and speak TLS with a certificate that is trusted"
            reason = f"{remote}: no association; is it there, and does it know {ae_title}{secured}?"
            return [Outcome(False, reason) for _ in paths]
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
        return Outcome(True, f"{remote}: it takes no such document, or {path.name} cannot be read")
    if status is None:
        return Outcome(False, f"{remote}: it gave no answer")
    if status == Status.SUCCESS or status >> 12 == _WARNING:
        return Outcome(True)
    # a full disk or a fault there need not stay
    may_pass = status >> 8 == Status.OUT_OF_RESOURCES >> 8 or status == Status.PROCESSING_FAILURE
    return Outcome(not may_pass, f"{remote}: refused {path.name}, 0x{status:04X}")


@contextlib.contextmanager
def _open_association(
    remote: Remote, kinds: Sequence[tuple[str, str]], ae_title: str, tls: ssl.SSLContext | None
) -> Iterator[Any]:
    """Give an association in which kinds of instances may be sent; None if there is none."""
    entity = pynetdicom().AE(ae_title)
    entity.connection_timeout = entity.acse_timeout = _ASSOCIATION_S
    entity.dimse_timeout = entity.network_timeout = _ANSWER_S
    for kind in kinds[:_CONTEXTS]:
        entity.add_requested_context(*kind)
    connections: list[socket.socket] = []

    def on_connection(event: Any) -> None:
        connections.append(event.assoc.dul.socket.socket)
        # small parts are sent at once; else each file waits for the peer's last word
        connections[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    association = None
    try:
        with contextlib.suppress(OSError, UnicodeError):  # no host of that name
            association = entity.associate(
                remote.host,
                remote.port,
                ae_title=remote.ae_title,
                tls_args=None if tls is None else (tls, remote.host),
                evt_handlers=[(pynetdicom().evt.EVT_CONN_OPEN, on_connection)],
            )
        if association is None or not association.is_established:
            yield None
            return
        yield association
        association.release()
    finally:
        for connection in connections:  # which pynetdicom leaves open where a peer has gone
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # ends a thread that still reads from it
            connection.close()


def _read_kind(path: Path) -> tuple[str, str] | None:
    """Return class and encoding of a DICOM file; None if it is not one."""
    try:
        meta, _ = pynetdicom().dsutils.split_dataset(path)
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except Exception:  # of any kind, by what the bytes are
        return None
