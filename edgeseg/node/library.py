"""The one place that imports pynetdicom: silenced, and writing what it receives to a folder."""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeseg.errors import OutputWriteError
from edgeseg.system.files import sync


def pynetdicom() -> Any:
    """Import pynetdicom and what is used of it.

    What it and pydicom log and warn of, which quotes what comes, is silenced, and instances go from
    the network to files and back without lying in memory.
    """
    import pynetdicom
    import pynetdicom.dsutils
    import pynetdicom.transport

    for name in (pynetdicom.__name__, "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
    config = pynetdicom._config
    config.LOG_HANDLER_LEVEL = "none"
    config.UNRESTRICTED_STORAGE_SERVICE = True  # classes of makers, and new ones, too
    config.STORE_RECV_CHUNKED_DATASET = config.STORE_SEND_CHUNKED_DATASET = True
    return pynetdicom


@contextlib.contextmanager
def open_spool(spool: Path) -> Iterator[None]:
    """Have pynetdicom write what it receives into a folder; incomplete instances are deleted.

    Raises `OutputWriteError` if it cannot be written to.
    """
    messages = pynetdicom().dimse_messages
    try:
        spool.mkdir(parents=True, exist_ok=True)
        sync(spool.parent)
        _empty(spool)  # of a node that was killed
        tempfile.TemporaryFile(dir=spool).close()
    except OSError as error:
        raise OutputWriteError(
            f"{spool}: instances cannot be written there ({error.strerror})"
        ) from error
    before = messages.NamedTemporaryFile  # which has no option for a folder
    messages.NamedTemporaryFile = functools.partial(tempfile.NamedTemporaryFile, dir=spool)
    try:
        yield
    finally:
        messages.NamedTemporaryFile = before
        _empty(spool)


def _empty(spool: Path) -> None:
    for path in spool.glob("tmp*"):  # as tempfile names files
        with contextlib.suppress(OSError):
            path.unlink()
