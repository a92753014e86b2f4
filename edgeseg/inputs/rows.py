"""CSV tables as people and programs save them: a line of titles, and a row for each image.

A column with another title than those that are known here is ignored.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.system.text import short

MAX_BYTES = 1 << 26  # of a table that is held in memory: a million rows
_START_CHARS = 1 << 16  # of which the titles and the separator are found
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # of Excel and LibreOffice


class Column(NamedTuple):
    """What a column holds.

    ``kind`` is ``name`` of a file, ``size`` of a pixel, ``hc`` (head circumference), ``age``,
    ``unit`` of the sizes, ``width`` or ``height`` of the original image in pixels; empty: unknown.
    """

    kind: str = ""
    axes: str = ""  # Of a size: ``x`` or ``y``, ``yx`` for two numbers as in DICOM; empty for both.
    factor: float = 1.0  # Turns its numbers into mm, or into weeks.


class Row(NamedTuple):
    """One row of a table."""

    where: str  # Its file and line, for messages: ``table.csv, row 7``.
    cells: tuple[str, ...]  # As many as there are titles, without blanks around them.
    # Whether the line has more, such as for decimals after a comma that separates cells.
    has_extra_cells: bool = False


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


def read_rows(
    path: Path,
    what: str,
    on_notice: Callable[[str], None] = lambda text: None,
    *,
    max_bytes: float = MAX_BYTES,
    allow_extra_cells: bool = False,
) -> tuple[tuple[str, ...], Iterator[Row]]:
    """Read a table's titles at once, and its rows one by one; blank lines are left out.

    UTF-8, UTF-16 or Windows-1252, separated by commas, semicolons, tabs or bars: by the one that
    gives most known titles, or that a line ``sep=;`` of Excel's says. ``what`` it should be, such
    as ``a table of ages``, is for messages; ``on_notice`` hears if names may be read wrongly.

    Raises InputNotFoundError if there is no such file; DataError if it cannot be read, is empty or
    of more than ``max_bytes``; from the rows, if one has extra cells.
    """
    lines = _read_lines(path, what, on_notice, max_bytes)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{path}: it is empty; {what} needs a line of titles and a row an image")
    titles, file = tuple(cell.strip() for cell in first[1]), str(path)

    def rows() -> Iterator[Row]:
        n = len(titles)
        for number, line in lines:
            cells, where = [cell.strip() for cell in line], f"{file}, row {number}"
            has_extra_cells = any(cells[n:])
            if has_extra_cells and not allow_extra_cells:
                raise DataError(f"{where}: {len(cells)} cells below {n} titles")
            yield Row(where, (*cells[:n], *[""] * (n - len(cells))), has_extra_cells)

    return titles, rows()


def read_number(text: str, what: str) -> float:
    """Read a number with a decimal point or comma, or raise a DataError of ``what`` it is."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{what} is {short(text)}; expected a number")
    return value


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
    """Return the place of the column of file names, perhaps an index as of pandas, or None."""
    plain = [normalize_title(title) for title in titles]
    if found := [plain.index(name) for name in _NAMES if name in plain]:
        return found[0]
    return 0 if titles and titles[0] in ("", "Unnamed: 0") else None


def _read_lines(
    path: Path, what: str, on_notice: Callable[[str], None], max_bytes: float
) -> Iterator[tuple[int, list[str]]]:
    """Yield each line's number, from 1, and its cells."""
    try:
        if (size_bytes := path.stat().st_size) > max_bytes:
            raise DataError(f"{path}: {size_bytes / 1e6:.0f} MB is too large for {what}")
        encoding = _find_encoding(path)
        if encoding == "cp1252":
            on_notice(f"{path} is not UTF-8: its names were read as Windows-1252")
        errors = "replace" if encoding == "cp1252" else "strict"
        with path.open(encoding=encoding, errors=errors, newline="") as text:
            separator, n_skipped = _find_separator(text.read(_START_CHARS))
            text.seek(0)
            n_before = text.read(n_skipped).count("\n")
            for number, cells in _parse(text, separator):
                yield n_before + number, cells
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such file; {what} was expected") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a CSV") from error
    except (csv.Error, UnicodeError) as error:
        raise DataError(f"{path}: not a readable CSV ({error})") from error


def _find_encoding(path: Path) -> str:
    """Return a table's encoding; a file that is no text is refused."""
    with path.open("rb") as stream:
        start = stream.read(4)
        if start.startswith(_WORKBOOKS):
            raise DataError(f"{path}: this is a workbook, not a CSV; save it as 'CSV UTF-8'")
        for bom, encoding in _BOMS.items():
            if start.startswith(bom):
                return encoding
        stream.seek(0)
        decoder, encoding, block = codecs.getincrementaldecoder("utf-8")(), "utf-8", start
        while block:
            block = stream.read(1 << 20)
            if b"\0" in block:
                raise DataError(f"{path}: not a readable CSV (it holds bytes of 0)")
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError:
                encoding = "cp1252"
        return encoding


def _find_separator(start: str) -> tuple[str, int]:
    """Return what separates the cells, and the length of Excel's line that says so."""
    if found := re.match(r"\s*\"?sep=([,;\t|])\"?[^\S\r\n]*(?:\r\n|\r|\n)", start, re.IGNORECASE):
        return found[1], found.end()

    def count_titles(separator: str) -> tuple[int, int]:
        titles = next(_parse(io.StringIO(start, newline=""), separator), (0, []))[1]
        return sum(bool(read_title(title).kind) for title in titles), len(titles)

    return max(",;\t|", key=count_titles), 0


def _parse(text: TextIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line that is not blank."""
    reader = csv.reader(text, delimiter=separator)
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells
