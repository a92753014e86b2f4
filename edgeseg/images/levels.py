"""Bring the gray levels of 16-bit files to 8 bits, whatever part of their range they use."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError
from edgeseg.images.frame import GrayImage

_TOP = 255
_BITS = 8
_OF_8_BITS = (257, 256)  # 8-bit values spread over 16 bits are multiples of one of these
_FEW_SHARE = 1e-4  # of the pixels, or
_FEW = 4  # may be broken ones, or specks
_MARKS_SHARE = 0.05  # of the pixels may be letters and marks burned in, all of one level
_DRAWN = 16  # as few levels are drawn, not scanned: none of them is out of place
_OFFSET_SHARE = 1 / 8  # of the range: less than that may be a picture's own dark gray


def to_8_bit(pixels: npt.NDArray[np.generic]) -> GrayImage:
    """Bring gray levels to 8 bits.

    8-bit levels that were spread over 16 bits come back as they were. Otherwise the levels are
    shifted by the bits they use: values up to 4095 are 12-bit data, and so on, so that data of
    fewer bits in a 16-bit file does not come out nearly black. An offset, as raw data has, is
    removed before. Outliers, marks burned in and a margin's padding are ignored in finding that
    range, and become white or black.

    The array may have any shape, and be uint8, uint16 or int16; what is returned has the same
    shape. Raises ImageDecodeError if it is of another type, or falls into two groups far apart.
    """
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype not in (np.int16, np.uint16):
        raise ImageDecodeError(f"pixels of type {pixels.dtype} are not read; save as 8 or 16 bits")
    lowest = min(int(pixels.min()), 0)
    wide = (pixels.astype(np.int32) - lowest if lowest else pixels).astype(np.uint16, copy=False)
    counts = cv2.calcHist([wide.reshape(1, -1)], [0], None, [1 << 16], [0, 1 << 16]).ravel()
    levels = np.flatnonzero(counts)
    if not lowest and levels[-1] <= _TOP:
        return wide.astype(np.uint8)
    for step in _OF_8_BITS:
        if not np.any(levels % step):
            return (wide // step).astype(np.uint8)
    low, high = _find_range(levels, counts[levels])
    saves_bits = (high - low).bit_length() < high.bit_length() > _BITS
    base = low if saves_bits or low >= _OFFSET_SHARE * 2 ** high.bit_length() else 0
    bits = max((high - base).bit_length(), _BITS)
    top = min(base + 2**bits, 1 << 16) - 1
    shifted = np.clip(wide, base, top) - np.uint16(base)
    return (shifted >> (bits - _BITS)).astype(np.uint8)


def _find_range(levels: npt.NDArray[np.intp], counts: npt.NDArray[np.generic]) -> tuple[int, int]:
    """Return the lowest and the highest of the levels that make the picture."""
    n_pixels = int(counts.sum())
    few = max(_FEW, int(_FEW_SHARE * n_pixels))
    while len(levels) > _DRAWN:
        # Broken pixels, marks and padding stand apart, by a gap wider than all the rest.
        gaps = np.diff(levels)
        split = int(np.argmax(gaps)) + 1
        gap, span = int(gaps[split - 1]), int(levels[-1] - levels[0])
        below, above = int(counts[:split].sum()), int(counts[split:].sum())
        one_mark = split == len(levels) - 1 and above <= _MARKS_SHARE * n_pixels
        if 2 * gap > span and (split == 1 or below <= few):
            levels, counts = levels[split:], counts[split:]
        elif 4 * gap <= 3 * span:
            break
        elif above <= few or one_mark:
            levels, counts = levels[:split], counts[:split]
        else:
            raise ImageDecodeError(
                f"its gray values fall into two groups, {levels[0]} to {levels[split - 1]} and "
                f"{levels[split]} to {levels[-1]}, as when negative numbers are saved without "
                "their sign; save the image as 8 bits"
            )
    from_below, from_above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    low = int(levels[from_below > few][0])
    trimmed = int(levels[from_above > few][-1])
    # Where only a few pixels need one bit more than all others, they are specks.
    high = int(levels[-1])
    return low, trimmed if trimmed.bit_length() < high.bit_length() else high
