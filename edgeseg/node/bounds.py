"""How much a node lets its peers take, and what it answers them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

_MIB = 1 << 20


class Status(enum.IntEnum):
    """Answers to a C-STORE (PS3.4, table B.2-1, and PS3.7, annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    INVALID_INSTANCE = 0x0117
    OUT_OF_RESOURCES = 0xA700


@dataclass(frozen=True, slots=True)
class Bounds:
    """What peers may take at most, whatever they send.

    Memory is bounded by ``connections`` threads with a buffer of ``pdu_bytes`` each, disk by
    ``associations`` instances of ``instance_bytes``.
    """

    # 1 GiB holds 12 s of uncompressed colour at 1024 x 768, 30 frames a second
    instance_bytes: int = 1024 * _MIB
    # the longest proper request, of 128 contexts with 40 transfer syntaxes each, has 360 KB
    pdu_bytes: int = _MIB // 2  # of one protocol data unit
    associations: int = 8  # callers served at once; more are rejected for the moment
    connections: int = 32  # at once; more are closed before they have a thread
    queue: int = 1000  # instances that wait; more are answered "out of resources"
    association_s: float = 10.0  # from the connection to the end of the request, TLS included
    idle_s: float = 60.0  # of silence between messages
    pdu_s: float = 30.0  # for one protocol data unit from first to last byte, and each write
    stop_s: float = 10.0  # for running messages to end when the node stops
