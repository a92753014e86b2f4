"""Where an image file becomes gray values."""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from edgeseg.errors import EdgesegError, ImageDecodeError, InputNotFoundError, MissingExtraError
from edgeseg.images import kinds
from edgeseg.images.formats import jpeg, png, tiff
from edgeseg.images.formats.base import CUT_SHORT, Header, Pixels, parse_by_pillow
from edgeseg.images.frame import Frame, GrayImage, check_sides
from edgeseg.images.levels import to_8_bit
from edgeseg.system.text import describe_text_file

MAX_BYTES = 1 << 30
"""Larger files are refused before they are read: no image of so many pixels needs as much."""
TRANSPARENT = (
    "parts of the image are transparent, so its gray values are not defined; flatten it first"
)

# A pipe that nobody writes into would be waited for for ever.
_OPEN_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_BINARY", "O_CLOEXEC")
)
# ANYDEPTH keeps 16 bits, so that they are scaled here and not cut to their upper half.
_FLAGS = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def read_gray(path: Path) -> GrayImage:
    """Decode an image file to gray values alone; see `read_frame`."""
    return read_frame(path).pixels


def read_frame(path: Path) -> Frame:
    """Decode an image file to gray, upright as its EXIF orientation says.

    It is a PNG, JPEG, BMP, TIFF, PGM, PPM or DICOM file, recognised by its contents; of DICOM one
    with a single frame, others are read by `edgeseg.images.dicom.frames`. Colours become luma
    (ITU-R BT.601). 16-bit images are brought to 8 bits by the part of their range that they use
    (see `edgeseg.images.levels.to_8_bit`).

    Raises InputNotFoundError if there is no such file; ImageDecodeError if the file cannot be read
    rightly: empty, cut short, damaged, of another kind, animated, transparent, smaller than 32
    pixels a side or larger than 50 million pixels; MissingExtraError if it is a DICOM file and
    pydicom is not installed.
    """
    data = read_bytes(path)
    try:
        return replace(decode_frame(data), name=path.name)
    except MissingExtraError:
        raise
    except EdgesegError as error:
        raise ImageDecodeError(f"{path}: {error}") from None


def read_bytes(path: Path) -> bytes:
    """Read a plain file of `MAX_BYTES` at most, or raise InputNotFoundError or ImageDecodeError."""
    try:
        with open(os.open(path, _OPEN_FLAGS), "rb") as stream:  # noqa: PTH123 (of a descriptor)
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ImageDecodeError(
                    f"{path}: cannot be read: it is a folder, a pipe or a device, not a file"
                )
            if found.st_size > MAX_BYTES:
                raise ImageDecodeError(
                    f"{path}: {found.st_size / 1e9:.1f} GB is more than the {MAX_BYTES >> 30} GB "
                    "allowed; crop or shrink the image"
                )
            return stream.read()
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such file") from None
    except OSError as error:
        raise ImageDecodeError(f"{path}: cannot be read ({error.strerror})") from error


def decode_frame(data: bytes) -> Frame:
    """Decode an image file's bytes; see `read_frame`. Errors do not name the file."""
    if kinds.kind_of(data) is kinds.DICOM:
        from edgeseg.images.dicom import frames  # imports pydicom, which only these need

        return frames.decode_frame(data)
    head = _parse(data)
    if head.may_be_transparent and has_transparent_parts(head.decode(cv2.IMREAD_UNCHANGED)):
        raise ImageDecodeError(TRANSPARENT)
    # the levels of wide colours tell more of their scale than luma does
    colour = cv2.IMREAD_COLOR if head.has_wide_colours else cv2.IMREAD_GRAYSCALE
    gray = to_8_bit(head.decode(_FLAGS | colour))
    if gray.ndim == 3:
        luma = cv2.cvtColor(np.ascontiguousarray(gray[..., :3]), cv2.COLOR_BGR2GRAY)
        gray = luma.astype(np.uint8, copy=False)
    return Frame(turn_upright(gray, head.orientation), head.pixel_size)


def decode_as_stored(data: bytes) -> Pixels:
    """Decode an image file's own values, as label files need them: neither scaled nor turned.

    They are gray, (height, width), or blue, green, red and perhaps alpha, (height, width, 3 or 4).
    Raises ImageDecodeError as `read_frame` does.
    """
    return _parse(data).decode(cv2.IMREAD_UNCHANGED)


def _parse(data: bytes) -> Header:
    """Read what a file says of itself; what is too large, too small or a film is refused."""
    if not data:
        raise ImageDecodeError(f"the file is empty; expected a {kinds.READABLE} image")
    try:
        head = _parse_kind(data, kinds.kind_of(data))
    except ImageDecodeError:
        raise
    except (struct.error, IndexError, ValueError, OverflowError):
        raise ImageDecodeError(CUT_SHORT) from None
    check_sides(head.width, head.height)
    if head.frames > 1:
        raise ImageDecodeError(
            f"the file holds {head.frames} frames, one was expected; save the one to measure"
        )
    return head


def _parse_kind(data: bytes, kind: kinds.Kind | None) -> Header:
    if kind is kinds.PNG:
        return png.parse(data)
    if kind is kinds.JPEG:
        return jpeg.parse_file(data)
    if kind is kinds.TIFF:
        return tiff.parse(data)
    if kind in (kinds.BMP, kinds.PNM):
        return parse_by_pillow(data, kind)
    if kind is not None:
        what = " as an image" if kind in kinds.FILMS else ""
        raise ImageDecodeError(f"{kind.name} files are not read{what}; {kind.advice}")
    text = describe_text_file(data)
    raise ImageDecodeError(text or f"this is not a {kinds.READABLE} image, whatever its name says")


def has_transparent_parts(pixels: Pixels) -> bool:
    """Tell whether an image has a fourth channel that is not opaque everywhere."""
    if pixels.ndim < 3 or pixels.shape[2] != 4:
        return False
    low, high = pixels[..., 3].min(), pixels[..., 3].max()
    # of more than 8 bits opaque may be any number, such as the largest of 12 bits
    return bool(low != high or high < (255 if pixels.dtype == np.uint8 else 1))


def turn_upright(gray: GrayImage, orientation: int) -> GrayImage:
    """Turn an image as EXIF's orientation, 1 to 8, says."""
    if orientation == 1:
        return gray
    if orientation >= 5:  # rows are columns
        gray = gray.T
    if orientation in (2, 3, 6, 7):
        gray = gray[:, ::-1]
    if orientation in (3, 4, 7, 8):
        gray = gray[::-1]
    return np.ascontiguousarray(gray)
