"""What a BMP file says of itself."""

from __future__ import annotations

import struct

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats.base import Header

_HEADER_BYTES = (40, 52, 56, 108, 124)
_PLAIN, _RLE8, _RLE4, _BITFIELDS = range(4)
_BITS = {_PLAIN: (1, 4, 8, 16, 24, 32), _RLE8: (8,), _RLE4: (4,), _BITFIELDS: (16, 32)}
_FILE_HEADER_BYTES = 14


def parse(data: bytes) -> Header:
    """Read the header of a BMP file.

    Raises
    ------
    ImageDecodeError
        If the file is cut short, or has fields with which decoders differ in what they read.
    """
    file_bytes, _, offset = struct.unpack_from("<III", data, 2)
    header_bytes, width, height, planes, bits, compression = struct.unpack_from("<IiiHHI", data, 14)
    (n_colours,) = struct.unpack_from("<I", data, 46)
    if header_bytes not in _HEADER_BYTES or width <= 0 or height == 0:
        raise ImageDecodeError("this kind of BMP is not read; save the image as PNG")
    if planes != 1 or bits not in _BITS.get(compression, ()):
        raise ImageDecodeError(
            f"BMP of {bits} bits, compression {compression}, is not read; save the image as PNG"
        )
    # one row after the other, each filled up to four bytes
    pixels_bytes = (width * bits + 31) // 32 * 4 * abs(height)
    if compression in (_RLE8, _RLE4):
        pixels_bytes = 0
    if len(data) < max(file_bytes, offset + pixels_bytes):
        raise ImageDecodeError("the BMP is cut short; copy it again")
    palette_bytes = 4 * (n_colours or 2**bits) if bits <= 8 else 0
    if n_colours > 256 or offset < _FILE_HEADER_BYTES + header_bytes + palette_bytes:
        raise ImageDecodeError("the BMP's header is damaged; save the image as PNG")
    return Header("bmp", width, abs(height), may_be_transparent=bits == 32)
