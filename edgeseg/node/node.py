"""A DICOM node that measures: what arrives becomes rows, and documents of it are sent back."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edgeseg.node.addresses import Caller
from edgeseg.node.bounds import USUAL, Bounds
from edgeseg.node.inbox import Inbox
from edgeseg.node.returning import Returning
from edgeseg.node.server import serving
from edgeseg.node.terms import OWN_TITLE
from edgeseg.output.pictures import DOCUMENTS, picture_names
from edgeseg.run.engine import Engine
from edgeseg.run.results import Results

_SPOOL = ".incoming"


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a node listens, whom to, and how.

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
    returning: Returning | None,
    on_notice: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[str, int]]:
    """Take and measure what arrives while the context is open.

    An instance is answered once it is safe on disk, and measured afterwards, after a restart too.
    Whatever is sent twice, or again because it was not answered, has its rows once. What is no
    ultrasound image has a row that says so.

    Parameters
    ----------
    engine, results
        What measures, and the folder of results, open.
    returning
        Sends documents back; None: nobody wants them.
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
        if returning is not None:
            documents = (names[kind] for kind in DOCUMENTS)
            returning.owe(name for name in documents if (out / name).is_file())

    spool = out / _SPOOL
    with contextlib.ExitStack() as stack:
        if returning is not None:
            stack.enter_context(returning)
            returning.owe(store.owed())
        inbox = Inbox(engine, store, spool, address.bounds.queue, on_measured, on_notice)
        stack.enter_context(inbox)
        server = serving(
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
