"""From pixels to the bytes of PNG and JPEG files, which hold a small copy of their own.

It stands in a JFXX segment (JPEG File Interchange Format 1.02, page 6), which others pass over;
reports and file browsers find it there.
"""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats.jpeg import read_segments

_OF_MASKS = (
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
)


def encode(
    extension: str, pixels: npt.NDArray[np.uint8], quality: int = 95, *, is_mask: bool = False
) -> bytes:
    """Encode pixels, (H, W) gray or (H, W, 3) BGR, as a PNG or JPEG file's bytes.

    Masks are smaller, and take a quarter of the time, without filter and search.

    Raises ImageDecodeError if the format cannot hold an image of that size.
    """
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, *(_OF_MASKS if is_mask else ())]
    if extension != ".png":
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    try:
        done, encoded = cv2.imencode(extension, pixels, options)
    except cv2.error:
        done = False
    if not done:
        height, width = pixels.shape[:2]
        raise ImageDecodeError(f"{width}x{height} pixels do not fit into a {extension} file")
    return encoded.tobytes()


_MOST_PX = (180, 240)  # height and width
_QUALITY = 70
_JFXX = b"JFXX\0\x10"
_APP0, _START_OF_FRAME = 0xE0, 0xC0  # of the files that OpenCV writes
_HEAD_BYTES = 1 << 17  # which these two are in


class Thumbnail(NamedTuple):
    """A picture's small copy, and how large it is itself."""

    jpeg: bytes  # The copy, a JPEG file's bytes.
    width_px: int  # Of the picture.
    height_px: int


def shrink(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a picture, gray or in colours, as small as thumbnails are; a small one as it is."""
    height, width = picture.shape[:2]
    scale = min(_MOST_PX[0] / height, _MOST_PX[1] / width, 1.0)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale <= 0.5:  # two steps, of which the first is exact halves, take half the time
        half = max(1, width // 2), max(1, height // 2)
        even = picture[: 2 * half[1], : 2 * half[0]]
        picture = np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def add_thumbnail(jpeg: bytes, small: npt.NDArray[np.uint8]) -> bytes:
    """Return a JPEG file's bytes with a small copy of its picture, (h, w, 3) BGR, in it."""
    content = _JFXX + encode(".jpg", small, _QUALITY)
    (length,) = struct.unpack_from(">H", jpeg, 4)  # OpenCV's files begin with their JFIF segment
    segment = struct.pack(">HH", 0xFFE0, len(content) + 2) + content
    return jpeg[: 4 + length] + segment + jpeg[4 + length :]


def read_thumbnail(path: Path) -> Thumbnail | None:
    """Read the small copy in a JPEG file; None if the file cannot be read, or has none."""
    small = None
    errors = OSError, ImageDecodeError, struct.error, IndexError, ValueError
    with contextlib.suppress(*errors), path.open("rb") as stream:
        for marker, _, body, _ in read_segments(stream.read(_HEAD_BYTES)):
            if marker == _APP0 and body.startswith(_JFXX):
                small = body.removeprefix(_JFXX)
            elif marker == _START_OF_FRAME:
                height_px, width_px = struct.unpack_from(">HH", body, 1)
                return Thumbnail(small, width_px, height_px) if small else None
    return None
