"""Image files made byte by byte, and what reading them gives."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from edgeseg.errors import ImageDecodeError
from edgeseg.images import image_file
from edgeseg.phantom.head import make_phantom

SCAN = make_phantom(0, height=270, width=400).image
SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6


def png_header(width: int, height: int, bits: int = 8, colour: int = GRAY) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    length, checksum = len(content), zlib.crc32(kind + content)
    return struct.pack(">I", length) + kind + content + struct.pack(">I", checksum)


def png(pixels: np.ndarray, colour: int = GRAY, *extra: bytes) -> bytes:
    """Encode (H, W) or (H, W, C), uint8 or big-endian uint16; extra chunks come before IDAT."""
    height, width = pixels.shape[:2]
    depth = 8 * pixels.dtype.itemsize
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = SIGNATURE + png_header(width, height, depth, colour) + b"".join(extra)
    return head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")


def encoded(extension: str, pixels: np.ndarray, *options: int) -> bytes:
    done, data = cv2.imencode(extension, pixels, list(options))
    assert done
    return data.tobytes()


def tiff(*pages: tuple[np.ndarray, dict[str, Any]], **how: Any) -> bytes:
    """Return a file of images, each with what tifffile is to write of it."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, **how) as file:
        for pixels, page in pages:
            file.write(pixels, **page)
    return stream.getvalue()


def exif(order: str, kind: int, value: int, *, count: int = 1) -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    packed = struct.pack(order + ("H2x" if kind == 3 else "I"), value)
    return mark + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, count) + packed + bytes(4)


def with_exif(jpeg: bytes, content: bytes | int) -> bytes:
    """Put EXIF data, or an orientation alone, at the start of a JPEG file."""
    if isinstance(content, int):
        content = exif("<", 3, content)
    content = b"Exif\0\0" + content
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def peak_bytes(call: Callable[[], object]) -> int:
    """Return how much memory Python holds at most while a call runs."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read(data: bytes) -> np.ndarray:
    return image_file.decode_frame(data).pixels


def refused(data: bytes) -> str:
    """Return the text of the error that a file raises, which must be a sentence."""
    with pytest.raises(ImageDecodeError) as caught:
        read(data)
    sentence = str(caught.value)
    assert len(sentence.split()) >= 5
    assert "\n" not in sentence
    assert not any(word in sentence for word in ("None", "Traceback", "cv::", "struct"))
    return sentence
