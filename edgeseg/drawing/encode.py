"""From pixels to the bytes of PNG and JPEG files."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError

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
