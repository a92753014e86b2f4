"""The sending half of a node: files go to another node as they are."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edgeseg.node.addresses import Remote
from edgeseg.node.bounds import USUAL, Bounds
from edgeseg.node.library import pynetdicom
from edgeseg.node.terms import OWN_TITLE, Outcome, Status

_CONTEXTS = 128  # of an association, PS3.8
_ECHO = "1.2.840.10008.1.1"
_WARNING = 0xB  # first digit of statuses: it is stored all the same


def echo(
    remote: Remote,
    *,
    ae_title: str = OWN_TITLE,
    tls: ssl.SSLContext | None = None,
    bounds: Bounds = USUAL,
) -> str:
    """Ask another node whether it is there, and return why not; nothing if it is."""
    with _associated(remote, [(_ECHO, "1.2.840.10008.1.2")], ae_title, tls, bounds) as association:
        if association is None:
            return _away(remote, ae_title, tls)
        with contextlib.suppress(Exception):  # of any kind: no context, or it has gone
            if association.send_c_echo().get("Status") == Status.SUCCESS:
                return ""
        return f"{remote}: it answers no echo"


def send(
    paths: Sequence[Path],
    remote: Remote,
    *,
    ae_title: str = OWN_TITLE,
    tls: ssl.SSLContext | None = None,
    bounds: Bounds = USUAL,
    goes_on: Callable[[], bool] = lambda: True,
    on_open: Callable[[Callable[[], None]], None] = lambda cut: None,
) -> list[Outcome]:
    """Store files at another node, in one association; what they are in is what they are sent in.

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
    goes_on
        Asked before each file; once it says no, the rest stays unsent.
    on_open
        Called with what cuts the association off, from any thread, once there is one.

    Returns
    -------
    list of Outcome
        One for each path, in their order.

    Raises
    ------
    MissingExtraError
        If pynetdicom is not installed.
    """
    kinds = {path: _kind(path) for path in paths}
    wanted = [*dict.fromkeys(kind for kind in kinds.values() if kind is not None)]
    if not wanted:
        return [Outcome(path, False, True, f"{path}: not a DICOM file") for path in paths]
    with _associated(remote, wanted, ae_title, tls, bounds) as association:
        if association is None:
            return [Outcome(path, False, reason=_away(remote, ae_title, tls)) for path in paths]
        on_open(association.dul.socket.close)
        return [
            _stored(association, path, remote) if goes_on() else Outcome(path, False)
            for path in paths
        ]


def _stored(association: Any, path: Path, remote: Remote) -> Outcome:
    try:
        status = association.send_c_store(path).get("Status")
    except RuntimeError:  # the association has ended
        status = None
    except Exception:  # of any kind: no context for the file, or it cannot be read
        refused = f"{remote}: it takes no such document, or {path.name} cannot be read"
        return Outcome(path, False, refused=True, reason=refused)
    if status is None:
        return Outcome(path, False, reason=f"{remote}: it gave no answer")
    if status == Status.SUCCESS or status >> 12 == _WARNING:
        return Outcome(path, True)
    # a full disk or a fault there need not stay
    passes = status >> 8 == Status.OUT_OF_RESOURCES >> 8 or status == Status.PROCESSING_FAILURE
    return Outcome(path, False, not passes, f"{remote}: refused {path.name}, 0x{status:04X}")


@contextlib.contextmanager
def _associated(
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
    opened: list[socket.socket] = []

    def on_connection(event: Any) -> None:
        opened.append(event.assoc.dul.socket.socket)
        # small parts are sent at once; else each file waits for the peer's last word
        opened[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

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
        for each in opened:
            each.close()  # which pynetdicom leaves to the collector where a peer has gone


def _away(remote: Remote, ae_title: str, tls: ssl.SSLContext | None) -> str:
    secured = "" if tls is None else ", and speak TLS with a certificate that is trusted"
    return f"{remote}: no association; is it there, and does it know {ae_title}{secured}?"


def _kind(path: Path) -> tuple[str, str] | None:
    """Return class and encoding of a DICOM file; None of what is none."""
    try:
        meta, _ = pynetdicom().dsutils.split_dataset(path)
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except Exception:  # of any kind, by what the bytes are
        return None
