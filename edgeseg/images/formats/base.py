"""The facts that every kind of image file gives before any pixel is allocated."""

from __future__ import annotations

import struct
from typing import NamedTuple

from edgeseg.images.frame import PixelSize

CUT_SHORT = "the file is cut short or damaged; copy it again"
_ORIENTATION = 0x0112
_LARGEST_VALUE = 8
_INTEGERS = {3: ("H", 2), 4: ("I", 4)}  # TIFF's types SHORT and LONG


class Header(NamedTuple):
    """The facts that decide how, and whether, an image is decoded.

    Attributes
    ----------
    format
        ``png``, ``jpeg``, ``bmp``, ``tiff`` or ``pnm``.
    width, height
        In pixels, before any rotation.
    frames
        Number of images in the file, without the thumbnails of a TIFF.
    may_be_transparent
        Whether an alpha channel or a transparent colour is declared.
    white_from
        The value that stands for black where gray values are the darker the larger they are and
        the decoder leaves them so; 0 elsewhere.
    page
        Which of a TIFF's images, thumbnails counted, from 0.
    wide_colours
        Whether each pixel has several samples of more than 8 bits.
    orientation
        As EXIF counts it, 1 to 8, of those files whose decoder does not turn them by itself.
    pixel_size
        What the file says of the size of its pixels in the body; None if it does not.
    scans_end
        Where a JPEG's coded pixels end; 0 elsewhere, and where more bytes could be meant.
    own_decoder
        Whether OpenCV does not read this rightly, so that the module of its kind must.
    """

    format: str
    width: int
    height: int
    frames: int = 1
    may_be_transparent: bool = False
    white_from: int = 0
    page: int = 0
    wide_colours: bool = False
    orientation: int = 1
    pixel_size: PixelSize | None = None
    scans_end: int = 0
    own_decoder: bool = False


def exif_orientation(exif: bytes) -> int:
    """Return the orientation that EXIF data, from its byte order on, says; 1 if it is broken.

    OpenCV has a reader too, which takes the orientation from fields that cannot be one.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (n_fields,) = struct.unpack_from(order + "H", exif, start)
        for field in range(start + 2, start + 2 + 12 * n_fields, 12):
            tag, kind, count = struct.unpack_from(order + "HHI", exif, field)
            if tag == _ORIENTATION and kind in _INTEGERS and count >= 1:
                code, size = _INTEGERS[kind]
                if size * count > 4:
                    (field,) = struct.unpack_from(order + "I", exif, field + 8)
                    field -= 8
                (value,) = struct.unpack_from(order + code, exif, field + 8)
                return value if 1 <= value <= _LARGEST_VALUE else 1
    except struct.error:
        pass
    return 1
