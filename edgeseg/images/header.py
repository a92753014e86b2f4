"""What an image file says of itself, read before any pixel is allocated."""

from __future__ import annotations

import struct

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats import bmp, jpeg, png, pnm
from edgeseg.images.formats.base import CUT_SHORT, Header
from edgeseg.images.formats.kinds import DICOM, kind_of
from edgeseg.images.formats.png import palette as png_palette

__all__ = ["READABLE", "Header", "is_readable", "parse", "png_palette"]

_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")  # the latter two are BigTIFF
READABLE = "PNG, JPEG, BMP, TIFF, PGM, PPM or DICOM"


def is_readable(start: bytes) -> bool:
    """Tell whether a file that begins so is of a kind that is read."""
    if start[128:132] == b"DICM" and start.startswith(_TIFF):
        return False  # what is before DICOM's mark may be the head of a TIFF (PS3.10, 7.1)
    return start.startswith((png.SIGNATURE, b"\xff\xd8\xff", b"BM", *_TIFF)) or pnm.starts(start)


def is_dicom(start: bytes) -> bool:
    """Tell whether a file that begins so is one of DICOM."""
    return not is_readable(start) and kind_of(start) is DICOM


def parse(data: bytes) -> Header:
    """Read the header of an image file but DICOM and check that the file is whole.

    Parameters
    ----------
    data
        The file's bytes.

    Raises
    ------
    ImageDecodeError
        If the file is empty, of another kind, cut short or damaged; the text does not name the
        file.
    """
    if not data:
        raise ImageDecodeError(f"the file is empty; expected a {READABLE} image")
    try:
        if data.startswith(png.SIGNATURE):
            return png.parse(data)
        if data.startswith(b"\xff\xd8"):
            return jpeg.parse(data)
        if data.startswith(b"BM"):
            return bmp.parse(data)
        if data.startswith(_TIFF):
            from edgeseg.images.formats import tiff  # imports tifffile, which only these need

            return tiff.parse(data)
        if pnm.starts(data):
            return pnm.parse(data)
    except ImageDecodeError:
        raise
    except (struct.error, IndexError, ValueError):
        raise ImageDecodeError(CUT_SHORT) from None
    if kind := kind_of(data):
        raise ImageDecodeError(f"{kind.name} files are not read; {kind.advice}")
    raise ImageDecodeError(f"this is not a {READABLE} image, whatever its name says")
