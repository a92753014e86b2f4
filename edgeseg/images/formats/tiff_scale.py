"""The size of a pixel as ImageJ and OME-TIFF write it into a TIFF's description.

The resolution tags alone are for printers: 72, 96 or 300 dots per inch say nothing of the body.
"""

from __future__ import annotations

import html
import math
import re

from edgeseg.images.frame import PIXEL_SIZE_RANGE_MM, PixelSize

_SOURCE = "tiff"
_MM = {
    "m": 1000.0, "dm": 100.0, "cm": 10.0, "mm": 1.0, "um": 1e-3, "nm": 1e-6, "micron": 1e-3,
    "meter": 1000.0, "centimeter": 10.0, "millimeter": 1.0, "micrometer": 1e-3, "nanometer": 1e-6,
}  # fmt: skip
# Whoever opens a picture in ImageJ and saves it again gets the printer's figure as a calibration.
_PRINTERS_PER_INCH = (72, 96, 150, 300, 600)
_MM_PER_INCH = 25.4
_ROUNDING = 3e-4  # as of 28.35 per centimetre, which is 72 per inch
_IMAGEJ = "ImageJ="
_OME_DEFAULT_UNIT = "um"
_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_ATTRIBUTE = re.compile(r"\b(PhysicalSize[XY](?:Unit)?)\s*=\s*[\"']([^\"']*)[\"']")


def read_pixel_size(description: str, x_per_unit: float, y_per_unit: float) -> PixelSize | None:
    """Return the pixel size that a TIFF is calibrated to; None of others, and of any unit but SI's.

    ImageJ writes pixels per its unit into XResolution and YResolution, ``x_per_unit`` and
    ``y_per_unit``.
    """
    if description.startswith(_IMAGEJ):
        fields = _read_fields(description)
        x_unit = fields.get("unit", "")
        units = [x_unit, fields.get("yunit", x_unit)]
        lengths = [1 / n if n > 0 else math.nan for n in (x_per_unit, y_per_unit)]
    elif pixels := _OME_PIXELS.search(description):
        fields = dict(_ATTRIBUTE.findall(pixels.group()))
        units = [fields.get(f"PhysicalSize{a}Unit", _OME_DEFAULT_UNIT) for a in "XY"]
        lengths = [_parse_number(fields.get(f"PhysicalSize{a}", "")) for a in "XY"]
    else:
        return None
    x_mm, y_mm = (
        length * _MM.get(_normalise_unit(unit), math.nan)
        for length, unit in zip(lengths, units, strict=True)
    )
    low, high = PIXEL_SIZE_RANGE_MM
    if not (low <= x_mm <= high and low <= y_mm <= high):
        return None
    if any(abs(x_mm * n / _MM_PER_INCH - 1) < _ROUNDING for n in _PRINTERS_PER_INCH):
        return None
    return PixelSize(_round(x_mm), _round(y_mm), _SOURCE)


def count_images(description: str) -> int:
    """Return how many images ImageJ says the file holds; 1 of other files."""
    fields = _read_fields(description) if description.startswith(_IMAGEJ) else {}
    count = fields.get("images", "")
    return int(count) if count.isdecimal() else 1


def _read_fields(description: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in description.splitlines() if "=" in line)


def _normalise_unit(unit: str) -> str:
    """Return a unit in ASCII: the micro sign has two code points, and ImageJ escapes it."""
    unit = html.unescape(unit).replace("\\u00B5", "u").replace("\\u00b5", "u")
    unit = unit.strip().replace("\u00b5", "u").replace("\u03bc", "u").lower()
    return unit.removesuffix("s").replace("metre", "meter") if len(unit) > 2 else unit


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _round(length_mm: float) -> float:
    """Drop the digits that a reciprocal adds: a fraction in the file has nine good ones."""
    return float(f"{length_mm:.9g}")
