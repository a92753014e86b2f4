"""Tables of images: a line of titles, and a row for each image."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError
from edgeseg.inputs.size_table.text import Line, read_lines


class Row(NamedTuple):
    """One row, as long as the titles, and where it stands: ``table.csv, row 7``."""

    where: str
    cells: tuple[str, ...]


def read_rows(path: Path, what: str) -> tuple[tuple[str, ...], Iterator[Row]]:
    """Read a table's titles and rows; the sign that makes most titles separates all cells.

    Parameters
    ----------
    what
        What it should be, such as ``a table of ages``.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    DataError
        If it cannot be read or has no row; from the rows, once they are gone through, if one has
        more cells than there are titles.
    """
    lines = read_lines(path, lambda titles: False, what=what)
    if len(lines) < 2:
        raise DataError(f"{path}: not {what}: a line of titles and a line for each image expected")
    titles = tuple(title.strip() for title in lines[0].cells)
    return titles, (_row(path, line, len(titles)) for line in lines[1:])


def words(title: str) -> tuple[str, ...]:
    """Return a title's words, lower case: ``Gestational age (weeks)`` has three."""
    return tuple(re.findall(r"[a-zµμ]+|\d+", title.lower()))


def number(text: str, what: str) -> float:
    """Read a number, written with a point or a comma.

    Raises
    ------
    DataError
        If it is not a finite number; the sentence begins with ``what``.
    """
    try:
        value = float(text.replace(",", ".") if text.count(",") == 1 else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{what} is {text!r}; expected a number")
    return value


def names_of(file: str) -> Iterator[str]:
    """Yield what a table may call an image: its path, its name, and both without the ending."""
    path = Path(file)
    yield from dict.fromkeys((file, path.name, path.with_suffix("").as_posix(), path.stem))


def file_column(path: Path, titles: Sequence[str]) -> int:
    """Return the place of the column of file names: the one titled so, else the first."""
    named = [i for i, title in enumerate(titles) if {"file", "filename", "image"} & {*words(title)}]
    if len(named) > 1:
        listed = ", ".join(repr(titles[i]) for i in named)
        raise DataError(f"{path}: {listed} could each be the files; keep one of these columns")
    return named[0] if named else 0


def _row(path: Path, line: Line, count: int) -> Row:
    where = f"{path}, row {line.number}"
    cells = [cell.strip() for cell in line.cells]
    if any(cells[count:]):
        raise DataError(f"{where}: {len(cells)} cells under {count} titles")
    return Row(where, (*cells, *[""] * count)[:count])
