"""Sends reports to an archive, which may be away for a while; over DIMSE, if it is a node."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from edgeseg.errors import EdgesegError
from edgeseg.node.addresses import Remote, Status
from edgeseg.node.library import pynetdicom
from edgeseg.run.results import Results

_AT_ONCE = 50  # documents in one association
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 300.0
_STOP_S = 3.0
_ASSOCIATION_S, _ANSWER_S = 10.0, 60.0
_CONTEXTS = 128  # of an association, PS3.8
_WARNING = 0xB  # first digit of statuses: it is stored all the same


class Outcome(NamedTuple):
    """What became of a file that was to be sent."""

    is_done: bool  # it need not be sent again: the peer keeps it, or refuses it for good
    reason: str = ""  # why it was not sent; empty also of what was not tried


class Archive(Protocol):
    """Where reports are sent; as text its address."""

    def send(
        self,
        paths: Sequence[Path],
        may_go_on: Callable[[], bool],
        on_open: Callable[[Callable[[], None]], None],
        /,
    ) -> list[Outcome]:
        """Send files, and return what became of each.

        ``may_go_on`` is asked before each file; once it says no, the rest stays unsent. ``on_open``
        is called, once there is a connection, with a function that cuts it off from any thread.
        """


class Peer(NamedTuple):
    """Another node, which knows us by ``ae_title``."""

    remote: Remote
    ae_title: str
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return str(self.remote)

    def send(
        self,
        paths: Sequence[Path],
        may_go_on: Callable[[], bool] = lambda: True,
        on_open: Callable[[Callable[[], None]], None] = lambda cut_off: None,
    ) -> list[Outcome]:
        """Store files in one association, each in its own encoding; see `Archive.send`."""
        wanted = [*dict.fromkeys(kind for path in paths if (kind := _read_kind(path)) is not None)]
        if not wanted:
            return [Outcome(True, f"{path}: not a DICOM file") for path in paths]
        with _open_association(self.remote, wanted, self.ae_title, self.tls) as association:
            if association is None:
                secured = ", and speak TLS with a certificate that is trusted" if self.tls else ""
                known = f"is it there, and does it know {self.ae_title}{secured}?"
                return [Outcome(False, f"{self}: no association; {known}") for _ in paths]
            on_open(association.dul.socket.close)
            return [
                _send_file(association, path, self.remote) if may_go_on() else Outcome(False)
                for path in paths
            ]


class ReportSender:
    """Sends documents in a thread of its own while its context is open, again until they arrive.

    When the context ends, it sends for `_STOP_S` more, and then cuts off an archive that does not
    answer. The store of ``results`` keeps the names of what was not sent, which the folder's next
    run sends; ``on_notice`` is called with sentences on it.
    """

    def __init__(
        self,
        results: Results,
        archive: Archive,
        on_notice: Callable[[str], None],
    ) -> None:
        self._results, self._archive, self._on_notice = results, archive, on_notice
        self._names: dict[str, None] = {}  # in order
        self._changed = threading.Condition()
        self._is_ending = False
        self._ends_s = float("inf")
        self._opened: deque[Callable[[], None]] = deque(maxlen=1)  # cuts the association off
        self._thread = threading.Thread(target=self._work, name="edgeseg-reports", daemon=True)

    def __enter__(self) -> ReportSender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_ending, self._ends_s = True, time.monotonic() + _STOP_S
            self._changed.notify()
        self._thread.join(2 * _STOP_S)  # the last document may have begun just then
        if self._thread.is_alive():
            for cut_off in tuple(self._opened):
                cut_off()
            self._thread.join(_STOP_S)
        if self._names:
            count = len(self._names)
            self._on_notice(f"{self._archive}: not sent yet: {count}; the next start sends them")

    def add(self, names: Iterable[str]) -> None:
        """Add documents, by their names below the folder."""
        with self._changed:
            self._names.update(dict.fromkeys(names))
            self._changed.notify()

    def _work(self) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._names or self._is_ending)
                is_last = self._is_ending
                names = [*self._names][:_AT_ONCE]
            if names and self._has_time() and self._send(names):
                wait_s = _FIRST_WAIT_S
                continue
            if is_last:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._is_ending, wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _has_time(self) -> bool:
        return time.monotonic() < self._ends_s

    def _send(self, names: list[str]) -> bool:
        """Send documents, and return whether any of them need not be sent again."""
        paths = [self._results.out / name for name in names]
        outcomes = self._archive.send(paths, self._has_time, self._opened.append)
        ended = [
            name
            for name, path, outcome in zip(names, paths, outcomes, strict=True)
            if outcome.is_done or not path.is_file()
        ]
        for reason in dict.fromkeys(outcome.reason for outcome in outcomes if outcome.reason):
            self._on_notice(reason)
        try:
            self._results.store.note_sent(ended)
        except EdgesegError as error:  # the disk is full, which need not stay so
            self._on_notice(str(error))
            return False
        with self._changed:
            for name in names:  # what is tried again lets the others pass
                self._names.pop(name, None)
            self._names.update(dict.fromkeys(name for name in names if name not in ended))
        return bool(ended)


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
