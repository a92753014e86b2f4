"""Tables of pixel sizes, with head circumferences and sides of the original image if they say so.

Columns are found by their titles, see `edgeseg.inputs.titles`; a table without known ones is
refused. A row that cannot be used says why, and costs its own image alone.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize, as_pixel_size
from edgeseg.inputs.rows import MAX_BYTES, Row, read_number, read_rows
from edgeseg.inputs.titles import EXPECTED, Column, find_name_column, read_title
from edgeseg.system.text import cut, short

_SAME = 1e-3  # relative; two columns that say one size may be rounded
_LARGEST = 1e9  # of a circumference or side; what is larger is none
_NO_VALUE = frozenset({
    "", "na", "n/a", "n.a.", "<na>", "nan", "none", "null", "unknown", "missing", "unbekannt",
    "k.a.", "-", "--", "\u2013", "\u2014", "?", "#n/a", "#nv",
})  # fmt: skip


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


def read_lengths(text: str, what: str, *, is_pair: bool = False) -> list[float]:
    r"""Read a cell of one number, or of two as DICOM has them, ``0.2\0.1`` or ``[0.2, 0.1]``.

    ``is_pair``: whether a list in brackets is such a pair; ``what`` names the cell in messages.

    Raises
    ------
    DataError
        If it is neither.
    """
    listed = text.strip("[]() ")
    separator = "," if is_pair and listed != text else "\\"
    parts = listed.split(separator, 2)
    if len(parts) > 2:
        raise DataError(f"{what} is {short(text)}; expected a number")
    return [read_number(part.strip("' "), what) for part in parts]


class _Columns:
    """Which column of a table holds what."""

    def __init__(self, path: Path, titles: tuple[str, ...]) -> None:
        self._titles = [cut(title) for title in titles]
        self._read = [read_title(title) for title in titles]
        self._sizes = [i for i, column in enumerate(self._read) if column.kind == "size"]
        axes = {self._read[i].axes for i in self._sizes}
        name = find_name_column(titles)
        if name is None or not (axes & {"", "yx"} or axes == {"x", "y"}):
            found = cut(", ".join(self._titles))
            raise DataError(f"{path}: a table of pixel sizes needs {EXPECTED}; found {found!r}")
        for title, column in zip(self._titles, self._read, strict=True):
            if column.kind == "unit":
                raise DataError(
                    f"{path}: the column {title!r} is not read; give the unit in the title of the "
                    "sizes, such as 'pixel size (cm)', and leave that column out"
                )
        self.name = name

    def titles_not_in_mm(self) -> list[str]:
        return [self._titles[i] for i in self._sizes if self._read[i].factor != 1]

    def read(self, row: Row, name: str) -> TableRow:
        """Read one row; what is wrong with its size becomes its reason."""
        width, height = self._number(row.cells, "width"), self._number(row.cells, "height")
        sides_px = (int(width), int(height)) if width and height else None
        hc_mm = self._number(row.cells, "hc")
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
            title = self._titles[i]
            for axis, mm in _lengths_by_axis(cells[i], self._read[i], title).items():
                other, known_mm = sides.setdefault(axis, (title, mm))
                if not math.isclose(mm, known_mm, rel_tol=_SAME):
                    raise DataError(
                        f"{other!r} says {known_mm:g} mm and {title!r} {mm:g} mm; keep the column "
                        "that is right"
                    )
        if len(sides) < 2:
            return None
        return as_pixel_size((sides["x"][1], sides["y"][1]), "table")

    def _number(self, cells: tuple[str, ...], kind: str) -> float | None:
        """Return the positive number in the column of a kind, if there is one."""
        for cell, column in zip(cells, self._read, strict=True):
            if column.kind == kind:
                with contextlib.suppress(DataError):
                    if 0 < (value := read_number(cell, kind) * column.factor) < _LARGEST:
                        return value
        return None


def _lengths_by_axis(cell: str, column: Column, title: str) -> dict[str, float]:
    """Return what one column says of a pixel: axis -> millimetres."""
    if not has_value(cell):
        return {}
    values = read_lengths(cell, title, is_pair=column.axes == "yx")
    values = [value * column.factor for value in values]
    is_side = column.axes in ("x", "y")
    if len(values) == 1:
        return dict.fromkeys(column.axes if is_side else "xy", values[0])
    if is_side:
        raise DataError(f"{title} is {short(cell)}; expected one number")
    return dict(zip("yx", values, strict=True))
