"""Films of JPEG pictures: Motion JPEG in AVI, which players and OpenCV read."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from edgeseg.drawing.encode import read_thumbnail

_MOST_BYTES = (1 << 32) - (1 << 16)  # whose lengths four bytes can hold
_IS_WHOLE = 0x10  # of a film: it has an index; of a picture: it needs no other


def join(pictures: Sequence[Path], fps: float) -> Iterator[bytes]:
    """Yield the parts of a film of JPEG files as `edgeseg.drawing.overlay.draw_jpeg` makes them.

    All are as large as the first. The film ends with the last picture that 4 GB have room for.
    Raises OSError if a picture cannot be read.
    """
    if not pictures:
        return
    lengths = [picture.stat().st_size for picture in pictures]
    n = sum(total < _MOST_BYTES for total in accumulate(length + 32 for length in lengths))
    first, chunks = read_thumbnail(pictures[0]), [8 + length + length % 2 for length in lengths[:n]]
    assert first is not None, "overlays have a thumbnail"
    size, largest = (first.width_px, first.height_px), max(lengths[:n])
    rate = 1000, round(1000 * fps)
    main = struct.pack("<14I", round(1e6 / fps), 0, 0, _IS_WHOLE, n, 0, 1, largest, *size, *[0] * 4)
    stream = b"vidsMJPG" + struct.pack("<10I4H", 0, 0, 0, *rate, 0, n, largest, 0, 0, 0, 0, *size)
    pixels = struct.pack("<I2i2H4s5I", 40, *size, 1, 24, b"MJPG", 3 * size[0] * size[1], *[0] * 4)
    of_stream = _chunk(b"LIST", b"strl", _chunk(b"strh", stream), _chunk(b"strf", pixels))
    header = _chunk(b"LIST", b"hdrl", _chunk(b"avih", main), of_stream)
    movie = 4 + sum(chunks)
    yield struct.pack("<4sI4s", b"RIFF", 4 + len(header) + 8 + movie + 8 + 16 * n, b"AVI ") + header
    yield struct.pack("<4sI4s", b"LIST", movie, b"movi")
    for picture in pictures[:n]:
        yield _chunk(b"00dc", picture.read_bytes())
    places = zip(accumulate(chunks[:-1], initial=4), lengths, strict=False)
    yield _chunk(b"idx1", *(struct.pack("<4s3I", b"00dc", _IS_WHOLE, *each) for each in places))


def _chunk(name: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
