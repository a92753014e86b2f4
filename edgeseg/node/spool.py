"""The folder in which instances lie while they come over the network."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgeseg.errors import OutputWriteError
from edgeseg.node.library import pynetdicom
from edgeseg.system.files import sync


class Sweeper:
    """Deletes from a folder what came of instances whose association ended before their end."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._seen: set[Path] = set()

    def sweep(self, *, is_idle: bool) -> None:
        """Delete what was there at the last sweep already, if nobody is connected since then."""
        found = {*self._spool.glob("tmp*")} if is_idle else set()  # as tempfile names files
        for path in found & self._seen:
            with contextlib.suppress(OSError):
                path.unlink()
        self._seen = found

    def empty(self) -> None:
        """Delete all."""
        for _ in range(2):
            self.sweep(is_idle=True)


@contextlib.contextmanager
def open_spool(spool: Path) -> Iterator[Sweeper]:
    """Have pynetdicom write what it receives into a folder; incomplete instances are deleted.

    Raises `OutputWriteError` if it cannot be written to.
    """
    messages = pynetdicom().dimse_messages
    sweeper = Sweeper(spool)
    try:
        spool.mkdir(parents=True, exist_ok=True)
        sync(spool.parent)
        sweeper.empty()  # of a node that was killed
        tempfile.TemporaryFile(dir=spool).close()
    except OSError as error:
        raise OutputWriteError(
            f"{spool}: instances cannot be written there ({error.strerror})"
        ) from error
    before = messages.NamedTemporaryFile  # which has no option for a folder
    messages.NamedTemporaryFile = functools.partial(tempfile.NamedTemporaryFile, dir=spool)
    try:
        yield sweeper
    finally:
        messages.NamedTemporaryFile = before
        sweeper.empty()
