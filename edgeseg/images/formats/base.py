"""What the formats share: what is known of a file before it is decoded, and OpenCV's decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError
from edgeseg.images.frame import PixelSize

CUT_SHORT = "the file is cut short or damaged; copy it again"

Pixels = npt.NDArray[np.generic]


class Header(NamedTuple):
    """The facts that decide how, and whether, an image is decoded."""

    width: int  # In pixels, before any rotation.
    height: int
    # Decodes the pixels, by OpenCV's ``IMREAD`` flags where it is OpenCV that does: gray values or
    # blue, green, red and perhaps alpha; raises ImageDecodeError.
    decode: Callable[[int], Pixels]
    frames: int = 1  # Number of images in the file, without the thumbnails of a TIFF.
    # Whether an alpha channel or a transparent colour is declared.
    may_be_transparent: bool = False
    has_wide_colours: bool = False  # Whether each pixel has several samples of more than 8 bits.
    orientation: int = 1  # As EXIF counts it, 1 to 8.
    # What the file says of the size of its pixels in the body; None if it does not.
    pixel_size: PixelSize | None = None


def decode_by_opencv(data: bytes, flags: int) -> Pixels:
    """Decode a file's bytes by OpenCV's ``IMREAD`` flags, or raise an ImageDecodeError."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ImageDecodeError("the pixels cannot be decoded: damaged or of a rare kind")
    return pixels
