"""What reading an image gives, and how large it may be."""

from __future__ import annotations

from typing import NamedTuple

from edgeseg.errors import ImageDecodeError
from edgeseg.images.frame import MIN_SIDE_PX, GrayImage, PixelSize, Screen

MAX_PIXELS = 50_000_000
"""Larger images are refused before their pixels are allocated."""


class Decoded(NamedTuple):
    """What an image file gives.

    Attributes
    ----------
    gray
        Shape (height, width), uint8, upright.
    pixel_size
        What the file says of the size of its pixels in the body; None if it does not.
    screen
        The machine's screen that it is a picture of, where the file tells.
    """

    gray: GrayImage
    pixel_size: PixelSize | None
    screen: Screen | None = None


def check_sides(width: int, height: int) -> None:
    """Refuse an image that is too large or too small.

    Raises
    ------
    ImageDecodeError
        If it has more than `MAX_PIXELS`, or a side shorter than `MIN_SIDE_PX`.
    """
    if width * height > MAX_PIXELS:
        raise ImageDecodeError(
            f"{width}x{height} pixels is more than the {MAX_PIXELS // 10**6} million "
            "allowed; crop or shrink the image"
        )
    if min(width, height) < MIN_SIDE_PX:
        raise ImageDecodeError(
            f"{width}x{height} pixels is too small; each side needs {MIN_SIDE_PX}"
        )
