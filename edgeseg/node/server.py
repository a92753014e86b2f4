"""The receiving half of a node: pynetdicom's server, held within bounds.

By itself it would read as much as a peer announces, and wait for it for ever.
"""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from edgeseg.errors import ConfigError
from edgeseg.node.addresses import Bounds, NodeAddress, Status, find_fixed_addresses
from edgeseg.node.library import open_spool, pynetdicom
from edgeseg.system.addresses import in_brackets, parse_address

# Encodings that are read here; of several that are offered one of these is taken.
_READ_HERE = {
    f"1.2.840.10008.1.2{end}"
    for end in ("", ".1", ".2", ".1.99", ".4.50", ".4.57", ".4.70", ".4.90", ".4.91", ".5")
}
_UID, _LONGEST_UID = re.compile(r"[0-9]+(\.[0-9]+)*"), 64
_REJECTED_CALLER = (0x01, 0x01, 0x03)  # permanently, by the user, calling AE title not recognised
_POLL_S, _ACCEPT_S = 0.05, 0.25
_REACTOR_S = 0.005  # between looks of pynetdicom for something to do
_LAST_WAIT_S = 0.5  # for threads whose connection was closed
_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # of Linux; it holds for a while only

Store = Callable[[Path, str], int]


@contextlib.contextmanager
def run_server(
    address: NodeAddress, store: Store, spool: Path, on_notice: Callable[[str], None]
) -> Iterator[tuple[str, int]]:
    """Serve echoes and stores of every class, in every encoding, while the context is open.

    Leaving it takes nothing more, lets running stores end for ``stop_s`` of the bounds, and aborts
    what then remains. Yields host and port that are listened on.

    ``store`` is called with the DICOM file and the UID of each instance in its caller's thread,
    several at once, and returns the `Status` that is answered. The file, in ``spool``, a folder of
    this node alone, is deleted afterwards if it is still there. What ``store`` raises is answered
    by a failure, and the node goes on. ``on_notice`` takes a line about a caller that was turned
    away or failed, from any thread, and must not raise. It names AE titles and addresses, never
    what an instance holds.

    Raises `ConfigError` if the address cannot be listened on, `OutputWriteError` if the folder
    cannot be written to.
    """
    bounds = address.bounds
    with open_spool(spool):
        entity = pynetdicom().AE(address.ae_title)
        entity.add_supported_context("1.2.840.10008.1.1")  # the echo
        entity.maximum_associations, entity.maximum_pdu_size = bounds.associations, bounds.pdu_bytes
        entity.acse_timeout = bounds.association_s
        entity.dimse_timeout = entity.network_timeout = bounds.idle_s
        node = _Node(address, store, on_notice)
        server = _open_server(entity, node)
        accepting = threading.Thread(target=server.serve_forever, args=(_ACCEPT_S,), daemon=True)
        accepting.start()
        try:
            yield str(parse_address(server.server_address[0])), int(server.server_address[1])
        finally:
            socketserver.BaseServer.shutdown(server)
            accepting.join()
            server.server_close()
            if not node.stop(bounds.stop_s):
                on_notice("callers were cut off, as what they had sent did not end in time")
            for association in server.active_associations:
                association.dul.socket.close()
            deadline_s = time.monotonic() + _LAST_WAIT_S
            while server.active_associations and time.monotonic() < deadline_s:
                time.sleep(_POLL_S)


class _Node:
    """Answers the events of pynetdicom, in the threads of its associations."""

    def __init__(
        self, address: NodeAddress, store: Store, on_notice: Callable[[str], None]
    ) -> None:
        self.address, self.store, self.on_notice = address, store, on_notice
        self.addresses = None if address.allow is None else find_fixed_addresses(address.allow)
        # connections that have no association yet, as in TLS, with their address
        self.opening: dict[Any, str] = {}
        self._unanswered: set[Any] = set()
        self._changed, self._is_stopping = threading.Condition(), False

    def stop(self, patience_s: float) -> bool:
        """Take no more, and wait until every store is answered; returns whether it was in time."""
        with self._changed:
            self._is_stopping = True
            return self._changed.wait_for(lambda: not self._unanswered, patience_s)

    def on_request(self, event: Any) -> None:
        """Reject a caller that is not allowed, and prefer encodings that are read here."""
        request, host = event.assoc.requestor.primitive, _host_of(event.assoc)
        title, allow = request.calling_ae_title.strip(), self.address.allow
        if allow is not None and not any(caller.admits(title, host) for caller in allow):
            self.on_notice(f"{title}@{host}: rejected, as it is not among the callers allowed")
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
        caller = f"{event.assoc.requestor.ae_title.strip()}@{_host_of(event.assoc)}"
        if not _UID.fullmatch(uid) or len(uid) > _LONGEST_UID:
            self.on_notice(f"{caller}: an instance without a proper UID was refused")
            return Status.INVALID_INSTANCE
        with self._changed:
            if self._is_stopping:
                return Status.OUT_OF_RESOURCES
            self._unanswered.add(event.assoc)
        try:
            event.request._dataset_file.close()  # Windows moves no file that is open
            return self.store(event.dataset_path, uid)
        except Exception as error:
            # its text might quote the instance, and with it the patient
            self.on_notice(f"{caller}: an instance could not be stored: {type(error).__name__}")
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


def _open_server(entity: Any, node: _Node) -> Any:
    package, address, bounds = pynetdicom(), node.address, node.address.bounds
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
            if address.tls is not None:
                self.request = address.tls.wrap_socket(self.request, server_side=True)

        def _create_association(self) -> Any:
            association = super()._create_association()
            _bound_association(association, bounds, node.on_notice)
            return association

    class Server(Threaded):  # type: ignore[misc]
        """Turns away unknown addresses, and connections above the bound."""

        daemon_threads, request_queue_size = True, 64

        def verify_request(self, request: Any, client_address: Any) -> bool:
            host = str(parse_address(client_address[0]))
            most_of_host = max(bounds.connections_of_address, bounds.associations)
            hosts = [*node.opening.values(), *map(_host_of, self.active_associations)]
            if node.addresses is not None and host not in node.addresses:
                node.on_notice(f"{host}: a connection was closed, as no caller there is allowed")
            elif len(hosts) >= bounds.connections or hosts.count(host) >= most_of_host:
                node.on_notice(f"{host}: a connection was closed, as there are too many")
            else:
                node.opening[request] = host
            return request in node.opening

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                node.opening.pop(request, None)

        def handle_error(self, request: Any, client_address: Any) -> None:
            error, host = sys.exc_info()[1], parse_address(client_address[0])
            what = "TLS failed" if isinstance(error, ssl.SSLError) else "a connection failed"
            node.on_notice(f"{host}: {what}: {_name_reason(error)}")

    handlers = [
        (evt.EVT_REQUESTED, node.on_request),
        (evt.EVT_C_STORE, node.on_store),
        (evt.EVT_PDU_SENT, node.on_sent),
        (evt.EVT_CONN_CLOSE, node.on_close),
    ]
    host, port = address.host, address.port
    try:
        return entity.make_server(
            (host, port), evt_handlers=handlers, server_class=Server, request_handler=Handler
        )
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{in_brackets(host)}:{port}: cannot be listened on ({reason}); is another node there, "
            "or does the port need more rights?"
        ) from error


def _bound_association(association: Any, bounds: Bounds, on_notice: Callable[[str], None]) -> None:
    """Bound what an association reads, and turn what ends its threads into a notice.

    Of an exception's text, which may quote an instance, only the system's words are kept.
    """

    def guard(run: Callable[[], None]) -> None:
        try:
            run()
        except Exception as error:
            on_notice(f"an association broke down: {_name_reason(error)}")

    association.dul.socket.recv = _Receive(association, bounds, on_notice)
    association.dul._run_loop_delay = _REACTOR_S
    for thread in (association, association.dul):
        thread.run = partial(guard, thread.run)


def _name_reason(error: BaseException | None) -> str:
    """Return why a connection failed, in words of the system or of TLS alone."""
    words = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(words or type(error).__name__)


def _host_of(association: Any) -> str:
    return str(parse_address(association.requestor.address))


class _Receive:
    """Reads from a connection, no unit that is too long, and for none too long."""

    def __init__(self, association: Any, bounds: Bounds, on_notice: Callable[[str], None]) -> None:
        self._association, self._bounds, self._on_notice = association, bounds, on_notice
        self.taken_bytes = 0  # since the last instance was whole

    def __call__(self, n_bytes: int) -> bytearray:
        """Return so many bytes, fewer where the connection has ended; see pynetdicom's `recv`."""
        bounds = self._bounds
        self.taken_bytes += n_bytes
        if n_bytes > bounds.pdu_bytes or self.taken_bytes > bounds.instance_bytes:
            what = "a unit" if n_bytes > bounds.pdu_bytes else "an instance"
            self._on_notice(
                f"{_host_of(self._association)}: {what} too large; the association was ended"
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
