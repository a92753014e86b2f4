"""The size of a pixel as ImageJ and OME-TIFF write it into a TIFF's description.

The resolution tags alone are for printers: 72, 96 or 300 dots per inch say nothing of the body.
"""

from __future__ import annotations

import contextlib
import html
import math
import re

from edgeseg.images.frame import PIXEL_SIZE_RANGE_MM, PixelSize

_MM = {
    "m": 1000.0, "dm": 100.0, "cm": 10.0, "mm": 1.0, "um": 1e-3, "nm": 1e-6, "micron": 1e-3,
    "meter": 1000.0, "centimeter": 10.0, "millimeter": 1.0, "micrometer": 1e-3, "nanometer": 1e-6,
}  # fmt: skip
# Whoever opens a picture in ImageJ and saves it again gets the printer's figure as a calibration.
_PRINTERS_PER_INCH = (72, 96, 150, 300, 600)
_MM_PER_INCH = 25.4
_ROUNDING = 3e-4  # as of 28.35 per centimetre, which is 72 per inch
_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_ATTRIBUTE = re.compile(r"\b(PhysicalSize[XY](?:Unit)?)\s*=\s*[\"']([^\"']*)[\"']")


def read_pixel_size(description: str, x_per_unit: float, y_per_unit: float) -> PixelSize | None:
    """Return the calibrated pixel size, if any; ImageJ writes pixels per unit into XResolution."""
    lengths = [math.nan, math.nan]
    if fields := _read_imagej(description):
        x_unit = fields.get("unit", "")
        units = [x_unit, fields.get("yunit", x_unit)]
        lengths = [1 / n if n > 0 else math.nan for n in (x_per_unit, y_per_unit)]
    elif pixels := _OME_PIXELS.search(description):
        fields = dict(_ATTRIBUTE.findall(pixels.group()))
        units = [fields.get(f"PhysicalSize{axis}Unit", "um") for axis in "XY"]
        with contextlib.suppress(ValueError):
            lengths = [float(fields.get(f"PhysicalSize{axis}", "")) for axis in "XY"]
    else:
        return None
    # a reciprocal adds digits: a fraction in the file has nine good ones
    x_mm, y_mm = (
        float(f"{length * _MM.get(_normalise_unit(unit), math.nan):.9g}")
        for length, unit in zip(lengths, units, strict=True)
    )
    low, high = PIXEL_SIZE_RANGE_MM
    if not (low <= x_mm <= high and low <= y_mm <= high):
        return None
    if any(abs(x_mm * n / _MM_PER_INCH - 1) < _ROUNDING for n in _PRINTERS_PER_INCH):
        return None
    return PixelSize(x_mm, y_mm, "tiff")


def count_images(description: str) -> int:
    """Return how many images ImageJ says the file holds; 1 of other files."""
    count = _read_imagej(description).get("images", "")
    return int(count) if count.isdecimal() else 1


def _read_imagej(description: str) -> dict[str, str]:
    """Return the fields of ImageJ's description; none of another."""
    lines = description.splitlines() if description.startswith("ImageJ=") else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _normalise_unit(unit: str) -> str:
    """Return a unit in ASCII: the micro sign has two code points, and ImageJ escapes it."""
    unit = re.sub(r"\\u00[bB]5|[\u00b5\u03bc]", "u", html.unescape(unit)).strip().lower()
    return unit.removesuffix("s").replace("metre", "meter") if len(unit) > 2 else unit
