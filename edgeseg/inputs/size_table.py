"""Tables of pixel sizes, with head circumferences and sides of the original image if they say so.

Columns are found by their titles, see `edgeseg.inputs.titles`; a table without known ones is
refused. A row that cannot be used says why, and costs its own image alone.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize, as_pixel_size
from edgeseg.inputs.rows import MAX_BYTES, Row, find_name_column, read_rows
from edgeseg.inputs.titles import EXPECTED, MM_PER_UNIT, Column, read_title
from edgeseg.system.text import cut, short

_SAME = 1e-3  # relative; two columns that say one size may be rounded
_NO_VALUE = frozenset({
    "", "na", "n/a", "n.a.", "<na>", "nan", "none", "null", "unknown", "missing", "unbekannt",
    "k.a.", "-", "--", "\u2013", "\u2014", "?", "#n/a", "#nv", "#value!", "#wert!", "#ref!",
    "#div/0!", "#num!",
})  # fmt: skip
_LONGEST_CELL = 100  # characters; patterns take long over what is longer and no number either
_NUMBER = r"([+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:e[+-]?\d+)?)"
_UNIT = rf"({'|'.join(MM_PER_UNIT)})?"
_USUAL = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
_CELL = re.compile(
    rf"{_NUMBER}\s*{_UNIT}(?:(\s*[\\x;|*]\s*|,\s+|,|\s+){_NUMBER}\s*{_UNIT})?"
    r"(?:\s*(?:/|per)\s*(?:px|pixels?))?"
)


class TableRow(NamedTuple):
    """One row of a table.

    Attributes
    ----------
    pixel_size
        None if the table gives none.
    hc_mm
        Head circumference; None if the table gives none.
    sides_px
        (width, height) of the image whose pixels these are, if the table says so.
    reason
        Why a size that is there cannot be used.
    """

    pixel_size: PixelSize | None
    hc_mm: float | None = None
    sides_px: tuple[int, int] | None = None
    reason: str = ""

    def is_of(self, size: tuple[int, ...]) -> bool:
        """Return whether an image of (height, width) can be the one that the size belongs to."""
        if self.sides_px is None or self.pixel_size is None:
            return True
        sides = (size[1], size[0])
        is_square = self.pixel_size.x_mm == self.pixel_size.y_mm
        return sides == self.sides_px or (is_square and sides == self.sides_px[::-1])

    def square_mm(self) -> float | None:
        """Return the side of a square pixel; None if the table gives no size.

        Raises
        ------
        DataError
            If its size cannot be used, or is not square.
        """
        if self.reason:
            raise DataError(self.reason)
        if self.pixel_size is None:
            return None
        x_mm, y_mm, _ = self.pixel_size
        if x_mm != y_mm:
            raise DataError(f"pixels of {x_mm:g} by {y_mm:g} mm are not square; resample the image")
        return x_mm


def read_table(
    path: Path, on_notice: Callable[[str], None] = lambda text: None
) -> dict[str, TableRow]:
    """Read a table of pixel sizes.

    Parameters
    ----------
    path
        CSV with a line of titles, in any order of columns: file names; pixel sizes, in mm if their
        title does not say cm or µm, in one column or two, or as DICOM's ``PixelSpacing`` (down,
        across); perhaps the head circumference, and the width and height in pixels of the image
        that the size belongs to.
    on_notice
        Called with sentences on what was understood.

    Returns
    -------
    dict
        File name -> row, in the order of the file; see `merge_rows` for names that are repeated.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    DataError
        If it is not such a table, or no row gives a size that can be one.
    """
    table: dict[str, TableRow] = {}
    for name, row in read_table_rows(path, on_notice, max_bytes=MAX_BYTES):
        table[name] = merge_rows(name, table[name], row) if name in table else row
    wrong = [row.reason for row in table.values() if row.reason]
    if wrong and not any(row.pixel_size for row in table.values()):
        raise DataError(wrong[0])
    return table


def read_table_rows(
    path: Path,
    on_notice: Callable[[str], None] = lambda text: None,
    *,
    max_bytes: float = math.inf,
) -> Iterator[tuple[str, TableRow]]:
    """Yield name and row, one by one, of a table that may be larger than the memory.

    What `read_table` raises of the file and its titles comes with the first row. A name may come
    again: then `merge_rows` tells what holds of it.
    """
    titles, rows = read_rows(
        path, "a table of pixel sizes", on_notice, max_bytes=max_bytes, allow_extra_cells=True
    )
    columns = _Columns(path, titles)
    if other := columns.titles_not_in_mm():
        on_notice(f"{path}: {cut(', '.join(map(repr, other)))} was converted to mm")
    for row in rows:
        if name := row.cells[columns.name]:
            yield name, columns.read(row, name)


def merge_rows(name: str, earlier: TableRow, later: TableRow) -> TableRow:
    """Return what holds of an image that has a second row.

    Rows of different sizes cost the image its size; of two observers' circumferences neither is
    the reference.
    """
    if (earlier.pixel_size, earlier.sides_px) != (later.pixel_size, later.sides_px):
        reason = f"the pixel-size table has {cut(name)!r} twice, and the rows differ; keep one"
        return TableRow(None, reason=earlier.reason or reason)
    return earlier if earlier.hc_mm == later.hc_mm else earlier._replace(hc_mm=None)


def has_value(cell: str) -> bool:
    """Return whether a cell holds anything but a way to say that there is no figure."""
    return cell.strip().casefold() not in _NO_VALUE


def read_lengths(text: str, mm: float = 1.0) -> tuple[list[float], str] | None:
    """Read a cell of one number or two, with decimal points or commas, perhaps with a unit.

    Parameters
    ----------
    text
        Such as ``0.12``, ``0,12``, ``0.12 mm``, ``0.12x0.11`` or ``[0.2, 0.1]``.
    mm
        Millimetres in the unit of a number that has none of its own.

    Returns
    -------
    (list of float, str) or None
        Millimetres, and the sign between two numbers; None if it is neither.
    """
    if len(text) > _LONGEST_CELL:
        return None
    if _USUAL.fullmatch(text):
        return [float(text.replace(",", ".")) * mm], ""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u00d7", "x")
    found = _CELL.fullmatch(re.sub(r"[\[\](){}'\"]", "", plain).strip())
    if found is None:
        return None
    first, unit, between, second, last_unit = found.groups()
    if second is None:
        return [_to_mm(first, unit, mm)], ""
    if between == "," and not ("." in first and "." in second):
        return None  # it may separate thousands, decimals or numbers
    values = (first, unit or last_unit), (second, last_unit or unit)
    return [_to_mm(*value, mm) for value in values], between.strip()


def _to_mm(number: str, unit: str | None, mm: float) -> float:
    return float(number.replace(",", ".")) * (MM_PER_UNIT[unit] if unit else mm)


class _Columns:
    """Which column of a table holds what."""

    def __init__(self, path: Path, titles: tuple[str, ...]) -> None:
        self._titles = [cut(title) for title in titles]
        self._read = [read_title(title) for title in titles]
        self._sizes = [i for i, column in enumerate(self._read) if column.kind == "size"]
        axes = {self._read[i].axes for i in self._sizes}
        name = find_name_column(titles)
        if name is None or not (axes & {"", "xy", "yx"} or axes == {"x", "y"}):
            found = cut(", ".join(self._titles))
            raise DataError(f"{path}: a table of pixel sizes needs {EXPECTED}; found {found!r}")
        self.name = name

    def titles_not_in_mm(self) -> list[str]:
        return [self._titles[i] for i in self._sizes if self._read[i].factor != 1]

    def read(self, row: Row, name: str) -> TableRow:
        """Read one row; what is wrong with its size becomes its reason."""
        hc_mm, sides_px = self._number(row.cells, "hc"), self._sides(row.cells)
        try:
            if row.has_extra_cells:
                raise DataError(
                    "it has more cells than there are titles; write decimals with a point, or the "
                    "number in quotes"
                )
            return TableRow(self._size(row.cells), hc_mm, sides_px)
        except DataError as error:
            return TableRow(None, hc_mm, sides_px, f"{row.where} ({cut(name)!r}): {error}")

    def _size(self, cells: tuple[str, ...]) -> PixelSize | None:
        sides: dict[str, tuple[str, float]] = {}  # by axis: its title, and millimetres
        for i in self._sizes:
            for axis, mm in self._lengths(cells, i).items():
                title, known_mm = sides.setdefault(axis, (self._titles[i], mm))
                if not math.isclose(mm, known_mm, rel_tol=_SAME):
                    raise DataError(
                        f"{title!r} says {known_mm:g} mm and {self._titles[i]!r} {mm:g} mm; keep "
                        "the column that is right"
                    )
        if len(sides) < 2:
            return None
        return as_pixel_size((sides["x"][1], sides["y"][1]), "table")

    def _lengths(self, cells: tuple[str, ...], i: int) -> dict[str, float]:
        """Return what one column says of a pixel: axis -> millimetres."""
        text, column = cells[i], self._read[i]
        if not has_value(text):
            return {}
        lengths = read_lengths(text, self._factor(cells, column))
        what = f"{self._titles[i] or 'pixel size'} is {short(text)}"
        if lengths is None:
            raise DataError(f"{what}; expected a positive number of mm")
        values, between = lengths
        if len(values) == 1:
            return dict.fromkeys(column.axes if len(column.axes) == 1 else "xy", values[0])
        # a backslash is DICOM's, which gives the distance of rows, y, first
        axes = "yx" if between == "\\" else column.axes or ("xy" if between == "x" else "")
        if values[0] != values[1] and (len(axes) < 2 or (axes, between) == ("yx", "x")):
            raise DataError(
                f"{what}: which of the two is across is not clear; give 'pixel size x (mm)' and "
                "'pixel size y (mm)'"
            )
        return dict(zip(axes if len(axes) == 2 else "xy", values, strict=True))

    def _factor(self, cells: tuple[str, ...], column: Column) -> float:
        """Return millimetres in a row's unit: that of a column of units, or its title's."""
        for text in (cells[i] for i, other in enumerate(self._read) if other.kind == "unit"):
            if not has_value(text):
                continue
            unit = unicodedata.normalize("NFKC", text).casefold()
            if unit not in MM_PER_UNIT:
                raise DataError(f"the unit is {short(text)}; expected {', '.join(MM_PER_UNIT)}")
            return MM_PER_UNIT[unit]
        return column.factor

    def _sides(self, cells: tuple[str, ...]) -> tuple[int, int] | None:
        width, height = self._number(cells, "width"), self._number(cells, "height")
        if width and height:
            return int(width), int(height)
        for i, column in enumerate(self._read):
            if column.kind == "sides" and (found := read_lengths(cells[i])):
                first, second = (*found[0], math.inf)[:2]
                if max(first, second) < math.inf:
                    sides = int(first), int(second)
                    return sides if column.axes == "xy" else sides[::-1]
        return None

    def _number(self, cells: tuple[str, ...], kind: str) -> float | None:
        """Return the positive number in the column of a kind, if there is one."""
        for i, column in enumerate(self._read):
            if column.kind != kind or not (found := read_lengths(cells[i], column.factor)):
                continue
            if len(found[0]) == 1 and 0 < found[0][0] < math.inf:
                return found[0][0]
        return None
