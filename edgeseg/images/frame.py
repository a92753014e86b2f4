"""One image as everything after it sees it: gray pixels, their size, a name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsFloat

import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError, ImageDecodeError

if TYPE_CHECKING:
    from edgeseg.images.calibration import Calibration
    from edgeseg.images.ruler import Ruler

GrayImage = npt.NDArray[np.uint8]

MIN_SIDE_PX = 32
MAX_PIXELS = 50_000_000
"""Larger images are refused before their pixels are allocated."""
PIXEL_SIZE_RANGE_MM = (0.001, 10.0)
"""No image of a body has pixels smaller or larger than this: such a figure has another unit."""
GIVEN = ("option", "table")
"""Where a pixel size comes from that a user gives; any other is what the file itself says."""
RULER = "ruler"
"""Where a pixel size comes from that is read off the ruler in the picture."""


class PixelSize(NamedTuple):
    """Millimetres per pixel, across and down.

    ``source`` says where it comes from, in order of trust: ``option``, ``table``, the kind of file
    that says it, such as ``dicom``, or the ``ruler`` in the picture.
    """

    x_mm: float
    y_mm: float
    source: str

    def text(self) -> str:
        """Return it as people read it, in ASCII: ``0.1242 mm (table)``."""
        sides = f"{self.x_mm:.4g}" if self.x_mm == self.y_mm else f"{self.x_mm:.4g}x{self.y_mm:.4g}"
        return f"{sides} mm ({self.source})"


Size = SupportsFloat | Sequence[SupportsFloat] | PixelSize | None
"""Millimetres per pixel as they may be given: one number of any kind, (x, y), or unknown."""


class Area(NamedTuple):
    """A rectangle of a machine's screen in which a scan lies."""

    left_px: int  # Its first column and row.
    top_px: int
    right_px: int  # The first ones behind it.
    bottom_px: int
    pixel_size: PixelSize | None = None  # Of the scan in it; None if not known or not trusted.

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.bottom_px - self.top_px, self.right_px - self.left_px

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, which an image may be indexed with."""
        return slice(self.top_px, self.bottom_px), slice(self.left_px, self.right_px)


class Screen(NamedTuple):
    """What a machine says of its screen, of which an image is a picture."""

    areas: tuple[Area, ...] = ()  # Where scans of tissue lie; empty if the machine does not say.
    refused: str = ""  # Why the size of the pixels that the machine says is not taken, if so.
    coloured: bool = False  # Whether the scans have more colour than B-mode has.
    may_name_patient: bool = False  # Whether letters that do may stand anywhere in the image.


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image to measure, and what is known of it."""

    pixels: GrayImage  # Shape (height, width).
    pixel_size: PixelSize | None = None  # None if unknown.
    name: str = ""  # What results call it.
    ga_weeks: float | None = None  # Gestational age, known otherwise than by this image.
    calibration: Calibration | None = None  # How its site measures; None: as the model does.
    screen: Screen | None = None  # That it is a picture of; None of scans throughout.
    ruler: Ruler | None = None  # In the picture; None if nobody looked for one.
    time_s: float | None = None  # When its film shows it; None if that is not known.

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def scan(self, area: Area) -> Frame:
        """Return one scan of a screen as an image of its own, without anything around it."""
        assert self.screen is not None, "only a screen has areas"
        own = self.pixel_size
        is_given = own is not None and own.source in GIVEN
        is_only = area.pixel_size is None and own is not None and own.source == RULER
        pixel_size = own if is_given or is_only else area.pixel_size
        screen = self.screen._replace(areas=())
        return replace(self, pixels=self.pixels[area.slices], pixel_size=pixel_size, screen=screen)


def as_pixel_size(value: Size, source: str = "option") -> PixelSize | None:
    """Return a pixel size given as one number, (x, y), or as it is, or raise a DataError."""
    if value is None:
        return None
    if isinstance(value, PixelSize):
        source, value = value.source, value[:2]
    sides_mm = _sides(value)
    if len(sides_mm) != 2:
        raise DataError(
            f"pixel size is {value!r}; expected mm, one number or (x, y), such as 0.12 or "
            "(0.12, 0.11)"
        )
    x_mm, y_mm = sides_mm
    if x_mm != y_mm and type(value).__module__.startswith("pydicom"):
        raise DataError(
            f"pixel size is {value!r}, in DICOM's order: down, then across; expected (x, y): "
            f"({y_mm:g}, {x_mm:g})"
        )
    low, high = PIXEL_SIZE_RANGE_MM
    for side_mm in sides_mm:
        if not low <= side_mm <= high:
            raise DataError(
                f"pixel size is {side_mm:g}; expected a positive number of mm from {low:g} to "
                f"{high:g}"
            )
    return PixelSize(x_mm, y_mm, source)


def parse_pixel_size(text: str) -> float | tuple[float, float]:
    """Read a pixel size, ``0.12``, or across and down, ``0.12x0.11``, or raise a DataError."""
    number = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
    found = re.fullmatch(rf"({number})(?:\s*[xX\u00d7]\s*({number}))?", text.strip())
    if found is None:
        hint = "; decimals follow a point" if "," in text else ""
        raise DataError(
            f"pixel size is {text!r}; expected mm, such as 0.12, or across and down, such as "
            f"0.12x0.11{hint}"
        )
    x, y = found.groups()
    size_mm = float(x) if y is None else (float(x), float(y))
    as_pixel_size(size_mm)
    return size_mm


def _sides(value: Any) -> list[float]:
    """Return the numbers of a pixel size, one number twice; none if it is something else."""
    if isinstance(value, Mapping | Set):  # in no order
        return []
    try:
        # an array without dimensions is one number; those with one can be gone through
        given = [value] * 2 if getattr(value, "ndim", None) == 0 else [*value]
    except TypeError:
        given = [value] * 2
    for side in (value, *given):  # texts would be numbers to `float`, and so would a condition
        kind = getattr(getattr(side, "dtype", None), "kind", "")
        if isinstance(side, str | bytes | bool) or kind in ("U", "S", "b"):
            return []
    try:
        return [float(side) for side in given]
    except (TypeError, ValueError, OverflowError):
        return []


def check_sides(width: int, height: int) -> None:
    """Raise an ImageDecodeError of an image that is too large or too small."""
    if width * height > MAX_PIXELS:
        raise ImageDecodeError(
            f"{width}x{height} pixels is more than the {MAX_PIXELS // 10**6} million allowed; crop "
            "or shrink the image"
        )
    if min(width, height) < MIN_SIDE_PX:
        raise ImageDecodeError(
            f"{width}x{height} pixels is too small; each side needs {MIN_SIDE_PX}"
        )
