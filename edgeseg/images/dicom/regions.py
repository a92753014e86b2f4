"""The regions of an ultrasound machine's screen, and the size of their pixels.

The elements are those of DICOM's Ultrasound Region Calibration module (PS3.3, C.8.5.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgeseg.errors import DataError
from edgeseg.images.frame import MIN_SIDE_PX, Area, PixelSize, as_pixel_size

_TWO_DIMENSIONAL, _TISSUE, _FLOW, _CENTIMETRES = 1, 1, 2, 3  # codes of the standard
_MM_PER_CM = 10
_MOST_SCANS = 8  # are looked at


class Region(NamedTuple):
    """An item of the sequence of ultrasound regions; None is an element that it lacks."""

    spatial_format: int | None  # Codes of the standard.
    data_type: int | None
    x_units: int | None
    y_units: int | None
    x_delta: float | None  # What a pixel measures in those units.
    y_delta: float | None
    left_px: int | None  # First and last column and row.
    top_px: int | None
    right_px: int | None
    bottom_px: int | None

    @property
    def is_tissue(self) -> bool:
        """Whether it is a two-dimensional scan of tissue; what is not said may be one."""
        return self.spatial_format in (_TWO_DIMENSIONAL, None) and self.data_type in (_TISSUE, None)


class Scale(NamedTuple):
    """Where the scans are on a screen, and what their pixels measure."""

    areas: tuple[Area, ...]  # Of the scans of tissue, each with the size of its pixels.
    pixel_size: PixelSize | None  # Of all of them; None if unknown, or not the same in all.
    refused: str  # Why there is none, or none in one of them; empty where all have one.
    is_coloured: bool = False  # Whether the scans are of flow alone.


def read_scale(regions: Sequence[Region], size: tuple[int, int]) -> Scale:
    """Return where the scans lie in an image of (height, width), and their pixels' size.

    A region of tissue counts, in two dimensions and centimetres, without one a region of flow; of
    the others, such as spectra and colours that lie upon tissue, nothing is taken. Where a region
    reaches beyond the image, the image was cut or resized after the machine had written what a
    pixel measures; where none has a place, there is no size.
    """
    if not regions:
        return Scale((), None, "the file does not say what a pixel measures")
    if beyond := next((region for region in regions if _reaches_beyond(region, size)), None):
        edge = f"column {beyond.right_px}, row {beyond.bottom_px}"
        of = f"in an image of {size[1]}x{size[0]}: it was resized or cut after it was scanned"
        return Scale((), None, f"a region of the screen reaches to {edge} {of}")
    tissue = [region for region in regions if region.is_tissue]
    scans = tissue or [region for region in regions if region[:2] == (_TWO_DIMENSIONAL, _FLOW)]
    if not scans:
        return Scale((), None, "the file names no region that is a two-dimensional scan of tissue")
    first = [*dict.fromkeys(scans)][:_MOST_SCANS]
    found = [(region, *_read_pixel_size(region)) for region in first]
    areas = [area for region, mm, _ in found if (area := _read_area(region, mm, size))]
    if not areas:
        return Scale((), None, "the file does not say where on the screen the scan is")
    sizes = [area.pixel_size[:2] for area in areas if area.pixel_size]
    are_alike = len(sizes) == len(areas) and np.allclose(sizes, sizes[0], rtol=1e-4, atol=0)
    refused = next((why for *_, why in found if why), "")
    pixel_size = areas[0].pixel_size if are_alike else None
    return Scale(tuple(areas), pixel_size, refused, not tissue)


def _reaches_beyond(region: Region, size: tuple[int, int]) -> bool:
    """Tell whether a region is not within an image; one column or row too many is a usual slip."""
    left, top, right, bottom = (corner or 0 for corner in region[-4:])
    return min(left, top) < 0 or right > size[1] or bottom > size[0]


def _read_area(region: Region, pixel_size: PixelSize | None, size: tuple[int, int]) -> Area | None:
    """Return a region's rectangle; None where it has none, or one too small for a scan."""
    left, top, right, bottom = region[-4:]
    if left is None or top is None or right is None or bottom is None:
        return None
    area = Area(left, top, min(right + 1, size[1]), min(bottom + 1, size[0]), pixel_size)
    return area if min(area.size) >= MIN_SIDE_PX else None


def _read_pixel_size(region: Region) -> tuple[PixelSize | None, str]:
    """Return what a pixel of a region measures, or why that is not known."""
    if (region.x_units, region.y_units) != (_CENTIMETRES, _CENTIMETRES):
        return None, "the scan's pixels are not given in centimetres"
    sides_mm = [_MM_PER_CM * abs(delta or math.nan) for delta in (region.x_delta, region.y_delta)]
    if not all(map(math.isfinite, sides_mm)):
        return None, "the scan's region does not say what a pixel measures"
    try:
        return as_pixel_size(sides_mm, "dicom"), ""
    except DataError as error:
        return None, str(error)
