"""Where an image file becomes gray values."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import (
    EdgesegError,
    ImageDecodeError,
    InputNotFoundError,
    MissingExtraError,
)
from edgeseg.images import header
from edgeseg.images.formats import pnm
from edgeseg.images.frame import Frame, GrayImage, check_sides
from edgeseg.images.levels import to_8_bit

MAX_BYTES = 1 << 30
"""Larger files are refused before they are read: no image of so many pixels needs as much."""

_OPAQUE = 255
_GRAY = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
_UNTURNED = cv2.IMREAD_IGNORE_ORIENTATION
# What a decoder makes pixels of where it has run out of a file's own.
_MORE = bytes(1 + 137 * i % 249 for i in range(256))
_BLOCK_PX = 16
_NEARLY_BLACK = 2
_SPARED_BLOCKS = 6  # an encoder may save the last bits of a file


def read_gray(path: Path) -> GrayImage:
    """Decode an image file to gray values alone; see `read_frame`."""
    return read_frame(path).pixels


def read_frame(path: Path) -> Frame:
    """Decode an image file to gray, upright as its EXIF orientation says.

    Colours become luma (ITU-R BT.601). 16-bit images are brought to 8 bits by the part of their
    range that they use (see `edgeseg.images.levels.to_8_bit`).

    Parameters
    ----------
    path
        A PNG, JPEG, BMP, TIFF, PGM, PPM or DICOM file, recognised by its contents; of DICOM one
        with a single frame, others are read by `edgeseg.images.dicom.frames`.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    ImageDecodeError
        If the file cannot be read rightly: empty, cut short, damaged, of another kind, animated,
        transparent, smaller than 32 pixels a side or larger than 50 million pixels.
    MissingExtraError
        If it is a DICOM file and pydicom is not installed.
    """
    data = read_bytes(path)
    try:
        return replace(decode_frame(data), name=path.name)
    except MissingExtraError:
        raise
    except EdgesegError as error:
        raise ImageDecodeError(f"{path}: {error}") from None


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    ImageDecodeError
        If the system does not let it be read, or it is no plain file or larger than `MAX_BYTES`.
    """
    try:
        # A pipe that nobody writes into would be waited for for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _binary_flags())
        with open(descriptor, "rb") as stream:  # noqa: PTH123 (of a descriptor)
            found = os.fstat(descriptor)
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


def _binary_flags() -> int:
    return getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def decode_gray(data: bytes) -> GrayImage:
    """Decode an image file's bytes to gray values alone; see `decode_frame`."""
    return decode_frame(data).pixels


def decode_frame(data: bytes) -> Frame:
    """Decode an image file's bytes; see `read_frame`. Errors do not name the file."""
    if header.is_dicom(data):
        from edgeseg.images.dicom import frames  # imports pydicom, which only these need

        return frames.decode_frame(data)
    head = header.parse(data)
    check_sides(head.width, head.height)
    if head.frames > 1:
        raise ImageDecodeError(
            f"the file holds {head.frames} frames, one was expected; save the one to measure"
        )
    pixels = _own_pixels(data, head) if head.own_decoder else _opencv_pixels(data, head)
    if head.white_from:
        pixels = np.asarray(head.white_from - pixels.astype(np.int64)).astype(pixels.dtype)
    gray = to_8_bit(pixels)
    if gray.ndim == 3:
        gray = cv2.cvtColor(gray, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)
    return Frame(_upright(gray, head.orientation), head.pixel_size)


def decode_pixels(
    buffer: npt.NDArray[np.uint8], flags: int, page: int = 0
) -> npt.NDArray[np.generic]:
    """Decode a file's bytes, shape (n,), by one of OpenCV's ``IMREAD`` flags.

    Parameters
    ----------
    page
        Which of a TIFF's images, from 0.

    Raises
    ------
    ImageDecodeError
        If OpenCV cannot.
    """
    try:
        if page:
            _, pages = cv2.imdecodemulti(buffer, flags, range=(page, page + 1))
            pixels = pages[0] if pages else None
        else:
            pixels = cv2.imdecode(buffer, flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ImageDecodeError("the pixels cannot be decoded: damaged or of a rare kind")
    return pixels


def _opencv_pixels(data: bytes, head: header.Header) -> npt.NDArray[np.generic]:
    """Return gray values, or colours of 16 bits, (height, width, 3), blue first."""
    buffer = np.frombuffer(data, dtype=np.uint8)
    if head.may_be_transparent:
        _refuse_transparent(decode_pixels(buffer, cv2.IMREAD_UNCHANGED, head.page))
    # ANYDEPTH keeps 16 bits, so that they are scaled here and not cut to their upper half; the
    # levels of colours tell more of their scale than luma does.
    flags = _COLOUR if head.wide_colours else _GRAY
    if head.format != "tiff":  # others are turned here, since OpenCV believes broken EXIF data
        flags |= _UNTURNED
    pixels = decode_pixels(buffer, flags, head.page)
    if head.scans_end:
        refuse_cut_scans(data, head.scans_end, pixels, flags)
    return pixels


def _own_pixels(data: bytes, head: header.Header) -> npt.NDArray[np.generic]:
    """Return what the module of a kind of file reads, as `_opencv_pixels` would."""
    if head.format == "pnm":
        return pnm.read(data)
    from edgeseg.images.formats import tiff

    pixels = tiff.read(data, head.page)
    if pixels.ndim == 2:
        return pixels
    colours = np.ascontiguousarray(pixels[..., 2::-1])
    if head.may_be_transparent and pixels.shape[2] == 4:
        _refuse_transparent(np.dstack([colours, pixels[..., 3]]))
    return colours


def _refuse_transparent(pixels: npt.NDArray[np.generic]) -> None:
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        alpha = pixels[..., 3]
        opaque = _OPAQUE if alpha.dtype == np.uint8 else np.iinfo(np.uint16).max
        if not np.all(alpha == opaque):
            raise ImageDecodeError(
                "parts of the image are transparent, so its gray values are not defined; "
                "flatten it first"
            )


def refuse_cut_scans(data: bytes, end: int, pixels: npt.NDArray[np.generic], flags: int) -> None:
    """Refuse a JPEG whose coded pixels end too early, which the decoder fills up without a word.

    What it fills is flat, and nearly always gray. Where the last corner is, the file is decoded
    again with more behind its coded pixels, for which a whole file has no use.

    Parameters
    ----------
    end
        Where its coded pixels end.
    pixels, flags
        As OpenCV gave them, and its ``IMREAD`` flags.

    Raises
    ------
    ImageDecodeError
        If they do.
    """
    corner = pixels[-_BLOCK_PX // 2 :, -_BLOCK_PX // 2 :]
    low, high = int(corner.min()), int(corner.max())
    # a black margin is flat in whole files too, and decoding all of those twice would be dear
    if low < high or not _NEARLY_BLACK < low < _OPAQUE - _NEARLY_BLACK:
        return
    longer = np.frombuffer(b"".join((data[:end], _MORE, data[end:])), dtype=np.uint8)
    differs = decode_pixels(longer, flags) != pixels
    height, width = pixels.shape[:2]
    last_row = (height - 1) // _BLOCK_PX * _BLOCK_PX - 2
    last_blocks = width - _SPARED_BLOCKS * _BLOCK_PX
    if np.any(differs[:last_row]) or np.any(differs[last_row:, : max(0, last_blocks)]):
        raise ImageDecodeError(
            "the JPEG is damaged: a part of its pixels is missing; copy it again"
        )


def _upright(gray: GrayImage, orientation: int) -> GrayImage:
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
