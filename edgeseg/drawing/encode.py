"""From pixels to the bytes of PNG and JPEG files."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError


def encode(extension: str, pixels: npt.NDArray[np.uint8], quality: int | None = None) -> bytes:
    """Encode pixels, (H, W) gray or (H, W, 3) BGR, as a PNG or JPEG file's bytes.

    Raises ImageDecodeError if the format cannot hold an image of that size.
    """
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    if quality is not None:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return _encode(extension, pixels, options)


def encode_mask(mask: npt.NDArray[np.uint8]) -> bytes:
    """Encode a mask, (H, W), 0 or 255, as a PNG file's bytes.

    Runs of equal pixels need neither a filter nor a search: a quarter of the usual time, and
    smaller.

    Raises ImageDecodeError if the format cannot hold an image of that size.
    """
    options = [
        *(cv2.IMWRITE_PNG_COMPRESSION, 1),
        *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
        *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    ]
    return _encode(".png", mask, options)


def _encode(extension: str, pixels: npt.NDArray[np.uint8], options: list[int]) -> bytes:
    try:
        done, encoded = cv2.imencode(extension, pixels, options)
    except cv2.error:
        done = False
    if not done:
        height, width = pixels.shape[:2]
        raise ImageDecodeError(f"{width}x{height} pixels do not fit into a {extension} file")
    return encoded.tobytes()
