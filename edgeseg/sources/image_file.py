"""The only place where an image file becomes gray values."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError, EdgesegError, ImageDecodeError, InputNotFoundError
from edgeseg.sources import header
from edgeseg.sources.frame import MIN_SIDE_PX, GrayImage

MAX_PIXELS = 50_000_000
"""Larger images are refused before their pixels are allocated."""

_OPAQUE = 255


def as_gray(source: GrayImage | str | os.PathLike[str]) -> GrayImage:
    """Return an image's gray values, (height, width), uint8, read if it is given as a path.

    Raises
    ------
    ImageDecodeError, InputNotFoundError
        If a file cannot be read.
    DataError
        If an array is not a gray image.
    """
    if isinstance(source, str | os.PathLike):
        return read_gray(Path(source))
    if not isinstance(source, np.ndarray):
        raise DataError(
            f"got {type(source).__name__}; expected a path, or gray values (height, width), uint8, "
            "as numpy.asarray(image.convert('L')) gives of a PIL image"
        )
    if source.ndim != 2 or source.dtype != np.uint8 or min(source.shape) < MIN_SIDE_PX:
        raise DataError(
            f"got an array of shape {source.shape} and type {source.dtype}; expected gray values "
            f"(height, width), uint8, each side at least {MIN_SIDE_PX}"
        )
    return source


def read_gray(path: Path) -> GrayImage:
    """Decode an image file to gray, upright as its EXIF orientation says.

    Colours become luma (ITU-R BT.601). 16-bit images are scaled by the bits they use: values up to
    4095 are taken for 12-bit data and shifted by 4, and so on, so that data of fewer bits in a
    16-bit file does not come out nearly black.

    Parameters
    ----------
    path
        A PNG, JPEG, BMP or TIFF file, recognised by its contents.

    Returns
    -------
    ndarray, shape (height, width), uint8

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    ImageDecodeError
        If the file cannot be read rightly: empty, cut short, of another kind, animated,
        transparent, smaller than 32 pixels a side or larger than 50 million pixels.
    """
    data = read_bytes(path)
    try:
        return decode_gray(data)
    except EdgesegError as error:
        raise ImageDecodeError(f"{path}: {error}") from None


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    ImageDecodeError
        If the system does not let it be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such file") from None
    except OSError as error:
        raise ImageDecodeError(f"{path}: cannot be read ({error.strerror})") from error


def decode_gray(data: bytes) -> GrayImage:
    """Decode an image file's bytes; see `read_gray`, the texts of its errors lack the name."""
    head = header.parse(data)
    if head.width * head.height > MAX_PIXELS:
        raise ImageDecodeError(
            f"{head.width}x{head.height} pixels is more than the {MAX_PIXELS // 10**6} million "
            "allowed; crop or shrink the image"
        )
    if min(head.width, head.height) < MIN_SIDE_PX:
        raise ImageDecodeError(
            f"{head.width}x{head.height} pixels is too small; each side needs {MIN_SIDE_PX}"
        )
    if head.frames > 1:
        raise ImageDecodeError(
            f"the file holds {head.frames} frames, one was expected; save the one to measure"
        )
    buffer = np.frombuffer(data, dtype=np.uint8)
    if head.may_be_transparent:
        _refuse_transparent(buffer, head.page)
    # ANYDEPTH keeps 16 bits, so that they are scaled here and not cut to their upper half
    pixels = decode_pixels(buffer, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH, head.page)
    gray = _to_8_bit(pixels)
    # OpenCV turns white-is-zero round in 8 bits and not in 16.
    return ~gray if head.white_is_zero and pixels.dtype == np.uint16 else gray


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


def _refuse_transparent(buffer: GrayImage, page: int) -> None:
    pixels = decode_pixels(buffer, cv2.IMREAD_UNCHANGED, page)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        alpha = pixels[..., 3]
        opaque = _OPAQUE if alpha.dtype == np.uint8 else np.iinfo(np.uint16).max
        if not np.all(alpha == opaque):
            raise ImageDecodeError(
                "parts of the image are transparent, so its gray values are not defined; "
                "flatten it first"
            )


def _to_8_bit(pixels: npt.NDArray[np.generic]) -> GrayImage:
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype != np.uint16:
        raise ImageDecodeError(f"pixels of type {pixels.dtype} are not read; save as 8 or 16 bits")
    bits = max(int(pixels.max()).bit_length(), 8)
    return (pixels.astype(np.uint16) >> (bits - 8)).astype(np.uint8)
