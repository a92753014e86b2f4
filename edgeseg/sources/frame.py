"""One image as everything after it sees it: gray pixels, their size, a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError
from edgeseg.sources.calibration import Calibration

GrayImage = npt.NDArray[np.uint8]

MIN_SIDE_PX = 32
_NUMBERS = (int, float, np.integer, np.floating)
PIXEL_SIZE_RANGE_MM = (0.001, 10.0)
"""No image of a body has pixels smaller or larger than this: such a figure has another unit."""
GIVEN = ("option", "table")
"""Where a pixel size comes from that a user gives; any other is what the file itself says."""


class PixelSize(NamedTuple):
    """Millimetres per pixel.

    Attributes
    ----------
    x_mm, y_mm
        Across and down.
    source
        Where it comes from: ``option``, ``table``, or the kind of file that says it.
    """

    x_mm: float
    y_mm: float
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image to measure, and what is known of it.

    Attributes
    ----------
    pixels
        Shape (height, width), uint8.
    pixel_size
        None if unknown.
    name
        What results call it; may be empty.
    ga_weeks
        Gestational age, known otherwise than by this image; None if unknown.
    calibration
        How the site it comes from measures; None takes the model's own outline.
    """

    pixels: GrayImage
    pixel_size: PixelSize | None = None
    name: str = ""
    ga_weeks: float | None = None
    calibration: Calibration | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


def as_pixel_size(
    value: float | Sequence[float] | PixelSize | None, source: str = "option"
) -> PixelSize | None:
    """Return a pixel size given as one number, as (x, y), or as it is; None is an unknown size.

    Raises
    ------
    DataError
        If it is neither, or cannot be one (see `check_pixel_size`).
    """
    if value is None or isinstance(value, PixelSize):
        return value
    sides_mm = [value, value] if isinstance(value, _NUMBERS) else [*value]
    if len(sides_mm) != 2 or not all(isinstance(side, _NUMBERS) for side in sides_mm):
        raise DataError(f"pixel size is {value!r}; expected mm, one number or (x, y)")
    for side_mm in sides_mm:
        check_pixel_size(side_mm)
    return PixelSize(float(sides_mm[0]), float(sides_mm[1]), source)


def check_pixel_size(pixel_size_mm: float | None, where: str = "") -> None:
    """Refuse what cannot be an image's millimetres per pixel; None is an unknown size.

    Raises
    ------
    DataError
        If it lies outside ``PIXEL_SIZE_RANGE_MM``; the text begins with ``where``.
    """
    low, high = PIXEL_SIZE_RANGE_MM
    if pixel_size_mm is not None and not low <= pixel_size_mm <= high:
        raise DataError(
            f"{where}pixel size is {pixel_size_mm:g}; expected a positive number of mm from "
            f"{low:g} to {high:g}"
        )
