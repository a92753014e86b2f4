"""A DICOM node: measures the instances it receives, and sends reports of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from edgeseg.node.addresses import NodeAddress
from edgeseg.node.inbox import Inbox
from edgeseg.node.report_sender import ReportSender
from edgeseg.node.server import run_server
from edgeseg.output.pictures import DOCUMENTS, picture_names
from edgeseg.run.engine import Engine
from edgeseg.run.results import Results

_SPOOL = ".incoming"


@contextlib.contextmanager
def run_node(
    engine: Engine,
    results: Results,
    address: NodeAddress,
    reports: ReportSender | None,
    on_notice: Callable[[str], None],
) -> Iterator[tuple[str, int]]:
    """Receive and measure instances while the context is open.

    An instance is answered once it is safe on disk, and measured afterwards, after a restart too.
    However often it is sent, it has its rows once. An image that cannot be measured has a row that
    says why; documents have none. ``on_notice`` is called with sentences for the user, from any
    thread, and must not raise. Yields host and port that are listened on. Raises `ConfigError` if
    there is no listening there, `OutputWriteError` if the folder cannot be written to.
    """
    out, store, spool = results.out, results.store, results.out / _SPOOL

    def on_measured(file: str) -> None:
        names = picture_names(file)
        if reports is not None:
            documents = (names[kind] for kind in DOCUMENTS)
            reports.add(name for name in documents if (out / name).is_file())

    with contextlib.ExitStack() as stack:
        if reports is not None:
            stack.enter_context(reports)
            reports.add(store.owed())
        inbox = Inbox(engine, store, spool, address.bounds.queue, on_measured, on_notice)
        stack.enter_context(inbox)
        yield stack.enter_context(run_server(address, inbox.take, spool, on_notice))
