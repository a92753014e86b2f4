"""Tables of pixel sizes, with head circumferences and sides of the original image if they say so.

Columns are found by their titles, see `edgeseg.inputs.rows`; a table without known ones is
refused. A row that cannot be used says why, and costs its own image alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize, as_pixel_size
from edgeseg.inputs.rows import (
    EXPECTED,
    MAX_BYTES,
    Column,
    Row,
    find_name_column,
    read_number,
    read_rows,
    read_title,
)
from edgeseg.system.text import cut, short

_SAME = 1e-3  # relative; two columns that say one size may be rounded
_LARGEST = 1e9  # of a circumference or side; what is larger is none
_NO_VALUE = frozenset({
    "", "na", "n/a", "n.a.", "<na>", "nan", "none", "null", "unknown", "missing", "unbekannt",
    "k.a.", "-", "--", "\u2013", "\u2014", "?", "#n/a", "#nv",
})  # fmt: skip


class TableRow(NamedTuple):
    """One row of a table; None is what the table does not give."""

    pixel_size: PixelSize | None
    hc_mm: float | None = None  # Head circumference.
    sides_px: tuple[int, int] | None = None  # (width, height) of the image of these pixels.
    reason: str = ""  # Why a size that is there cannot be used.

    def is_of(self, size: tuple[int, ...]) -> bool:
        """Return whether an image of (height, width) can be the one that the size belongs to."""
        if self.sides_px is None or self.pixel_size is None:
            return True
        sides = (size[1], size[0])
        is_square = self.pixel_size.x_mm == self.pixel_size.y_mm
        return sides == self.sides_px or (is_square and sides == self.sides_px[::-1])

    def square_mm(self) -> float | None:
        """Return the side of a square pixel, None if unknown; raise a DataError of others."""
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
    """Read a table of pixel sizes: file name -> row, in the order of the file.

    It is a CSV with a line of titles, in any order of columns: file names; pixel sizes, in mm if
    their title does not say cm or µm, in one column or two, or as DICOM's ``PixelSpacing`` (down,
    across); perhaps the head circumference, and the width and height in pixels of the image that
    the size belongs to. ``on_notice`` is called with sentences on what was understood. See
    `merge_rows` for names that are repeated.

    Raises InputNotFoundError if there is no such file; DataError if it is not such a table, or no
    row gives a size that can be one.
    """
    table: dict[str, TableRow] = {}
    for name, row in read_table_rows(path, on_notice, max_bytes=MAX_BYTES):
        table[name] = merge_rows(name, table[name], row) if name in table else row
    wrong = [row.reason for row in table.values() if row.reason]
    if wrong and not any(row.pixel_size for row in table.values()):
        raise DataError(wrong[0])
    return table


def read_table_rows(
    path: Path, on_notice: Callable[[str], None] = lambda text: None, *, max_bytes: float = math.inf
) -> Iterator[tuple[str, TableRow]]:
    """Yield name and row, one by one, of a table that may be larger than the memory.

    What `read_table` raises of the file and its titles comes with the first row. A name may come
    again: then `merge_rows` tells what holds of it.
    """
    titles, rows = read_rows(
        path, "a table of pixel sizes", on_notice, max_bytes=max_bytes, allow_extra_cells=True
    )
    columns = _Columns(path, titles)
    if columns.converted:
        on_notice(f"{path}: {cut(', '.join(map(repr, columns.converted)))} was converted to mm")
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


class _Columns:
    """Which column of a table holds what; ``converted`` are the titles of sizes not in mm."""

    def __init__(self, path: Path, titles: tuple[str, ...]) -> None:
        # by kind: place, title and column
        self._known: defaultdict[str, list[tuple[int, str, Column]]] = defaultdict(list)
        for i, title in enumerate(titles):
            column = read_title(title)
            self._known[column.kind].append((i, cut(title), column))
        axes = {column.axes for _, _, column in self._known["size"]}
        name = find_name_column(titles)
        if name is None or not (axes & {"", "yx"} or axes == {"x", "y"}):
            found = cut(", ".join(map(cut, titles)))
            raise DataError(f"{path}: a table of pixel sizes needs {EXPECTED}; found {found!r}")
        for _, title, _ in self._known["unit"]:
            raise DataError(
                f"{path}: the column {title!r} is not read; give the unit in the title of the "
                "sizes, such as 'pixel size (cm)', and leave that column out"
            )
        self.name = name
        self.converted = [title for _, title, column in self._known["size"] if column.factor != 1]

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
        for i, title, column in self._known["size"]:
            for axis, mm in _read_lengths(cells[i], column, title):
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
        for i, _, column in self._known[kind]:
            try:
                value = read_number(cells[i], kind) * column.factor
            except DataError:
                continue
            if 0 < value < _LARGEST:
                return value
        return None


def _read_lengths(cell: str, column: Column, title: str) -> list[tuple[str, float]]:
    r"""Return what one column says of a pixel: axes and millimetres.

    A cell holds one number, or two as DICOM has them: ``0.2\0.1``, or of DICOM's own column
    ``[0.2, 0.1]``.
    """
    if not has_value(cell):
        return []
    listed = cell.strip("[]() ")
    parts = listed.split("," if column.axes == "yx" and listed != cell else "\\")
    is_side = column.axes in ("x", "y")
    if len(parts) > (1 if is_side else 2):
        raise DataError(f"{title} is {short(cell)}; expected a number")
    lengths = [read_number(part.strip("' "), title) * column.factor for part in parts]
    axes = column.axes if is_side else "yx"
    return [*zip(axes, lengths * (len(axes) // len(lengths)), strict=True)]
