"""The column titles of tables that are read; a column with any other title is ignored."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Column(NamedTuple):
    """What a column holds.

    Attributes
    ----------
    kind
        ``name`` of a file, ``size`` of a pixel, ``hc`` (head circumference), ``age``, ``unit`` of
        the sizes, ``width`` or ``height`` of the original image in pixels; empty: unknown.
    axes
        Of a size: ``x`` or ``y`` alone, ``yx`` for two numbers as in DICOM; empty for both.
    factor
        Turns its numbers into mm, or into weeks.
    rank
        Of names: the lower, the surer.
    """

    kind: str = ""
    axes: str = ""
    factor: float = 1.0
    rank: int = 0


EXPECTED = (
    "a column of files ('filename', 'file', 'path', 'image', 'name', 'id', 'Dateiname', 'Datei' or "
    "'Bild') and of sizes ('pixel size (mm)', 'spacing (mm)', 'PixelSpacing', 'mm per pixel' or "
    "'Pixelgröße (mm)', or 'pixel size x (mm)' and 'pixel size y (mm)'; cm and µm likewise)"
)
"""The titles of a table of pixel sizes, for the message that refuses another one."""

_MM_PER_UNIT = {"": 1.0, "mm": 1.0, "cm": 10.0, "um": 1e-3, "\u03bcm": 1e-3}  # NFKC's micro sign
_NAMES = (
    "filename", "file", "filenames", "files", "dateiname", "datei", "filepath", "path", "pfad",
    "imagepath", "imagefile", "imagename", "image", "images", "bilddatei", "bildname", "bild",
    "img", "scan", "name", "imageid", "id",
)  # fmt: skip
_SIZES = "pixelsize", "pxsize", "spacing", "pixelpitch", "pixelgrösse", "pixelgroesse"
_IN_DICOM = "pixelspacing", "imagerpixelspacing"  # the distance of rows, y, comes first
_IN_WEEKS = "", "weeks", "wks", "w", "inweeks", "weeksdays", "weeksanddays", "given", "weeksgiven"
_IN_DAYS = "days", "d", "indays"


def normalize_title(title: str) -> str:
    """Return a title's letters and digits in lower case: ``pixelsizemm`` of `Pixel Size [mm]`."""
    plain = unicodedata.normalize("NFKC", title[:300]).casefold()
    return "".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFC", plain)))


def read_title(title: str) -> Column:
    """Return what the column with this title holds."""
    return _KNOWN.get(normalize_title(title), Column())


def find_name_column(titles: Sequence[str]) -> int | None:
    """Return the place of the column of file names, or None.

    Without a known title it is a first column that has none, as pandas writes an index of names.
    """
    columns = [(column, i) for i, column in enumerate(map(read_title, titles))]
    if ranks := [(column.rank, i) for column, i in columns if column.kind == "name"]:
        return min(ranks)[1]
    return 0 if titles and titles[0] in ("", "Unnamed: 0") else None


def _known_titles() -> Iterator[tuple[Iterable[str], Column]]:
    for rank, name in enumerate(_NAMES):
        yield (name,), Column("name", rank=rank)
    for unit, mm in _MM_PER_UNIT.items():
        yield (base + unit for base in _SIZES), Column("size", "", mm)
        yield (base + unit for base in _IN_DICOM), Column("size", "yx", mm)
        for base in (*_SIZES, *_IN_DICOM):
            for axis in "xy":
                titles = base + axis + unit, base + unit + axis, axis + base + unit
                yield titles, Column("size", axis, mm)
        yield (f"columnspacing{unit}",), Column("size", "x", mm)
        yield (f"rowspacing{unit}",), Column("size", "y", mm)
        if unit:
            per_pixel = (unit + per + px for per in ("", "per", "pro") for px in ("px", "pixel"))
            yield per_pixel, Column("size", "", mm)
        circumferences = "headcircumference", "hc", "kopfumfang", "hcreference"
        yield (base + unit for base in circumferences), Column("hc", factor=mm)
    for axis in "xy":
        yield (f"physicaldelta{axis}",), Column("size", axis, _MM_PER_UNIT["cm"])
    for of in ("", "image", "original"):
        for unit in ("", "px", "pixels"):
            yield (f"{of}width{unit}",), Column("width")
            yield (f"{of}height{unit}",), Column("height")
    yield ("columns",), Column("width")
    yield ("rows",), Column("height")
    yield ("unit", "units", "pixelsizeunit", "spacingunit", "einheit"), Column("unit")
    for base in ("ga", "gestationalage"):
        yield (base + unit for unit in _IN_WEEKS), Column("age")
        yield (base + unit for unit in _IN_DAYS), Column("age", factor=1 / 7)


_KNOWN = {title: column for titles, column in _known_titles() for title in titles}
