"""Files of DICOM whose elements are deflated (PS3.5, A.5)."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from edgeseg.errors import ImageDecodeError

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_MOST_UNPACKED_BYTES = 1 << 28


def inflate(stream: BinaryIO) -> bytes | None:
    """Return the elements of a deflated file, unpacked; None of any other.

    Raises
    ------
    ImageDecodeError
        If it is damaged, or holds too much.
    """
    head = stream.read(1024)
    if head[128:132] != b"DICM" or _DEFLATED not in head or head[132:136] != b"\2\0\0\0":
        return None
    stream.seek(144 + int.from_bytes(head[140:144], "little"))
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflate.decompress(stream.read(), _MOST_UNPACKED_BYTES)
    except zlib.error:
        raise ImageDecodeError("the deflated DICOM file is damaged; copy it again") from None
    if inflate.unconsumed_tail:
        raise ImageDecodeError(
            f"the file holds more than {_MOST_UNPACKED_BYTES >> 20} MiB deflated; save it without"
        )
    return data
