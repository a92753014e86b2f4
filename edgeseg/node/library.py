"""The one place that imports pynetdicom: when a node starts, set up for storing and silenced."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from edgeseg.errors import MissingExtraError


def pynetdicom() -> Any:
    """Import pynetdicom and what is used of it.

    What it and pydicom log and warn of, which quotes what comes, is silenced, and instances go from
    the network to files and back without lying in memory.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import pynetdicom
        import pynetdicom.dsutils
        import pynetdicom.transport
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"a DICOM node needs {error.name!r}; install it with pip install "
            "'edgeseg[dicom-node]' (from a checkout: pip install '.[dicom-node]')"
        ) from None
    for name in (pynetdicom.__name__, "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
    config = pynetdicom._config
    config.LOG_HANDLER_LEVEL = "none"
    config.UNRESTRICTED_STORAGE_SERVICE = True  # classes of makers, and new ones, too
    config.STORE_RECV_CHUNKED_DATASET = config.STORE_SEND_CHUNKED_DATASET = True
    return pynetdicom
