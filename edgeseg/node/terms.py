"""What a node and its network hand each other, in DICOM's words."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import NamedTuple

OWN_TITLE = "EDGESEG"
"""Under which a node is known if nothing else is agreed on."""


class Status(enum.IntEnum):
    """What a store is answered (PS3.4, table B.2-1, and PS3.7, annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    INVALID_INSTANCE = 0x0117
    OUT_OF_RESOURCES = 0xA700


class Received(NamedTuple):
    """An instance that has come whole.

    Attributes
    ----------
    path
        A DICOM file that holds it; deleted after it is stored.
    sop_instance
        Its UID.
    caller
        Title and address of whoever sent it: ``PROBE@10.0.0.7``.
    """

    path: Path
    sop_instance: str
    caller: str


class Outcome(NamedTuple):
    """What became of a file that was to be sent.

    Attributes
    ----------
    path
        The file.
    sent
        Whether the peer has said that it keeps it.
    refused
        Whether the peer does not want it, and would not later.
    reason
        Why it was not sent; else empty, as it is of what was not tried.
    """

    path: Path
    sent: bool
    refused: bool = False
    reason: str = ""
