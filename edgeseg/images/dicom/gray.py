"""From the samples of a DICOM frame to gray values, by its photometric interpretation."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError
from edgeseg.images.frame import Area, GrayImage
from edgeseg.images.levels import to_8_bit

Samples = npt.NDArray[np.generic]
Colours = npt.NDArray[np.uint8]

_COLOUR_RANGE = 64  # between the largest and the smallest of red, green and blue
_COLOUR_SHARE = 0.1
EVERY = 4  # of so many pixels in each direction one is looked at for colour
_NEUTRAL = 128  # of the differences from red and blue
_PARTIAL_BLACK, _PARTIAL_RANGE = 16, 219  # of ITU-R BT.601


def convert_to_gray(
    samples: Samples, photometric: str, palette: Callable[[], tuple[int, Colours]]
) -> tuple[GrayImage, Colours | None]:
    """Return gray values, (h, w), uint8, and the colours that they are of.

    The samples, (h, w) or (h, w, 3), are what DICOM's word says in the order of the file. A palette
    gives the first value that is mapped, and the colours, shape (n, 3), red first. Returned are
    every `EVERY`-th pixel's red, green and blue, uint8, for `is_coloured`; None of gray images.

    Raises ImageDecodeError if they cannot be what the file says.
    """
    if samples.ndim == 2 and photometric == "PALETTE COLOR":
        first, colours = palette()
        places = np.clip(samples.astype(np.int32) - first, 0, len(colours) - 1)
        return _to_luma(colours[np.newaxis])[0][places], colours[places[::EVERY, ::EVERY]]
    if samples.ndim == 2:
        gray = to_8_bit(samples)
        return np.invert(gray) if photometric == "MONOCHROME1" else gray, None
    if photometric.startswith("YBR") and photometric not in ("YBR_ICT", "YBR_RCT"):
        if samples.dtype != np.uint8:
            raise ImageDecodeError(f"{photometric} of more than 8 bits is not read")
        luma = samples[..., 0].astype(np.uint8)
        if photometric.startswith("YBR_PARTIAL"):
            spread = (luma.astype(np.float32) - _PARTIAL_BLACK) * (255 / _PARTIAL_RANGE)
            luma = np.clip(np.round(spread), 0, 255).astype(np.uint8)
        return luma, _approximate_colours(samples[::EVERY, ::EVERY].astype(np.uint8))
    rgb = to_8_bit(samples)
    return _to_luma(rgb), rgb[::EVERY, ::EVERY]


def is_coloured(colours: Colours | None, areas: Iterable[Area]) -> bool:
    """Tell whether scans have more colour than tinted B-mode; without areas, the whole image."""
    if colours is None:
        return False
    height, width = (EVERY * side for side in colours.shape[:2])
    n_coloured = n_seen = 0
    for left, top, right, bottom, _ in [*areas] or [Area(0, 0, width, height)]:
        part = colours[top // EVERY : bottom // EVERY, left // EVERY : right // EVERY]
        spread = part.max(axis=2).astype(np.int16) - part.min(axis=2)
        n_coloured += int(np.count_nonzero(spread > _COLOUR_RANGE))
        n_seen += spread.size
    return n_coloured > _COLOUR_SHARE * n_seen


def _to_luma(rgb: npt.NDArray[np.uint8]) -> GrayImage:
    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def _approximate_colours(samples: Colours) -> Colours:
    """Return how far red and blue lie from gray, and gray between them, as `is_coloured` asks."""
    differences = samples[..., 2:0:-1].astype(np.float32) - _NEUTRAL
    ends = np.clip(_NEUTRAL + differences * (1.402, 1.772), 0, 255)
    neutral = np.full_like(ends[..., :1], _NEUTRAL)
    return np.concatenate([ends, neutral], axis=2).astype(np.uint8)
