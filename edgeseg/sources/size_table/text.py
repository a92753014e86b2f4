"""A table's file as lines of cells, whatever program saved it."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError, InputNotFoundError

_MOST_BYTES = 1 << 26  # a million rows
DELIMITERS = (",", ";", "\t", "|")

_UNICODE = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_TABLES = {
    b"PK\x03\x04": "an Excel or LibreOffice workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF": "a PDF",
    b"{\\rtf": "a text document",
    b"<": "a page of HTML or XML",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
}


class Line(NamedTuple):
    """One line of a table.

    Attributes
    ----------
    number
        Of its last line in the file, from 1.
    cells
        As they stand there.
    """

    number: int
    cells: list[str]


def read_lines(
    path: Path,
    is_header: Callable[[Sequence[str]], bool],
    on_notice: Callable[[str], None] = lambda text: None,
    what: str = "a pixel-size CSV",
) -> list[Line]:
    """Read a table's lines, the titles first; blank ones are left out.

    UTF-8, UTF-16 or Windows-1252, separated by commas, semicolons, tabs or bars.

    Parameters
    ----------
    is_header
        Tells whether titles are those of the table expected: what separates cells is the sign that
        makes them so.
    on_notice
        Called with a sentence where the text may have been understood wrongly.
    what
        What the file should be, for the message where there is none.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    DataError
        If it is no text of cells.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(
                f"{path}: {path.stat().st_size / 1e6:.0f} MB are more than a table of pixel sizes "
                "has; expected a CSV"
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such file; {what} was expected") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a CSV") from error
    text = _decoded(path, data, on_notice)
    try:
        return _cells(text, is_header)
    except csv.Error as error:
        raise DataError(f"{path}: not a readable CSV ({error})") from error


def _decoded(path: Path, data: bytes, on_notice: Callable[[str], None]) -> str:
    for start, kind in _NO_TABLES.items():
        if data.lstrip().startswith(start):
            raise DataError(
                f"{path}: this is {kind}, not a CSV; open it and save the table as 'CSV UTF-8'"
            )
    encoding = next((name for mark, name in _UNICODE if data.startswith(mark)), "")
    if not encoding and data[1:200:2] and not any(data[1:200:2]):
        encoding = "utf-16-le"  # without its mark: every second byte of plain letters is 0
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding:
            raise DataError(f"{path}: not a readable CSV ({error})") from error
        text = data.decode("cp1252", errors="replace")
        on_notice(f"{path} is not UTF-8: its names were read as Windows-1252")
    if "\0" in text:
        raise DataError(f"{path}: not a readable CSV (it holds bytes of 0); save it as 'CSV UTF-8'")
    return text


def _cells(text: str, is_header: Callable[[Sequence[str]], bool]) -> list[Line]:
    """Cut a text into cells at the sign that its ``sep=`` line or its titles tell."""
    said = re.match(r"\s*\"?sep=(.)\"?[^\S\n]*(?:\r\n|\r|\n)", text, re.IGNORECASE)
    if said:
        # Excel's own line; blank lines in its place keep the numbers of the others.
        text = "\n" * said.group(0).count("\n") + text[said.end() :]
        return list(_parsed(text, said.group(1)))
    readings = (list(_parsed(text, delimiter)) for delimiter in DELIMITERS)
    best: list[Line] = []
    for lines in readings:
        if lines and is_header(lines[0].cells):
            return lines
        if lines and (not best or len(lines[0].cells) > len(best[0].cells)):
            best = lines
    return best


def _parsed(text: str, delimiter: str) -> Iterator[Line]:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except ValueError as error:  # since Python 3.13, of quotation marks and spaces
        raise DataError(
            f"the table says that {delimiter!r} separates its cells ({error})"
        ) from error
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield Line(reader.line_num, cells)
