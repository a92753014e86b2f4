"""A DICOM node that measures: what arrives becomes rows, and documents of it are sent back."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import EdgesegError, OutputWriteError
from edgeseg.images.dicom.frames import count_frames
from edgeseg.node.addresses import Caller
from edgeseg.node.bounds import USUAL, Bounds
from edgeseg.node.returning import Returning
from edgeseg.node.server import serving
from edgeseg.node.terms import OWN_TITLE, Received, Status
from edgeseg.run.arrivals import Arrivals
from edgeseg.run.reporter import Reporter

_SPOOL = ".incoming"


@dataclass(frozen=True, slots=True)
class Served:
    """Whom a node listens to, and how.

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
def listening(
    arrivals: Arrivals,
    served: Served,
    returning: Returning | None,
    on_notice: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[str, int]]:
    """Measure what arrives while the context is open; its rows are on disk before it is answered.

    Whatever is sent twice, or again because it was not answered, has its rows once. What is no
    ultrasound image has a row that says so. Once nothing has come for some seconds the report is
    brought up to date.

    Parameters
    ----------
    arrivals
        The folder of results, open.
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
    reporter = Reporter(arrivals, on_notice)

    def store(received: Received) -> int:
        try:
            documents = arrivals.add(f"{received.sop_instance}.dcm", *_frames(received))
        except OutputWriteError as error:
            on_notice(str(error))
            return int(Status.OUT_OF_RESOURCES)
        reporter.changed()
        if returning is not None:
            returning.owe(documents)
        return int(Status.SUCCESS)

    with contextlib.ExitStack() as stack:
        stack.enter_context(reporter)
        if returning is not None:
            stack.enter_context(returning)
            returning.owe(arrivals.owed)
        place = serving(
            *((served.host, served.port), store, arrivals.measuring.out / _SPOOL),
            ae_title=served.ae_title,
            allow=served.allow,
            tls=served.tls,
            bounds=served.bounds,
            on_notice=on_notice,
        )
        yield stack.enter_context(place)


def _frames(received: Received) -> tuple[Path, int]:
    try:
        count = count_frames(received.path)
    except EdgesegError:  # its row says why
        count = 1
    return received.path, 0 if count == 1 else count
