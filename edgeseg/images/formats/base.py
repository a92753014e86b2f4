"""What is known of an image file before its pixels are decoded."""

from __future__ import annotations

from typing import Any, NamedTuple

from edgeseg.images.frame import PixelSize

CUT_SHORT = "the file is cut short or damaged; copy it again"


class Header(NamedTuple):
    """The facts that decide how, and whether, an image is decoded."""

    width: int  # In pixels, before any rotation.
    height: int
    frames: int = 1  # Number of images in the file, without the thumbnails of a TIFF.
    # Whether an alpha channel or a transparent colour is declared.
    may_be_transparent: bool = False
    has_wide_colours: bool = False  # Whether each pixel has several samples of more than 8 bits.
    orientation: int = 1  # As EXIF counts it, 1 to 8.
    # What the file says of the size of its pixels in the body; None if it does not.
    pixel_size: PixelSize | None = None
    # Whether gray values are the darker the larger they are, up to ``white_is_zero``; 0 if not.
    white_is_zero: int = 0
    # Where a JPEG's coded pixels end; 0 elsewhere, and where more bytes could be meant.
    scans_end: int = 0
    # The image as Pillow opened it, of the kinds that it decodes; None of others.
    image: Any = None
