"""A DICOM node: measures the instances it receives, and sends reports of them."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edgeseg.node.addresses import Caller
from edgeseg.node.bounds import USUAL, Bounds
from edgeseg.node.inbox import Inbox
from edgeseg.node.report_sender import ReportSender
from edgeseg.node.server import run_server
from edgeseg.node.terms import OWN_TITLE
from edgeseg.output.pictures import DOCUMENTS, picture_names
from edgeseg.run.engine import Engine
from edgeseg.run.results import Results

_SPOOL = ".incoming"


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a node listens, and to whom.

    Attributes
    ----------
    host, port
        Where it listens; port 0 takes one that is free.
    ae_title
        Its own title, under which it also sends.
    allow
        Who may send; None: anybody.
    tls
        What connections to it are secured with; None: nothing.
    bounds
        What callers may take.
    """

    host: str = "127.0.0.1"
    port: int = 11112
    ae_title: str = OWN_TITLE
    allow: Sequence[Caller] | None = None
    tls: ssl.SSLContext | None = None
    bounds: Bounds = USUAL


@contextlib.contextmanager
def run_node(
    engine: Engine,
    results: Results,
    address: NodeAddress,
    reports: ReportSender | None,
    on_notice: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[str, int]]:
    """Receive and measure instances while the context is open.

    An instance is answered once it is safe on disk, and measured afterwards, after a restart too.
    However often it is sent, it has its rows once. An image that cannot be measured has a row that
    says why; documents have none.

    Parameters
    ----------
    engine, results
        What measures, and the folder of results, open.
    reports
        Sends reports back; None: nobody wants them.
    on_notice
        Called with sentences that a user should read, from any thread.

    Yields
    ------
    tuple of str and int
        Host and port that are listened on.

    Raises
    ------
    ConfigError, OutputWriteError, MissingExtraError
        If the address cannot be listened on, the folder not written to, or a package is missing.
    """
    out, store = results.out, results.store

    def on_measured(file: str) -> None:
        names = picture_names(file)
        if reports is not None:
            documents = (names[kind] for kind in DOCUMENTS)
            reports.add(name for name in documents if (out / name).is_file())

    spool = out / _SPOOL
    with contextlib.ExitStack() as stack:
        if reports is not None:
            stack.enter_context(reports)
            reports.add(store.owed())
        inbox = Inbox(engine, store, spool, address.bounds.queue, on_measured, on_notice)
        stack.enter_context(inbox)
        server = run_server(
            (address.host, address.port),
            inbox.take,
            spool,
            ae_title=address.ae_title,
            allow=address.allow,
            tls=address.tls,
            bounds=address.bounds,
            on_notice=on_notice,
        )
        yield stack.enter_context(server)
