"""How much a node lets its peers take: memory, disk, threads and time."""

from __future__ import annotations

from dataclasses import dataclass, fields

from edgeseg.errors import ConfigError

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What peers may take at most, whatever they send.

    Memory is bounded by ``connections`` threads with a buffer of ``pdu_bytes`` each, disk by
    ``associations`` instances of ``instance_bytes``.

    Attributes
    ----------
    instance_bytes
        One instance's data set. 1 GiB holds 12 s of uncompressed colour at 1024 x 768 and 30
        frames a second, the largest that machines send of a scan; stills are of 1 to 3 MB.
    pdu_bytes
        One protocol data unit. Told to the peer as the longest to send, and room for the longest
        proper request: 128 presentation contexts with 40 transfer syntaxes each are 360 KB.
    associations
        Callers served at once; more are asked to come back (rejected for the moment).
    connections
        Connections at once, those included that have not yet said who they are; more are closed
        before they have a thread.
    association_s
        From the connection to the end of the request, TLS included.
    idle_s
        Silence of a caller between its messages.
    pdu_s
        One protocol data unit from first to last byte, a pause inside a message, and each write.
    queue
        Instances that wait to be measured; more are answered "out of resources".
    answer_s
        A peer's answer to what was sent to it.
    stop_s
        For running messages to end when the node stops.
    """

    instance_bytes: int = 1024 * _MIB
    pdu_bytes: int = _MIB // 2
    associations: int = 8
    connections: int = 32
    queue: int = 1000
    association_s: float = 10.0
    idle_s: float = 60.0
    pdu_s: float = 30.0
    answer_s: float = 60.0
    stop_s: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ConfigError(f"{field.name} {value}: expected more than 0")
        # PS3.8 lets a peer count on 4096 at least, pynetdicom's and DCMTK's smallest
        if not 4096 <= self.pdu_bytes < 1 << 31:
            raise ConfigError(f"pdu_bytes {self.pdu_bytes}: expected 4096 to 2147483647")


USUAL = Bounds()
