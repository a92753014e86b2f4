"""Portable gray and colour maps (PGM, PPM): they are their own header, and nothing compresses them.

Read here, since OpenCV takes no account of the largest value and refuses those written as text.
"""

from __future__ import annotations

import re

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats.base import CUT_SHORT, Header

_BLANK = rb"(?:\s|#[^\r\n]*[\r\n])+"
_START = re.compile(rb"P([2356])" + (_BLANK + rb"(\d{1,9})") * 3 + rb"(?:#[^\r\n]*[\r\n])?\s")
_COMMENT = re.compile(rb"#[^\r\n]*")
_SPACE = re.compile(rb"\s")
_PART_BYTES = 1 << 20
_TEXT, _COLOURS = (2, 3), (3, 6)
_LARGEST = 65535


def starts(data: bytes) -> bool:
    """Tell whether a file begins as one of these."""
    return data[:1] == b"P" and data[1:2] in (b"2", b"3", b"5", b"6") and data[2:3].isspace()


def parse(data: bytes) -> Header:
    """Read the header of a PGM or PPM file.

    Raises
    ------
    ImageDecodeError
        If it is damaged, cut short, or holds several images.
    """
    kind, width, height, _, start = _fields(data)
    frames = 1
    if kind not in _TEXT:
        ends = start + _n_bytes(data)
        if len(data) < ends:
            raise ImageDecodeError(CUT_SHORT)
        frames = 1 + starts(data[ends : ends + 3])
    return Header("pnm", width, height, frames, own_decoder=True)


def read(data: bytes) -> npt.NDArray[np.generic]:
    """Return the gray values of a file that `parse` has taken, (height, width).

    uint8, brought from its largest value to 255, or uint16 as they are.

    Raises
    ------
    ImageDecodeError
        If a file written as text does not hold as many numbers as it says, or larger ones.
    """
    kind, width, height, largest, start = _fields(data)
    n_values = width * height * (3 if kind in _COLOURS else 1)
    wide = largest > np.iinfo(np.uint8).max
    if kind in _TEXT:
        values = _written_out(_COMMENT.sub(b"", data[start:]), n_values)
    else:
        values = np.frombuffer(data, ">u2" if wide else np.uint8, n_values, start)
    if values.size < n_values or values.max() > largest:
        raise ImageDecodeError(CUT_SHORT)
    if wide:
        pixels = values.astype(np.uint16)
    elif largest == np.iinfo(np.uint8).max:
        pixels = values.astype(np.uint8)
    else:
        pixels = np.round(values * (255 / largest)).astype(np.uint8)
    if kind in _COLOURS:
        return cv2.cvtColor(pixels.reshape(height, width, 3), cv2.COLOR_RGB2GRAY)
    return pixels.reshape(height, width)


def _written_out(text: bytes, n_values: int) -> npt.NDArray[np.uint32]:
    """Return the numbers of a text, at most so many.

    A part at a time: as objects of Python they would take forty times their file's size.
    """
    parts, found, at = [], 0, 0
    while found < n_values and at < len(text):
        last = _SPACE.search(text, at + _PART_BYTES)
        end = last.start() if last else len(text)
        try:
            parts.append(np.array(text[at:end].split()[: n_values - found], dtype=np.uint32))
        except (ValueError, OverflowError):
            raise ImageDecodeError(CUT_SHORT) from None
        found, at = found + parts[-1].size, end
    return np.concatenate(parts) if parts else np.zeros(0, np.uint32)


def _n_bytes(data: bytes) -> int:
    kind, width, height, largest, _ = _fields(data)
    samples = width * height * (3 if kind in _COLOURS else 1)
    return samples * (2 if largest > np.iinfo(np.uint8).max else 1)


def _fields(data: bytes) -> tuple[int, int, int, int, int]:
    """Return kind, width, height, largest value, and where the pixels start."""
    found = _START.match(data)
    if found is None:
        raise ImageDecodeError(CUT_SHORT)
    kind, width, height, largest = map(int, found.groups())
    if not 1 <= largest <= _LARGEST:
        raise ImageDecodeError(f"its largest gray value is {largest}; expected 1 to {_LARGEST}")
    return kind, width, height, largest, found.end()
