"""What a node and its network tell each other, in DICOM's words."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import NamedTuple

OWN_TITLE = "EDGESEG"
"""A node's AE title unless it is given another."""


class Status(enum.IntEnum):
    """What a C-STORE is answered with (PS3.4, table B.2-1, and PS3.7, annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    INVALID_INSTANCE = 0x0117
    OUT_OF_RESOURCES = 0xA700


class Received(NamedTuple):
    """An instance that was received whole.

    Attributes
    ----------
    path
        A DICOM file that holds it; deleted after it is stored, if it is still there.
    sop_instance
        Its UID.
    caller
        Title and address of its sender: ``PROBE@10.0.0.7``.
    """

    path: Path
    sop_instance: str
    caller: str
