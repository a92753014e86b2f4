"""A DICOM peer that means harm: connections made of random numbers, always the same of the same.

It encodes by itself what a proper peer would, and then breaks it: no decoder's idea of what can
come is built in.
"""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

VERIFICATION = "1.2.840.10008.1.1"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
IMPLICIT = "1.2.840.10008.1.2"
_APPLICATION = "1.2.840.10008.3.1.1.1"
_STORE, _ECHO = 0x0001, 0x0030
_COMMANDS = (_STORE, _ECHO, 0x0020, 0x0021, 0x0010, 0x0FFF, 0x0100, 0x0130, 0x8001, 0x8030, 0xFFFF)
_ANSWER_S = 0.2
_PAUSE_S = 0.02


class Attack(NamedTuple):
    """One connection: what is sent, piece by piece, and how it ends.

    Attributes
    ----------
    name
        Of its kind.
    pieces
        Sent one after the other; an empty one waits for an answer instead.
    reset
        Whether the connection is reset, not closed.
    """

    name: str
    pieces: list[bytes]
    reset: bool


def unit(kind: int, body: bytes, length: int | None = None) -> bytes:
    """Return a protocol data unit, which may lie about its length."""
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def item(kind: int, body: bytes, length: int | None = None) -> bytes:
    """Return an item of a request, which may lie about its length."""
    return struct.pack(">BxH", kind, (len(body) if length is None else length) & 0xFFFF) + body


def context(number: int, sop_class: str, syntaxes: list[str]) -> bytes:
    """Return a presentation context of a request."""
    parts = [item(0x30, sop_class.encode()), *(item(0x40, s.encode()) for s in syntaxes)]
    return item(0x20, struct.pack(">Bxxx", number) + b"".join(parts))


def request(
    contexts: list[bytes], calling: bytes = b"FUZZ", called: bytes = b"NODE", longest: int = 16384
) -> bytes:
    """Return a request for an association."""
    user = item(0x51, struct.pack(">I", longest)) + item(0x52, b"1.2.3") + item(0x55, b"FUZZ")
    titles = called.ljust(16)[:16] + calling.ljust(16)[:16] + bytes(32)
    items = [item(0x10, _APPLICATION.encode()), *contexts, item(0x50, user)]
    return unit(1, struct.pack(">HH", 1, 0) + titles + b"".join(items))


def usual_request() -> bytes:
    """Return a request for echoes (context 1) and ultrasound images (context 3)."""
    return request([context(1, VERIFICATION, [IMPLICIT]), context(3, ULTRASOUND, [IMPLICIT])])


def element(number: int, value: bytes, length: int | None = None) -> bytes:
    """Return an element of a command set."""
    return struct.pack("<HHI", 0, number, len(value) if length is None else length) + value


def command(kind: int, *, data: bool, instance: bytes = b"1.2.3.4\0") -> bytes:
    """Return a proper command set."""
    sop_class = (ULTRASOUND if kind == _STORE else VERIFICATION).encode()
    elements = [
        element(0x0002, sop_class + b"\0" * (len(sop_class) % 2)),
        element(0x0100, struct.pack("<H", kind)),
        element(0x0110, struct.pack("<H", 1)),
        element(0x0800, struct.pack("<H", 1 if data else 0x0101)),
    ]
    if kind == _STORE:
        elements[3:3] = [element(0x0700, b"\0\0")]
        elements.append(element(0x1000, instance))
    body = b"".join(elements)
    return element(0, struct.pack("<I", len(body))) + body


def fragments(*parts: tuple[int, int, bytes]) -> bytes:
    """Return a data unit of fragments: context, bits and bytes."""
    return unit(4, b"".join(struct.pack(">IBB", len(d) + 2, c, b) + d for c, b, d in parts))


def read_unit(connection: socket.socket) -> tuple[int, bytes]:
    """Return the next data unit: its type, 0 where the connection is at its end, and its bytes."""
    header = _read(connection, 6)
    if len(header) < 6:
        return 0, b""
    kind, length = struct.unpack(">BxI", header)
    return kind, _read(connection, length)


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        try:
            part = connection.recv(count - len(data))
        except ConnectionError:
            break
        if not part:
            break
        data += part
    return data


def status_of(unit: tuple[int, bytes]) -> int | None:
    """Return the status in an answer; None of what is none."""
    kind, body = unit
    at = body.find(struct.pack("<HHI", 0, 0x0900, 2))
    return None if kind != 4 or at < 0 else int(struct.unpack_from("<H", body, at + 8)[0])


def answers_echo(address: tuple[str, int], tls: ssl.SSLContext | None = None) -> bool:
    """Return whether a node answers a proper caller."""
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection(address, 10))
            if tls is not None:
                secured = tls.wrap_socket(connection, server_hostname=address[0])
                connection = stack.enter_context(secured)
            connection.sendall(usual_request())
            if read_unit(connection)[0] != 2:
                return False
            connection.sendall(fragments((1, 3, command(_ECHO, data=False))))
            return status_of(read_unit(connection)) == 0
    except OSError:
        return False


def attack(numbers: random.Random) -> Attack:
    """Return a connection that means harm."""
    make = numbers.choice(_KINDS)
    return Attack(make.__name__.strip("_"), [*make(numbers)], numbers.random() < 0.3)


def carry_out(address: tuple[str, int], harm: Attack) -> None:
    """Do it; that the node closes the connection is no error."""
    try:
        with socket.create_connection(address, 5) as connection:
            connection.settimeout(5)
            if harm.reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for piece in harm.pieces:
                if piece:
                    connection.sendall(piece)
                else:
                    connection.settimeout(_ANSWER_S)
                    connection.recv(1 << 16)
                    connection.settimeout(5)
    except OSError:
        return


def broken(numbers: random.Random, data: bytes) -> bytes:
    """Return bytes with a few of them changed, cut out, repeated, or put in."""
    raw = bytearray(data)
    for _ in range(numbers.choice((1, 1, 2, 5, 20))):
        at = numbers.randrange(len(raw)) if raw else 0
        how = numbers.randrange(6)
        if how == 0 and raw:
            raw[at] = numbers.choice((0, 1, 0x7F, 0x80, 0xFF, numbers.randrange(256)))
        elif how == 1:
            del raw[at : at + numbers.randint(1, 16)]
        elif how == 2:
            raw[at:at] = numbers.randbytes(numbers.randint(1, 16))
        elif how == 3:
            raw[at:at] = raw[at : at + numbers.randint(1, 64)]
        elif how == 4:
            raw[at : at + 2] = numbers.choice((b"\xff\xff", b"\0\0", b"\0\1", b"\xff\xfe"))
        else:
            del raw[at:]
    return bytes(raw)


def _noise(numbers: random.Random) -> Iterator[bytes]:
    yield numbers.randbytes(numbers.choice((1, 5, 6, 7, 100, 5000)))


def _huge_length(numbers: random.Random) -> Iterator[bytes]:
    if numbers.random() < 0.5:
        yield usual_request()
        yield b""
    length = numbers.choice((0xFFFFFFFF, 0x7FFFFFFF, 1 << 24, 524289))
    yield unit(numbers.randint(0, 8), numbers.randbytes(1000), length)
    yield bytes(100_000)


def _broken_request(numbers: random.Random) -> Iterator[bytes]:
    whole = usual_request()
    body = broken(numbers, whole[6:])
    yield unit(1, body) if numbers.random() < 0.8 else whole[:6] + body
    yield b""


def _odd_request(numbers: random.Random) -> Iterator[bytes]:
    how = numbers.randrange(6)
    if how == 0:  # more contexts than there are numbers
        contexts = [context(1, ULTRASOUND, [IMPLICIT])] * numbers.choice((0, 129, 3000))
    elif how == 1:  # as many encodings as there is room for
        contexts = [context(1, ULTRASOUND, [f"1.2.{i}" for i in range(5000)])]
    elif how == 2:
        contexts = [context(1, "1" * 5000, ["2" * 5000]), context(2, "", [])]
    elif how == 3:  # empty items, as many as fit
        contexts = [item(numbers.choice((0x20, 0x10, 0x50, 0x99)), b"") * 100_000]
    elif how == 4:  # empty items of a user's
        contexts = [item(0x50, item(numbers.choice((0x51, 0x54, 0x56, 0x58)), b"") * 16000)]
    else:
        contexts = [context(numbers.randrange(256), ULTRASOUND, [IMPLICIT]) for _ in range(20)]
    titles = [numbers.choice((b"FUZZ", b"", b"\0" * 16, b"\xff" * 16, b"\x1b[2J", b"A\\B"))] * 2
    yield request(contexts, *titles, longest=numbers.choice((0, 1, 7, 0xFFFFFFFF)))
    yield b""
    yield fragments((1, 3, command(_ECHO, data=False)))
    yield b""


def _wrong_turn(numbers: random.Random) -> Iterator[bytes]:
    for _ in range(numbers.randint(1, 4)):
        yield numbers.choice((usual_request(), unit(5, bytes(4)), unit(7, bytes(4)), unit(2, b"")))
        yield b""


def _broken_fragments(numbers: random.Random) -> Iterator[bytes]:
    yield usual_request()
    yield b""
    whole = fragments((3, 3, command(_STORE, data=True)), (3, 0, bytes(2000)), (3, 2, bytes(2000)))
    yield unit(4, broken(numbers, whole[6:]))
    yield b""


def _hostile_command(numbers: random.Random) -> Iterator[bytes]:
    yield usual_request()
    yield b""
    kind = numbers.choice(_COMMANDS)
    how = numbers.randrange(5)
    if how == 0:
        hostile = broken(numbers, command(kind, data=numbers.random() < 0.5))
    elif how == 1:  # a sequence within a sequence within ...
        hostile = struct.pack("<HHIHHI", 0, 0x1, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF) * 800
    elif how == 2:
        text = numbers.choice((b"../../x", b"1..2", b"", b"1" * 65, b"\xff\xfe", b"1.2\\3"))
        hostile = command(_STORE, data=True, instance=text)
    elif how == 3:
        hostile = command(kind, data=True) + element(numbers.randrange(1 << 16), b"", 0xFFFFFFF0)
    else:
        hostile = element(0x0100, struct.pack("<H", kind) * 1000) * 8
    cut = numbers.randrange(len(hostile) + 1)
    yield fragments((3, 1, hostile[:cut]), (3, 3, hostile[cut:]), (3, 2, bytes(100)))
    yield b""


def _endless_command(numbers: random.Random) -> Iterator[bytes]:
    yield usual_request()
    yield b""
    for _ in range(8):
        yield fragments(*[(3, 1, bytes(numbers.choice((0, 1, 500))))] * 100)


def _empty_fragments(numbers: random.Random) -> Iterator[bytes]:
    yield usual_request()
    yield b""
    yield fragments((3, 3, command(_STORE, data=True)))
    yield fragments(*[(3, 0, b"")] * numbers.choice((1, 1000, 80_000)))


def _cut_off(numbers: random.Random) -> Iterator[bytes]:
    whole = usual_request() + fragments((3, 3, command(_STORE, data=True)))
    whole += fragments((3, 0, bytes(30_000))) * 4
    yield whole[: numbers.randrange(len(whole))]
    if numbers.random() < 0.2:
        time.sleep(_PAUSE_S)


def _impatient(numbers: random.Random) -> Iterator[bytes]:
    """Send many messages without waiting for an answer, and read none."""
    yield usual_request()
    yield fragments((1, 3, command(_ECHO, data=False))) * numbers.choice((10, 300))
    store = (3, 3, command(_STORE, data=True)), (3, 2, numbers.randbytes(1000))
    yield fragments(*store) * 20


_KINDS: tuple[Callable[[random.Random], Iterator[bytes]], ...] = (
    _noise,
    _huge_length,
    _broken_request,
    _broken_request,
    _odd_request,
    _wrong_turn,
    _broken_fragments,
    _broken_fragments,
    _hostile_command,
    _hostile_command,
    _endless_command,
    _empty_fragments,
    _cut_off,
    _impatient,
)
