"""Rows of tables as people have them: separated by commas, semicolons or tabs, with a header."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeseg.errors import DataError, InputNotFoundError

_SEPARATORS = ",;\t"


def read_rows(path: Path, what: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Read a table's titles and rows, each as long as the titles; empty lines are left out.

    Parameters
    ----------
    what
        What it should be, such as ``a table of ages``.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    DataError
        If it cannot be read, has no row, or a row has more cells than there are titles.
    """
    try:
        text = _text(path.read_bytes())
        header = next((line for line in text.splitlines() if line.strip()), "")
        separator = max(_SEPARATORS, key=header.count)
        lines = [
            tuple(cell.strip() for cell in cells)
            for cells in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            if any(cell.strip() for cell in cells)
        ]
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such file; {what} was expected") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not {what} that can be read ({error})") from error
    if len(lines) < 2:
        raise DataError(f"{path}: not {what}: a line of titles and a line for each image expected")
    titles, rows = lines[0], []
    for number, cells in enumerate(lines[1:], start=1):
        if any(cells[len(titles) :]):
            raise DataError(f"{path}, row {number}: {len(cells)} cells under {len(titles)} titles")
        rows.append((*cells, *[""] * len(titles))[: len(titles)])
    return titles, rows


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


def _text(data: bytes) -> str:
    """Decode a table as spreadsheets write it."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")
