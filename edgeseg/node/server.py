"""The run_server half of a node: pynetdicom's server, held within bounds.

By itself it would read as much as a peer announces, and wait for it for ever.
"""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edgeseg.errors import ConfigError
from edgeseg.node.addresses import Caller, find_fixed_addresses, normalize_address
from edgeseg.node.association import bound_association, host_of
from edgeseg.node.bounds import USUAL, Bounds
from edgeseg.node.library import pynetdicom
from edgeseg.node.notices import Notices
from edgeseg.node.spool import Sweeper, open_spool
from edgeseg.node.terms import OWN_TITLE, Received, Status
from edgeseg.system.addresses import in_brackets

# Encodings that are read here; of several that are offered one of these is taken.
_READ_HERE = {
    f"1.2.840.10008.1.2{end}"
    for end in ("", ".1", ".2", ".1.99", ".4.50", ".4.57", ".4.70", ".4.90", ".4.91", ".5")
}
_UID, _LONGEST_UID = re.compile(r"[0-9]+(\.[0-9]+)*"), 64
_REJECTED_CALLER = (0x01, 0x01, 0x03)  # permanently, by the user, calling AE title not recognised
_POLL_S, _ACCEPT_S = 0.05, 0.25
_LAST_WAIT_S = 0.5  # for threads whose connection was closed

Store = Callable[[Received], int]


@contextlib.contextmanager
def run_server(
    address: tuple[str, int],
    store: Store,
    spool: Path,
    *,
    ae_title: str = OWN_TITLE,
    allow: Sequence[Caller] | None = None,
    tls: ssl.SSLContext | None = None,
    bounds: Bounds = USUAL,
    on_notice: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[str, int]]:
    """Serve echoes and stores of every class, in every encoding, while the context is open.

    Leaving it takes nothing more, lets running stores end for ``bounds.stop_s``, and aborts what
    then remains.

    Parameters
    ----------
    address
        Host and port to listen on; port 0 takes one that is free.
    store
        Called with each instance in its caller's thread, several at once; returns the `Status`
        that is answered. What it raises is answered by a failure, and the node goes on.
    spool
        A folder of this node alone, in which instances lie while they come.
    ae_title
        The node's own; callers may call it by any.
    allow
        Who may call; None: anybody.
    tls
        What connections are secured with; None: nothing.
    bounds
        What callers may take.
    on_notice
        Takes a line about a caller that was turned away or failed, from any thread, at most 20 a
        minute. Names AE titles and addresses, never what an instance holds.

    Yields
    ------
    tuple of str and int
        Host and port that are listened on.

    Raises
    ------
    ConfigError
        If the address cannot be listened on.
    OutputWriteError
        If the folder cannot be written to.
    MissingExtraError
        If pynetdicom is not installed.
    """
    package = pynetdicom()
    notices = Notices(on_notice)
    with open_spool(spool) as sweeper, contextlib.closing(notices):
        node = _Node(store, allow, bounds, notices)
        entity = package.AE(ae_title)
        entity.add_supported_context("1.2.840.10008.1.1")  # the echo
        entity.maximum_associations, entity.maximum_pdu_size = bounds.associations, bounds.pdu_bytes
        entity.acse_timeout = bounds.association_s
        entity.dimse_timeout = entity.network_timeout = bounds.idle_s
        server = _open_server(entity, address, node, tls, sweeper)
        accepting = threading.Thread(target=server.serve_forever, args=(_ACCEPT_S,), daemon=True)
        accepting.start()
        try:
            yield normalize_address(str(server.server_address[0])), int(server.server_address[1])
        finally:
            socketserver.BaseServer.shutdown(server)
            accepting.join()
            server.server_close()
            if not node.stop(bounds.stop_s):
                notices("callers were cut off, as what they had sent did not end in time")
            for association in server.active_associations:
                association.dul.socket.close()
            _wait(lambda: not server.active_associations, _LAST_WAIT_S)


class _Node:
    """Answers the events of pynetdicom, in the threads of its associations."""

    def __init__(
        self, store: Store, allow: Sequence[Caller] | None, bounds: Bounds, notices: Notices
    ) -> None:
        self.store, self.allow, self.bounds, self.notices = store, allow, bounds, notices
        self.addresses = None if allow is None else find_fixed_addresses(allow)
        self.opening: set[Any] = set()  # connections that have no association yet, as in TLS
        self._unanswered: set[Any] = set()
        self._changed, self._is_stopping = threading.Condition(), False

    def stop(self, patience_s: float) -> bool:
        """Take no more, and wait until every store is answered; returns whether it was in time."""
        with self._changed:
            self._is_stopping = True
            return self._changed.wait_for(lambda: not self._unanswered, patience_s)

    def on_request(self, event: Any) -> None:
        """Reject a caller that is not allowed, and prefer encodings that are read here."""
        request, host = event.assoc.requestor.primitive, host_of(event.assoc)
        title = request.calling_ae_title.strip()
        if self.allow is not None and not any(c.admits(title, host) for c in self.allow):
            self.notices(f"{title}@{host}: rejected, as it is not among the callers allowed")
            event.assoc.acse.send_reject(*_REJECTED_CALLER)
            event.assoc.kill()
            return
        for context in request.presentation_context_definition_list:
            offered = context.transfer_syntax
            context.transfer_syntax = sorted(offered, key=lambda uid: uid not in _READ_HERE)

    def on_store(self, event: Any) -> int:
        """Store an instance, and return its status."""
        event.assoc.dul.socket.recv.taken_bytes = 0
        uid = str(event.request.AffectedSOPInstanceUID)
        caller = f"{event.assoc.requestor.ae_title.strip()}@{host_of(event.assoc)}"
        if not _UID.fullmatch(uid) or len(uid) > _LONGEST_UID:
            self.notices(f"{caller}: an instance without a proper UID was refused")
            return Status.INVALID_INSTANCE
        with self._changed:
            if self._is_stopping:
                return Status.OUT_OF_RESOURCES
            self._unanswered.add(event.assoc)
        try:
            event.request._dataset_file.close()  # Windows moves no file that is open
            return self.store(Received(event.dataset_path, uid, caller))
        except Exception as error:
            # its text might quote the instance, and with it the patient
            self.notices(f"{caller}: an instance could not be stored: {type(error).__name__}")
            return Status.PROCESSING_FAILURE

    def on_sent(self, event: Any) -> None:
        """Note that a caller has its answer: of data nothing else is sent."""
        if type(event.pdu).__name__ == "P_DATA_TF":
            self._note_answered(event.assoc)

    def on_close(self, event: Any) -> None:
        """Delete what came of an instance whose association ended before its end."""
        self._note_answered(event.assoc)
        left = getattr(event.assoc.dimse.message, "_data_set_file", None)
        if left is not None:
            left.close()
            Path(left.name).unlink(missing_ok=True)

    def _note_answered(self, association: Any) -> None:
        with self._changed:
            self._unanswered.discard(association)
            self._changed.notify_all()


def _open_server(
    entity: Any,
    address: tuple[str, int],
    node: _Node,
    tls: ssl.SSLContext | None,
    sweeper: Sweeper,
) -> Any:
    package, bounds = pynetdicom(), node.bounds
    evt, transport = package.evt, package.transport
    # known only now, as nothing imports the package before a node starts
    Handled: Any = transport.RequestHandler
    Threaded: Any = transport.ThreadedAssociationServer

    class Handler(Handled):  # type: ignore[misc]
        """Makes connections secure in a thread of their own, and bounds them."""

        request: Any

        def setup(self) -> None:
            self.request.settimeout(bounds.association_s)
            # answers are small, and would wait for more to send with them
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.request = tls.wrap_socket(self.request, server_side=True)

        def _create_association(self) -> Any:
            association = super()._create_association()
            bound_association(association, bounds, node.notices)
            return association

    class Server(Threaded):  # type: ignore[misc]
        """Turns away unknown addresses, and connections above the bound."""

        daemon_threads, request_queue_size = True, 64

        def verify_request(self, request: Any, client_address: Any) -> bool:
            host = normalize_address(str(client_address[0]))
            is_known = node.addresses is None or host in node.addresses
            if (
                not is_known
                or len(node.opening) + len(self.active_associations) >= bounds.connections
            ):
                why = "there are too many" if is_known else "no caller there is allowed"
                node.notices(f"{host}: a connection was closed, as {why}")
                return False
            node.opening.add(request)
            return True

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                node.opening.discard(request)

        def service_actions(self) -> None:
            super().service_actions()
            sweeper.sweep(is_idle=not self.active_associations)

        def handle_error(self, request: Any, client_address: Any) -> None:
            node.notices(f"{normalize_address(str(client_address[0]))}: a connection failed")

    handlers = [
        (evt.EVT_REQUESTED, node.on_request),
        (evt.EVT_C_STORE, node.on_store),
        (evt.EVT_PDU_SENT, node.on_sent),
        (evt.EVT_CONN_CLOSE, node.on_close),
    ]
    try:
        return entity.make_server(
            address, evt_handlers=handlers, server_class=Server, request_handler=Handler
        )
    except (OSError, OverflowError, UnicodeError) as error:
        host, port = address
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{in_brackets(host)}:{port}: cannot be listened on ({reason}); is another node there, "
            "or does the port need more rights?"
        ) from error


def _wait(ready: Callable[[], bool], patience_s: float) -> None:
    deadline_s = time.monotonic() + patience_s
    while not ready() and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
