"""Pixel sizes, head circumferences and sides of the original image, row by row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize, as_pixel_size
from edgeseg.inputs.size_table.cells import in_order, is_none, read_numbers
from edgeseg.inputs.size_table.titles import Title, read_title
from edgeseg.system.text import cut, short

EXAMPLE = "filename,pixel size(mm),head circumference (mm)"
_SAME = 1e-3  # relative; two columns that say one size may be rounded
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".dcm", ".dicom")


class TableRow(NamedTuple):
    """One row of a table.

    Attributes
    ----------
    pixel_size
        None where the table gives none.
    hc_mm
        Head circumference; None where the table gives none.
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
        """Tell whether an image of a (height, width) may be the one that the size belongs to."""
        if self.sides_px is None or self.pixel_size is None:
            return True
        sides = (size[1], size[0])
        is_square = self.pixel_size.x_mm == self.pixel_size.y_mm
        return sides == self.sides_px or (is_square and sides == self.sides_px[::-1])

    def square_mm(self) -> float | None:
        """Return the side of a square pixel; None where the table gives no size.

        Raises
        ------
        DataError
            If its size cannot be used, or it is no square.
        """
        if self.reason:
            raise DataError(self.reason)
        if self.pixel_size is None:
            return None
        x_mm, y_mm, _ = self.pixel_size
        if x_mm != y_mm:
            raise DataError(f"pixels of {x_mm:g} by {y_mm:g} mm are no squares; resample the image")
        return x_mm


class Columns:
    """Which column of a table holds what.

    Parameters
    ----------
    titles
        The table's first line.
    lines
        The others; where no title is that of file names, they show which column holds them.

    Raises
    ------
    DataError
        If no column holds pixel sizes, or it cannot be told in which unit or direction.
    """

    def __init__(self, titles: Sequence[str], lines: Sequence[Sequence[str]] = ()) -> None:
        self._titles = [cut(title) for title in titles]
        self._read = [read_title(title) for title in titles]
        self._of_kind: dict[str, list[int]] = {}
        for i, title in enumerate(self._read):
            self._of_kind.setdefault(title.kind, []).append(i)
        self.sizes = self._all("size")
        self._check()
        self.name = self._name_column(lines)

    @property
    def not_in_mm(self) -> list[str]:
        """Titles of sizes in another unit."""
        return [self._titles[i] for i in self.sizes if self._read[i].mm != 1]

    def row(self, cells: Sequence[str]) -> TableRow:
        """Read a row.

        Raises
        ------
        DataError
            If two columns contradict each other.
        """
        hc_mm = self._number(cells, "hc")
        try:
            size = self._size(cells)
        except _Unusable as error:
            return TableRow(None, hc_mm, self._sides(cells), str(error))
        return TableRow(size, hc_mm, self._sides(cells))

    def _all(self, kind: str) -> list[int]:
        return self._of_kind.get(kind, [])

    def _check(self) -> None:
        found = cut(",".join(self._titles))
        if not self.sizes and (wrong := self._all("inverse")):
            raise DataError(
                f"the column {self._titles[wrong[0]]!r} counts pixels in a length; expected "
                "the length of a pixel, such as 'pixel size (mm)': write 1 divided by it"
            )
        unclear = [self._titles[i] for i in self._all("unclear")]
        if unclear and not self.sizes:
            raise DataError(
                f"it cannot be told what the column {unclear[0]!r} holds; call it 'pixel size "
                "(mm)', or 'pixel size x (mm)' and 'pixel size y (mm)'"
            )
        if not self.sizes or len(self._titles) < 2:
            raise DataError(f"the first line must be a header such as {EXAMPLE!r}, found {found!r}")
        axes = Counter(self._read[i].axes for i in self.sizes)
        lacks = [a for a, other in ("xy", "yx") if axes[a] and not axes[other]]
        both = sum(axes[known] for known in ("", "xy", "yx"))
        if (lacks or axes["?"]) and not both and not (axes["?"] == 2 and not axes["x"]):
            given = cut(", ".join(repr(self._titles[i]) for i in self.sizes))
            raise DataError(
                f"its columns of pixel sizes are {given}; expected one size for both directions "
                "('pixel size (mm)'), or 'pixel size x (mm)' and 'pixel size y (mm)'"
            )

    def _name_column(self, lines: Sequence[Sequence[str]]) -> int:
        titled = self._all("name")
        if titled:
            return min(titled, key=lambda i: self._read[i].rank)
        free = [i for i, title in enumerate(self._read) if not title.kind]

        def images(column: int) -> int:
            cells = (line[column] for line in lines if column < len(line))
            return sum(cell.strip().casefold().endswith(_SUFFIXES) for cell in cells)

        # a nameless first column is an index, unless nothing else may hold the names
        best = max(free, key=lambda i: (images(i), bool(self._titles[i].strip()), -i), default=None)
        if best is None:
            found = cut(",".join(self._titles))
            raise DataError(f"the first line must be a header such as {EXAMPLE!r}, found {found!r}")
        return best

    def _size(self, cells: Sequence[str]) -> PixelSize | None:
        if len(cells) > len(self._titles) and any(map(str.strip, cells[len(self._titles) :])):
            for i in self.sizes:
                if _cell(cells, i).strip().isdecimal() and _cell(cells, i + 1).strip().isdecimal():
                    raise _Unusable(
                        "the row has more cells than titles; put decimals behind a point, or the "
                        "number in quotes"
                    )
        given = [(self._titles[i], self._of_column(cells, i)) for i in self.sizes]
        known = [(title, size) for title, size in given if size]
        if not known:
            return None
        for axis in (0, 1):
            of_axis = [(title, size[axis]) for title, size in known if size[axis] is not None]
            for title, value in of_axis[1:]:
                if not math.isclose(value or 0, of_axis[0][1] or 0, rel_tol=_SAME):
                    raise DataError(
                        f"{of_axis[0][0]!r} says {of_axis[0][1]:g} mm and {title!r} {value:g} mm; "
                        "keep the column that is right"
                    )
        sides = [next((s[axis] for _, s in known if s[axis] is not None), None) for axis in (0, 1)]
        if None in sides:
            return None
        try:
            return as_pixel_size([side for side in sides if side is not None], "table")
        except DataError as error:
            raise _Unusable(str(error)) from None

    def _of_column(
        self, cells: Sequence[str], column: int
    ) -> tuple[float | None, float | None] | None:
        """Return what one column says of a pixel, (x, y)."""
        title, text = self._read[column], _cell(cells, column)
        if is_none(text):
            return None
        numbers = read_numbers(text, self._unit(cells, title))
        what = f"{self._titles[column].strip() or 'pixel size'} is {short(text.strip())}"
        if numbers is None:
            raise _Unusable(f"{what}, expected a positive number of mm")
        values, between = numbers
        if title.axes == "?":
            others = {_cell(cells, i).strip() for i in self.sizes if self._read[i].axes == "?"}
            if len(values) > 1 or len(others) > 1:
                raise _Unusable(f"{what}, and it cannot be told whether across or down")
        if len(values) == 1:
            value = values[0]
            if not (math.isfinite(value) and value > 0):
                raise _Unusable(f"{what}, expected a positive number of mm")
            return (
                None if title.axes == "y" else value,
                None if title.axes == "x" else value,
            )
        pair = in_order(values, between, title.axes) if title.axes not in ("x", "y") else None
        if pair is None:
            raise _Unusable(
                f"{what}, and it cannot be told which is across; give 'pixel size x (mm)' and "
                "'pixel size y (mm)'"
            )
        return pair

    def _unit(self, cells: Sequence[str], title: Title) -> float:
        """Return millimetres in a row's unit: the title's, or that of a column of units."""
        for column in self._all("unit"):
            text = _cell(cells, column)
            given = read_numbers(f"1 {text}")
            if given is None and not is_none(text):
                raise _Unusable(f"the unit is {short(text.strip())}, expected mm")
            if given:
                return given[0][0]
        return title.mm

    def _sides(self, cells: Sequence[str]) -> tuple[int, int] | None:
        width, height = self._number(cells, "width"), self._number(cells, "height")
        if width and height:
            return int(width), int(height)
        for column in self._all("sides"):
            numbers = read_numbers(_cell(cells, column))
            if numbers and len(numbers[0]) == 2 and max(numbers[0]) < math.inf:
                return int(numbers[0][0]), int(numbers[0][1])
        return None

    def _number(self, cells: Sequence[str], kind: str) -> float | None:
        """Return the positive number that a row has in the column of a kind, if any."""
        for column in self._all(kind):
            numbers = read_numbers(_cell(cells, column), self._read[column].mm)
            if numbers and len(numbers[0]) == 1 and 0 < numbers[0][0] < math.inf:
                return numbers[0][0]
        return None


class _Unusable(Exception):
    """A size that is there and cannot be used."""


def _cell(cells: Sequence[str], column: int) -> str:
    return cells[column] if column < len(cells) else ""
