"""The column titles of tables that are read; a column with any other title is ignored."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Column(NamedTuple):
    """What a column holds.

    Attributes
    ----------
    kind
        ``name`` of a file, ``size`` of a pixel, ``hc`` (head circumference), ``age``, ``unit`` of
        the sizes, ``width``, ``height`` or ``sides`` of the original image in pixels; empty if
        the title is not known.
    axes
        Of a size or of sides: ``x`` or ``y`` alone, ``xy`` or ``yx`` for two numbers in this
        order; empty if one number is for both.
    factor
        Turns its numbers into mm, or into weeks.
    rank
        Of names: the lower, the surer.
    """

    kind: str = ""
    axes: str = ""
    factor: float = 1.0
    rank: int = 0


MM_PER_UNIT = {"mm": 1.0, "cm": 10.0, "um": 1e-3, "\u03bcm": 1e-3}  # NFKC's micro sign
EXPECTED = (
    "a column of files ('filename', 'file', 'path', 'image', 'name', 'id', 'Dateiname', 'Datei' or "
    "'Bild') and of sizes ('pixel size (mm)', 'spacing (mm)', 'PixelSpacing', 'mm per pixel' or "
    "'Pixelgröße (mm)', or 'pixel size x (mm)' and 'pixel size y (mm)'; cm and µm likewise)"
)
"""The titles of a table of pixel sizes, for the message that refuses another one."""

_NAMES = (
    "filename", "file", "filenames", "files", "dateiname", "datei", "filepath", "path", "pfad",
    "imagepath", "imagefile", "imagename", "image", "images", "bilddatei", "bildname", "bild",
    "img", "scan", "name", "imageid", "id",
)  # fmt: skip
_SIZES = (
    "pixelsize", "pxsize", "spacing", "pixelspacing", "imagerpixelspacing", "pixelpitch",
    "pixelgrösse", "pixelgroesse", "pixelabstand",
)  # fmt: skip
_IN_DICOM = ("pixelspacing", "imagerpixelspacing")  # the distance of rows, y, comes first
_X = ("pixelwidth", "pixelbreite", "dx")  # these need a unit: they may as well count pixels
_Y = ("pixelheight", "pixelhöhe", "pixelhoehe", "dy")
_OF_ORIGINAL = ("", "image", "original", "orig")
_IN_PIXELS = ("", "px", "pixels", "inpixels")
_IN_WEEKS = ("", "weeks", "wks", "w", "inweeks", "weeksdays", "weeksanddays", "given", "weeksgiven")
_IN_DAYS = ("days", "d", "indays")


def normalize_title(title: str) -> str:
    """Return a title's letters and digits in lower case: ``pixelsizemm`` of `Pixel Size [mm]`."""
    plain = unicodedata.normalize("NFKC", title[:300]).casefold()
    return "".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFC", plain)))


def read_title(title: str) -> Column:
    """Return what the column with this title holds."""
    return _KNOWN.get(normalize_title(title), Column())


def _known_titles() -> Iterator[tuple[Iterable[str], Column]]:
    for rank, name in enumerate(_NAMES):
        yield (name,), Column("name", rank=rank)
    for unit, mm in {"": 1.0, **MM_PER_UNIT}.items():
        for base in _SIZES:
            yield (base + unit,), Column("size", "yx" if base in _IN_DICOM else "", mm)
            for axes in ("x", "y", "xy", "yx"):
                titles = (base + axes + unit, base + unit + axes, axes + base + unit)
                yield titles, Column("size", axes, mm)
        yield (f"columnspacing{unit}", f"horizontalpixelspacing{unit}"), Column("size", "x", mm)
        yield (f"rowspacing{unit}", f"verticalpixelspacing{unit}"), Column("size", "y", mm)
        if unit:
            yield (base + unit for base in _X), Column("size", "x", mm)
            yield (base + unit for base in _Y), Column("size", "y", mm)
            per_pixel = (unit + per + px for per in ("", "per", "pro") for px in ("px", "pixel"))
            yield per_pixel, Column("size", "", mm)
        circumferences = "headcircumference", "hc", "kopfumfang", "hcreference"
        yield (base + unit for base in circumferences), Column("hc", factor=mm)
    for axis in "xy":
        yield (f"physicaldelta{axis}",), Column("size", axis, MM_PER_UNIT["cm"])
    for of, pixels in ((of, pixels) for of in _OF_ORIGINAL for pixels in _IN_PIXELS):
        yield (f"{of}width{pixels}",), Column("width")
        yield (f"{of}height{pixels}",), Column("height")
        if of:
            yield (f"{of}size{pixels}", f"{of}dimensions{pixels}"), Column("sides", "xy")
    yield ("columns", "cols", "ncols", "ncolumns"), Column("width")
    yield ("rows", "nrows"), Column("height")
    yield ("shape", "imageshape"), Column("sides", "yx")
    yield ("unit", "units", "pixelsizeunit", "spacingunit", "einheit"), Column("unit")
    for base in ("ga", "gestationalage"):
        yield (base + unit for unit in _IN_WEEKS), Column("age")
        yield (base + unit for unit in _IN_DAYS), Column("age", factor=1 / 7)


_KNOWN = {title: column for titles, column in _known_titles() for title in titles}
