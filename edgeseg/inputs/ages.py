"""Gestational ages that are known before an image is measured: one for all, or a table's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.inputs.matching import match_rows
from edgeseg.inputs.rows import find_name_column, read_rows, read_title
from edgeseg.inputs.size_table import has_value
from edgeseg.inputs.source import Source

AGE_RANGE_WEEKS = (4.0, 45.0)
"""No pregnancy that is scanned is younger or older: such a figure has another unit."""
EXAMPLES = "21w3d, 21+3, 21.43 (weeks) or 150d"

_WEEKS, _DAYS = "weeks?|wks?|w", "days?|d"
_WEEKS_AND_DAYS = re.compile(
    rf"(\d{{1,3}})\s*(?:(?:{_WEEKS})\s*[+,]?|\+|\s)\s*(?:(\d{{1,3}})\s*(?:/7|{_DAYS})?)?"
)
_NUMBER = re.compile(rf"(\d{{1,3}}(?:[.,]\d{{1,9}})?)\s*({_WEEKS}|{_DAYS})?")


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
