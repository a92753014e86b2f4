"""The one place that imports pynetdicom: when a node starts, set up for storing and silenced."""

from __future__ import annotations

import logging
import warnings
from typing import Any


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
