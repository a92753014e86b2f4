"""Gestational ages that are known before an image is measured: one for all, or a table's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.inputs.rows import file_column, read_rows, words
from edgeseg.inputs.size_table.cells import is_none
from edgeseg.inputs.size_table.names import Found, match_rows
from edgeseg.inputs.source import Source

AGE_RANGE_WEEKS = (4.0, 45.0)
"""No pregnancy that is scanned is younger or older: such a figure has another unit."""
EXAMPLES = "21w3d, 21+3, 21.43 (weeks) or 150d"

_WEEKS = "weeks", "week", "wks", "wk", "w"
_DAYS = "days", "day", "d"
_WEEKS_AND_DAYS = re.compile(
    rf"(\d{{1,3}})\s*(?:(?:{'|'.join(_WEEKS)})\s*[+,]?|\+|\s)\s*"
    rf"(?:(\d{{1,3}})\s*(?:/7|{'|'.join(_DAYS)})?)?"
)
_NUMBER = re.compile(rf"(\d{{1,3}}(?:[.,]\d{{1,9}})?)\s*({'|'.join((*_WEEKS, *_DAYS))})?")
# What may stand beside "ga" or "gestational age" in a title. An age by a measurement of the image
# itself, such as ga_weeks_hadlock, is none of these: a centile for it would say nothing.
_BESIDE = frozenset((*_WEEKS, *_DAYS, "given", "known", "at", "scan", "in", "and", "lmp", "crl"))


def read_age(text: str, unit: str = "weeks") -> float:
    """Read a gestational age: ``21w3d``, ``21+3``, ``21 3/7``, ``21.43`` or ``150d``.

    Parameters
    ----------
    unit
        Of a number alone, ``weeks`` or ``days``.

    Returns
    -------
    float
        Weeks.

    Raises
    ------
    DataError
        If it is no age, its days are no days of a week, or no pregnancy is so young or old.
    """
    plain = text.strip().lower()
    if found := _NUMBER.fullmatch(plain):
        value = float(found[1].replace(",", "."))
        weeks = value / 7 if (found[2] or unit) in _DAYS else value
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


def read_ages(path: Path) -> dict[str, float] | None:
    """Read the gestational ages of a table, such as that of pixel sizes.

    Parameters
    ----------
    path
        CSV with a header, a column of files and one titled ``ga``, ``gestational age (weeks)``,
        ``ga_days`` or the like.

    Returns
    -------
    dict or None
        File -> weeks, without files whose cell is empty or says so (``n/a``); None if
        there is no such column.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    DataError
        If it is no table, has two columns of ages, repeats a file, or holds what is no age.
    """
    titles, rows = read_rows(path, "a table of ages")
    columns = [i for i, title in enumerate(titles) if _is_of_ages(title)]
    if not columns:
        return None
    if len(columns) > 1:
        listed = ", ".join(repr(titles[i]) for i in columns)
        raise DataError(f"{path}: {listed} are all ages; keep one of these columns")
    files, (column,) = file_column(path, titles), columns
    of_days = {*_DAYS} & {*words(titles[column])} and not {*_WEEKS} & {*words(titles[column])}
    ages: dict[str, float] = {}
    seen: set[str] = set()
    for where, cells in rows:
        file, cell = cells[files], cells[column]
        if file in seen:
            raise DataError(f"{where}: {file!r} is there twice; keep one row a file")
        seen.add(file)
        if not is_none(cell):
            try:
                ages[file] = read_age(cell, "days" if of_days else "weeks")
            except DataError as error:
                raise DataError(f"{where} ({file!r}): {error}") from error
    return ages


class Ages:
    """The gestational age of each image, where it is known.

    Parameters
    ----------
    items
        All images of the run.
    weeks
        Age of all, beats the table.
    table
        As `read_ages` gives it. A row that is an image's ``file`` is that one's; of the others
        `edgeseg.inputs.size_table.names` tells whose they are.
    """

    def __init__(
        self,
        items: Iterable[Source] = (),
        weeks: float | None = None,
        table: Mapping[str, float] | None = None,
    ) -> None:
        self._one, self._table = weeks, table
        self._rows: dict[str, Found] = {}
        if weeks is None and table:
            items = [*{item.file: item for item in items}.values()]  # all frames of a film alike
            called = {item.file for item in items if item.file in table}
            left = [item for item in items if item.file not in called]
            rows = {name: age for name, age in table.items() if name not in called}
            self._rows = {file: Found(file) for file in called}
            self._rows |= match_rows(left, rows, "table of ages")

    @property
    def known(self) -> bool:
        """Whether any age was given."""
        return self._one is not None or self._table is not None

    def of(self, item: Source) -> float | None:
        """Return the age of an image in weeks; None if it is not known.

        Raises
        ------
        DataError
            If the table's only row for the image fits two images, or two rows fit it and differ.
        """
        if self._one is not None or not self._table:
            return self._one
        found = self._rows[item.file]
        if found.missing:
            return None
        if found.reason:
            raise DataError(found.reason)
        return self._table[found.name]


def _is_of_ages(title: str) -> bool:
    found = words(title)
    for start in (("ga",), ("gestational", "age"), ("gestation",), ("gestational",)):
        if found[: len(start)] == start:
            return set(found[len(start) :]) <= _BESIDE
    return False
