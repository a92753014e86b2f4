"""The column titles of tables that are read; a column with any other title is ignored."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple


class Column(NamedTuple):
    """What a column holds.

    ``kind`` is ``name`` of a file, ``size`` of a pixel, ``hc`` (head circumference), ``age``,
    ``unit`` of the sizes, ``width`` or ``height`` of the original image in pixels; empty: unknown.
    """

    kind: str = ""
    axes: str = ""  # Of a size: ``x`` or ``y``, ``yx`` for two numbers as in DICOM; empty for both.
    factor: float = 1.0  # Turns its numbers into mm, or into weeks.


EXPECTED = (
    "a column of files ('filename', 'file', 'path', 'image', 'name', 'id', 'Dateiname', 'Datei' or "
    "'Bild') and of sizes ('pixel size (mm)', 'spacing (mm)', 'PixelSpacing', 'mm per pixel' or "
    "'Pixelgröße (mm)', or 'pixel size x (mm)' and 'pixel size y (mm)'; cm and µm likewise)"
)
"""The titles of a table of pixel sizes, for the message that refuses another one."""

_NAMES = (  # the surest first
    "filename", "file", "filenames", "files", "dateiname", "datei", "filepath", "path", "pfad",
    "imagepath", "imagefile", "imagename", "image", "images", "bilddatei", "bildname", "bild",
    "img", "scan", "name", "imageid", "id",
)  # fmt: skip
_MM_PER_UNIT = {"cm": 10.0, "um": 1e-3, "\u03bcm": 1e-3}  # NFKC's micro sign
_UNIT, _AXIS = "(?P<unit>mm|cm|um|\u03bcm|)", "(?P<axis>[xy])"
_OWN, _DICOM = "(pixelsize|pxsize|spacing|pixelpitch|pixelgr(ö|oe)sse)", "(imager)?pixelspacing"
_SIZE, _AGE = f"({_OWN}|{_DICOM})", "(ga|gestationalage)"
# titles as `normalize_title` returns them; a unit or axis in one beats that of the column
_KNOWN = [
    (column, re.compile(pattern))
    for column, pattern in (
        (Column("name"), "|".join(_NAMES)),
        (Column("size"), _OWN + _UNIT),
        (Column("size", "yx"), _DICOM + _UNIT),  # the distance of rows, y, comes first
        (Column("size"), _SIZE + _AXIS + _UNIT),
        (Column("size"), _SIZE + _UNIT + _AXIS),
        (Column("size"), _AXIS + _SIZE + _UNIT),
        (Column("size", "x"), "columnspacing" + _UNIT),
        (Column("size", "y"), "rowspacing" + _UNIT),
        (Column("size"), "(?P<unit>mm|cm|um|\u03bcm)(per|pro)?(px|pixel)"),
        (Column("size", factor=10.0), "physicaldelta" + _AXIS),
        (Column("hc"), "(headcircumference|hc|kopfumfang|hcreference)" + _UNIT),
        (Column("width"), "(image|original)?width(px|pixels)?|columns"),
        (Column("height"), "(image|original)?height(px|pixels)?|rows"),
        (Column("unit"), "units?|pixelsizeunit|spacingunit|einheit"),
        (Column("age"), f"{_AGE}((in)?weeks|wks|w|weeks(and)?days|(weeks)?given)?"),
        (Column("age", factor=1 / 7), f"{_AGE}(days|d|indays)"),
    )
]


def normalize_title(title: str) -> str:
    """Return a title's letters and digits in lower case: ``pixelsizemm`` of `Pixel Size [mm]`."""
    plain = unicodedata.normalize("NFKC", title[:300]).casefold()
    return "".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFC", plain)))


def read_title(title: str) -> Column:
    """Return what the column with this title holds."""
    plain = normalize_title(title)
    for column, pattern in _KNOWN:
        if found := pattern.fullmatch(plain):
            parts = found.groupdict()
            factor = _MM_PER_UNIT.get(parts.get("unit", ""), column.factor)
            return column._replace(axes=parts.get("axis", column.axes), factor=factor)
    return Column()


def find_name_column(titles: Sequence[str]) -> int | None:
    """Return the place of the column of file names, or None.

    Without a known title it is a first column that has none, as pandas writes an index of names.
    """
    plain = [normalize_title(title) for title in titles]
    if found := [plain.index(name) for name in _NAMES if name in plain]:
        return found[0]
    return 0 if titles and titles[0] in ("", "Unnamed: 0") else None
