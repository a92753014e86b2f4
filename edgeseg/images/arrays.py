"""Gray values of whatever a program holds an image in: a path, bytes, an array, a PIL image."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError, ImageDecodeError
from edgeseg.images.formats.base import decode_by_pillow
from edgeseg.images.frame import MIN_SIDE_PX, Frame, GrayImage, Size, as_pixel_size
from edgeseg.images.image_file import (
    TRANSPARENT,
    decode_frame,
    has_transparent_parts,
    read_frame,
    turn_upright,
)
from edgeseg.images.levels import to_8_bit

_EXPECTED = (
    "expected a path, an image file's bytes, a PIL image, or an array of gray values "
    "(height, width) or of colours in OpenCV's order (height, width, 3)"
)
_LARGEST = np.iinfo(np.uint16).max


def as_frame(source: Any, pixel_size_mm: Size = None) -> Frame:
    """Return an image as a frame: gray values, (height, width), uint8, and what its file says.

    Files are read, from their path or their bytes. Colours become luma, as those of files do: of
    arrays in OpenCV's order, blue first; of PIL images in their own, turned as EXIF says. Whole
    numbers above 255 are scaled as 16-bit files are, `edgeseg.images.levels.to_8_bit`;
    fractions from 0 to 1 are taken for shares of white. ``source`` may be an open file or a frame
    too, which is returned as it is where its pixels are gray values and no pixel size is given.
    ``pixel_size_mm``, one number or (x, y), beats the frame's or the file's own.

    Raises ImageDecodeError or InputNotFoundError if a file cannot be read; DataError if it is
    something else, its values are no gray values, or the pixel size cannot be one.
    """
    pixel_size = as_pixel_size(pixel_size_mm)
    frame = source if isinstance(source, Frame) else _read(source)
    pixels = _to_gray(frame.pixels)
    if pixel_size is None and pixels is frame.pixels:
        return frame
    return replace(frame, pixels=pixels, pixel_size=pixel_size or frame.pixel_size)


def _read(source: Any) -> Frame:
    if isinstance(source, str | os.PathLike):
        return read_frame(Path(os.fsdecode(source)))
    if hasattr(source, "read") and not hasattr(source, "isOpened"):
        name, source = type(source).__name__, source.read()
        if not isinstance(source, bytes):
            raise DataError(
                f"reading {name} gave {type(source).__name__}, not bytes; open the image's file "
                "with mode 'rb'"
            )
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_frame(bytes(source))
    if hasattr(source, "getexif") and hasattr(source, "convert"):
        return Frame(_convert_pil(source))
    return Frame(source)


def _to_gray(source: Any) -> GrayImage:
    """Return an array's gray values, the array itself where they are."""
    gray: GrayImage = source
    if not isinstance(source, np.ndarray) or source.dtype != np.uint8 or source.ndim != 2:
        gray = _convert_array(_as_array(source))
    if min(gray.shape) < MIN_SIDE_PX:
        raise DataError(
            f"got an image of {gray.shape[1]}x{gray.shape[0]} pixels; each side must be at least "
            f"{MIN_SIDE_PX}"
        )
    return gray


def _convert_pil(image: Any) -> GrayImage:
    """Return the gray values of a PIL image, asked by its methods alone."""
    try:
        orientation = image.getexif().get(0x0112, 1)
        pixels = _convert_array(decode_by_pillow(image))
    except DataError:
        raise
    except Exception as error:  # a damaged file is read only now, and its errors share no base
        why = error.__cause__ or error
        raise ImageDecodeError(f"the PIL image cannot be read: {why}") from error
    return turn_upright(pixels, orientation if orientation in range(1, 9) else 1)


def _as_array(source: Any) -> npt.NDArray[Any]:
    if isinstance(source, np.ma.MaskedArray) and np.ma.is_masked(source):
        raise DataError("parts of the array are masked; fill them in (array.filled(0))")
    offers = ("__array__", "__array_interface__", "__array_struct__")
    if isinstance(source, type) or not any(hasattr(source, name) for name in offers):
        raise DataError(f"got {type(source).__name__}; {_EXPECTED}")
    try:
        return np.asarray(source)
    except Exception as error:  # of a library that we do not know
        raise DataError(
            f"{type(source).__name__} gives no array ({error}); of a tensor pass "
            "tensor.detach().cpu().numpy()"
        ) from error


def _convert_array(array: npt.NDArray[Any]) -> GrayImage:
    """Return gray values, (height, width), uint8, of an array of any numbers and channels."""
    shape = array.shape
    if array.ndim == 3 and 1 in (shape[0], shape[2]):
        array = array[..., 0] if shape[2] == 1 else array[0]
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)) or not array.size:
        first = array.ndim == 3 and shape[0] in (3, 4)
        hint = "; put its channels last: array.transpose(1, 2, 0)" if first else ""
        raise DataError(f"got an array of shape {shape} and type {array.dtype}; {_EXPECTED}{hint}")
    values = _check_values(array)
    if has_transparent_parts(values):
        raise DataError(TRANSPARENT)
    if values.ndim == 3:
        values = cv2.cvtColor(np.ascontiguousarray(values[..., :3]), cv2.COLOR_BGR2GRAY)
    if values.dtype == np.float32:
        gray: GrayImage = np.round(values * 255).astype(np.uint8)
        return gray
    return to_8_bit(values)


def _check_values(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values as uint8 or uint16, or as float32 from 0 to 1."""
    kind, dtype = array.dtype.kind, array.dtype
    if dtype == np.uint8:
        return array
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if kind not in "iuf":
        raise DataError(f"got an array of type {dtype}; {_EXPECTED}")
    low, high = float(array.min()), float(array.max())
    if not 0 <= low <= high <= _LARGEST:  # NaN is neither
        raise DataError(
            f"got an array of type {dtype} with values from {low:g} to {high:g}; expected gray "
            f"values from 0 to 1, 0 to 255 or 0 to {_LARGEST}, without NaN: undo its normalisation"
        )
    if kind == "f" and high <= 1:
        return array.astype(np.float32)
    if kind == "f" and high < 2:
        raise DataError(
            f"got an array of type {dtype} with values up to {high:g}; expected 0 to 1 or 0 to "
            "255: numpy.clip cuts what goes beyond 1"
        )
    return (np.rint(array) if kind == "f" else array).astype(np.uint16)
