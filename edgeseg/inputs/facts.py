"""What is known of images before they are measured: pixel sizes and gestational ages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize, Size, as_pixel_size
from edgeseg.inputs.matching import SIZES, Matcher, RowMatch, match_rows
from edgeseg.inputs.rows import find_name_column, read_rows, read_title
from edgeseg.inputs.size_table import TableRow, has_value
from edgeseg.inputs.source import Source
from edgeseg.system.text import cut

AGE_RANGE_WEEKS = (4.0, 45.0)
"""No pregnancy that is scanned is younger or older: such a figure has another unit."""
EXAMPLES = "21w3d, 21+3, 21.43 (weeks) or 150d"

_WEEKS, _DAYS = "weeks?|wks?|w", "days?|d"
_WEEKS_AND_DAYS = re.compile(
    rf"(\d{{1,3}})\s*(?:(?:{_WEEKS})\s*[+,]?|\+|\s)\s*(?:(\d{{1,3}})\s*(?:/7|{_DAYS})?)?"
)
_NUMBER = re.compile(rf"(\d{{1,3}}(?:[.,]\d{{1,9}})?)\s*({_WEEKS}|{_DAYS})?")


class PixelSizes:
    """Millimetres per pixel of each image: one for all, a table's, or unknown.

    ``pixel_size_mm``, one number or (x, y), is the size of all, and beats the table, which is as
    `edgeseg.inputs.size_table.read_table` returns it. ``sources`` are all images of the run, which
    the table is held to: two that share a row get none, and ``notices`` are sentences on rows and
    images that do not meet. Without them each image is looked up alone.

    Raises DataError if the one size cannot be one, or no row is of any image.
    """

    def __init__(
        self,
        sources: Sequence[Source] = (),
        pixel_size_mm: Size = None,
        table: Mapping[str, TableRow] | None = None,
    ) -> None:
        self._one = as_pixel_size(pixel_size_mm, "option")
        self._table = table
        self._matcher = Matcher((table or {}).__getitem__)
        self._matches: dict[str, RowMatch] = {}
        self._resized: dict[str, str] = {}
        self.notices: list[str] = []
        if self._one is None and table is not None:
            self._matcher.add(table)
            if sources:
                self._matcher.match(sources)
                self._matches = self._matcher.matches()
                self.notices += self._describe_fit(sources[0].file, table)

    @property
    def is_given(self) -> bool:
        """Whether a pixel size of all or a table was given."""
        return self._one is not None or self._table is not None

    def size_of(self, source: Source, shape: tuple[int, ...] | None = None) -> PixelSize | None:
        """Return the pixel size of an image, or None if it is unknown.

        ``shape`` is (height, width), once it is read: where the table says another, the image is a
        copy, of pixels of unknown size. Raises DataError if its row is missing, wrong or another's.
        """
        if self._one is not None or self._table is None:
            return self._one
        match = self._matches.get(source.file) or self._matcher.find(source)
        if match.reason:
            raise DataError(match.reason)
        row = self._table[match.name]
        if row.reason:
            raise DataError(row.reason)
        if shape is None or row.is_of(shape):
            return row.pixel_size
        expected = "x".join(map(str, row.sides_px or ()))
        self._resized[source.file] = (
            f"{source.file!r}, which is {shape[1]}x{shape[0]} instead of {expected}"
        )
        return None

    def resized_notice(self) -> str | None:
        """Return a sentence on the images that have other sides than the table says."""
        if not self._resized:
            return None
        return (
            f"images of another width or height than the table says: {len(self._resized)}, such "
            f"as {self._resized[min(self._resized)]}; their lengths are in pixels"
        )

    def _describe_fit(self, first_file: str, table: Mapping[str, TableRow]) -> Iterator[str]:
        if all(match.is_missing for match in self._matches.values()):
            raise no_match_error(next(iter(table), None), first_file)
        used = {match.name for match in self._matches.values()}
        unused = [name for name in table if name not in used]
        elsewhere, without_size = [], []
        for file, match in self._matches.items():
            if match.is_elsewhere:
                elsewhere.append((file, match.name))
            if not match.reason and not (table[match.name].pixel_size or table[match.name].reason):
                without_size.append(file)
        yield from describe_fit(
            (len(unused), *unused[:1]),
            (len(elsewhere), *(elsewhere[0] if elsewhere else ())),
            (len(without_size), *sorted(without_size)[:1]),
        )


def describe_fit(
    unused: tuple[Any, ...], elsewhere: tuple[Any, ...], without_size: tuple[Any, ...]
) -> Iterator[str]:
    """Yield notices on how a table's rows fit images, from counts, each with an example.

    The examples are a row's name; a file and its row's name, of other folders; and a file.
    """
    if unused[0]:
        yield f"rows of the {SIZES} without an image: {unused[0]}, such as {cut(unused[1])!r}"
    if elsewhere[0]:
        yield (
            f"images for which the {SIZES} names other folders: {elsewhere[0]}, such as "
            f"{elsewhere[1]!r}, for which its row {cut(elsewhere[2])!r} was found"
        )
    if without_size[0]:
        yield (
            f"images without a size in the {SIZES}: {without_size[0]}, such as "
            f"{without_size[1]!r}; unless a ruler tells it, their lengths are in pixels"
        )


def no_match_error(first_name: str | None, first_file: str) -> DataError:
    """Return the error that no row is of any image; ``first_name``: of the first row, if any."""
    has = f"its first is {cut(first_name)!r}" if first_name is not None else "it has none"
    return DataError(
        f"no row of the pixel-size table is of any image: {has}, the first image is "
        f"{first_file!r}; the table needs a row for {first_file!r}"
    )


def read_age(text: str, unit: str = "weeks") -> float:
    """Read a gestational age in weeks: ``21w3d``, ``21+3``, ``21 3/7``, ``21.43`` or ``150d``.

    ``unit``: of a number alone, ``weeks`` or ``days``.

    Raises DataError if it is no age, its days are no days of a week, or no pregnancy is so young or
    old.
    """
    plain = text.strip().lower()
    if found := _NUMBER.fullmatch(plain):
        value = float(found[1].replace(",", "."))
        weeks = value / 7 if (found[2] or unit).startswith("d") else value
    elif (found := _WEEKS_AND_DAYS.fullmatch(plain)) and int(found[2] or 0) < 7:
        weeks = int(found[1]) + int(found[2] or 0) / 7
    else:
        raise DataError(f"gestational age is {text!r}; expected {EXAMPLES}, days from 0 to 6")
    low, high = AGE_RANGE_WEEKS
    if not low <= weeks <= high:
        raise DataError(
            f"gestational age is {text!r}, which is {weeks:.4g} weeks; expected {low:g} to "
            f"{high:g} weeks, written as {EXAMPLES}"
        )
    return weeks


def read_ages(path: Path) -> dict[str, float | None] | None:
    """Read the gestational ages of a table, such as that of pixel sizes.

    Its column is titled ``ga``, ``gestational age (weeks)``, ``ga_days`` or the like. Returned are
    file -> weeks, or None where the cell is empty or says so (``n/a``); None without such a column.

    Raises InputNotFoundError if there is no such file; DataError if it is no table, has two columns
    of ages, repeats a file, or holds what is no age.
    """
    titles, rows = read_rows(path, "a table of ages")
    columns = [i for i, title in enumerate(titles) if read_title(title).kind == "age"]
    if not columns:
        return None
    if len(columns) > 1:
        listed = ", ".join(repr(titles[i]) for i in columns)
        raise DataError(f"{path}: {listed} are all ages; keep one of these columns")
    name_column, column = find_name_column(titles), columns[0]
    if name_column is None:
        raise DataError(f"{path}: no column of files; title it 'filename'")
    unit = "weeks" if read_title(titles[column]).factor == 1 else "days"
    ages: dict[str, float | None] = {}
    for row in rows:
        name, cell = row.cells[name_column], row.cells[column]
        if name in ages:
            raise DataError(f"{row.where}: {name!r} is there twice; keep one row a file")
        try:
            ages[name] = read_age(cell, unit) if has_value(cell) else None
        except DataError as error:
            raise DataError(f"{row.where} ({name!r}): {error}") from error
    return ages


class Ages:
    """The gestational age of each image of a run: ``weeks`` of all, else of `read_ages`."""

    def __init__(
        self,
        sources: Iterable[Source] = (),
        weeks: float | None = None,
        table: Mapping[str, float | None] | None = None,
    ) -> None:
        self._one, self._table = weeks, table
        self._matches = {}
        if weeks is None and table:
            self._matches = match_rows(sources, table, "table of ages")

    @property
    def is_given(self) -> bool:
        """Whether any age was given."""
        return self._one is not None or self._table is not None

    def age_of(self, source: Source) -> float | None:
        """Return an image's age in weeks or None; raise a DataError if its row is another's too."""
        if self._one is not None or not self._table:
            return self._one
        match = self._matches[source.file]
        if match.reason and not match.is_missing:
            raise DataError(match.reason)
        return self._table.get(match.name)


def find_ages(sources: Iterable[Source], age: str | None, size_table: Path | None) -> Ages:
    """Return the ages that ``age`` gives, one for all or a table's, else the pixel-size table.

    Raises DataError as `read_age` and `read_ages` do, and if a table that was given has no ages.
    """
    if age is None:
        return Ages(sources, None, read_ages(size_table) if size_table else None)
    if not Path(age).is_file():
        return Ages(sources, read_age(age))
    table = read_ages(Path(age))
    if table is None:
        raise DataError(f"{age}: no column of ages; title one 'ga' or 'gestational age (weeks)'")
    return Ages(sources, None, table)
