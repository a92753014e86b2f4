"""What a PNG file says of itself, and whether it is whole."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats.base import Header, exif_orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB, _GRAY_ALPHA, _RGBA = 2, 4, 6
_SAMPLES = {_RGB: 3, _GRAY_ALPHA: 2, _RGBA: 4}
_SPARED_BYTES = 1 << 16


def parse(data: bytes) -> Header:
    """Read the header of a PNG file and check every part's checksum.

    Raises
    ------
    ImageDecodeError
        If the file is cut short, damaged or not of the standard.
    """
    frames, transparent, orientation, ended, size = 1, False, 1, False, None
    packed_bytes = 0
    for kind, start, length in _chunks(data):
        if size is None and kind != b"IHDR":
            break
        # Decoders check the parts that make pixels; a wrong orientation is as bad.
        (checksum,) = struct.unpack_from(">I", data, start + length)
        if zlib.crc32(memoryview(data)[start - 4 : start + length]) != checksum:
            raise ImageDecodeError(
                f"the PNG is damaged (its part {kind.decode('latin-1')!a} has another checksum "
                "than it says); copy it again"
            )
        if kind == b"IHDR":
            size = struct.unpack_from(">IIBB", data, start)
        elif kind == b"acTL":
            frames = struct.unpack_from(">I", data, start)[0]
        elif kind == b"tRNS":
            transparent = True
        elif kind == b"eXIf":
            orientation = exif_orientation(data[start : start + length])
        elif kind == b"IDAT":
            packed_bytes += length
        elif kind == b"IEND":
            ended = True
    if size is None and len(data) > 64:
        raise ImageDecodeError("the PNG does not begin with its size; save it again")
    if size is None or not ended:
        raise ImageDecodeError("the PNG is cut short; copy it again")
    width, height, bits, colour = size
    # Decoders unpack all there is: a thousand times what packed pixels that are none would take.
    row_bytes = 1 + (width * bits * _SAMPLES.get(colour, 1) + 7) // 8
    if packed_bytes > 2 * height * row_bytes + _SPARED_BYTES:
        raise ImageDecodeError("the PNG holds more than its pixels; save it again")
    return Header(
        "png",
        width,
        height,
        frames,
        may_be_transparent=transparent or colour in (_GRAY_ALPHA, _RGBA),
        wide_colours=bits > 8 and colour in (_RGB, _RGBA),
        orientation=orientation,
    )


def palette(data: bytes) -> list[int]:
    """Return the colours of a palette PNG as 0xRRGGBB, in the order of their numbers.

    Empty for any other file.
    """
    if not data.startswith(SIGNATURE):
        return []
    for kind, start, length in _chunks(data):
        if kind == b"PLTE":
            return [int.from_bytes(data[i : i + 3]) for i in range(start, start + length - 2, 3)]
    return []


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start of contents, length) of each chunk up to IEND."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        if position + 12 + length > len(data):
            return
        yield kind, position + 8, length
        if kind == b"IEND":
            return
        position += 12 + length
