"""What a PNG file says of itself, and whether it is whole."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats.base import Header, decode_by_opencv
from edgeseg.images.formats.directories import exif_orientation

_SIGNATURE_BYTES = 8
_SAMPLES = {2: 3, 4: 2, 6: 4}  # of a pixel by its type: RGB, gray with alpha, RGB with alpha
_SPARED_BYTES = 1 << 16


def parse(data: bytes) -> Header:
    """Read the header of a PNG file.

    The checksums are compared here: OpenCV refuses damaged files too, but prints that it does.

    Raises ImageDecodeError if the file is cut short or damaged; struct.error if a part is short.
    """
    found: dict[bytes, bytes] = {}
    packed_bytes = 0
    for kind, content, checksum in _chunks(data):
        if zlib.crc32(content, zlib.crc32(kind)) != checksum:
            raise ImageDecodeError(
                f"the PNG is damaged (its part {kind.decode('latin-1')!a} has another checksum "
                "than it says); copy it again"
            )
        packed_bytes += len(content) if kind == b"IDAT" else 0
        if kind in (b"IHDR", b"acTL", b"tRNS", b"eXIf", b"IEND"):
            found.setdefault(kind, bytes(content))
    if not {b"IHDR", b"IEND"} <= found.keys():
        raise ImageDecodeError("the PNG is cut short; copy it again")
    width, height, bits, colour = struct.unpack_from(">IIBB", found[b"IHDR"])
    samples = _SAMPLES.get(colour, 1)
    # Decoders unpack all there is, if it is a thousand times what the pixels take.
    row_bytes = 1 + (width * bits * samples + 7) // 8
    if packed_bytes > 2 * height * row_bytes + _SPARED_BYTES:
        raise ImageDecodeError("the PNG holds more than its pixels; save it again")
    return Header(
        width,
        height,
        partial(decode_by_opencv, data),
        struct.unpack_from(">I", found.get(b"acTL", b"\0\0\0\1"))[0],
        may_be_transparent=b"tRNS" in found or samples in (2, 4),
        has_wide_colours=bits > 8 and samples > 2,
        orientation=exif_orientation(found.get(b"eXIf", b"")),
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yield type, contents and checksum of each chunk up to IEND."""
    at, kind = _SIGNATURE_BYTES, b""
    while kind != b"IEND" and at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            return
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        yield kind, memoryview(data)[at + 8 : at + 8 + length], checksum
        at += 12 + length
