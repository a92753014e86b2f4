"""What a node changes in its process while it serves: temporary files, and threads that fail."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeseg.errors import OutputWriteError

_PATTERN = "tmp*"  # as tempfile names files


class Sweeper:
    """Deletes instances that came and were never stored, as their association ended before.

    Parameters
    ----------
    spool
        Where they are.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._seen: set[Path] = set()

    def sweep(self, *, is_idle: bool) -> None:
        """Delete what was there at the last sweep already, if nobody is connected since then."""
        found = {*self._spool.glob(_PATTERN)} if is_idle else set()
        for path in found & self._seen:
            _delete(path)
        self._seen = found

    def empty(self) -> None:
        """Delete all."""
        for path in self._spool.glob(_PATTERN):
            _delete(path)


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


@contextlib.contextmanager
def spooled(spool: Path) -> Iterator[Sweeper]:
    """Have temporary files, as which instances come, made in a folder; what is left is deleted.

    Raises
    ------
    OutputWriteError
        If it cannot be written to.
    """
    before = tempfile.tempdir
    try:
        spool.mkdir(parents=True, exist_ok=True)
        sweeper = Sweeper(spool)
        sweeper.empty()  # of a node that was killed
        with tempfile.TemporaryFile(dir=spool):
            pass
    except OSError as error:
        raise OutputWriteError(
            f"{spool}: instances cannot be written there ({error.strerror})"
        ) from error
    tempfile.tempdir = str(spool)
    try:
        yield sweeper
    finally:
        tempfile.tempdir = before
        sweeper.empty()


@contextlib.contextmanager
def contained(notices: Callable[[str], None]) -> Iterator[None]:
    """Have what ends a thread of pynetdicom said in a line, without the text, which quotes it.

    What the system says of it, as that the disk is full, quotes nothing.
    """
    before = threading.excepthook

    def told(failed: threading.ExceptHookArgs) -> None:
        if type(failed.thread).__module__.startswith("pynetdicom"):
            why = getattr(failed.exc_value, "strerror", None) or failed.exc_type.__name__
            notices(f"an association broke down: {why}")
        else:
            before(failed)

    threading.excepthook = told
    try:
        yield
    finally:
        threading.excepthook = before
