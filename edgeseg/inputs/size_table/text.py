"""A table's file as lines of cells, whatever program saved it."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from edgeseg.errors import DataError, InputNotFoundError

_MOST_BYTES = 1 << 26  # a million rows
_TELLING_BYTES = 1 << 20
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
    with _said(path, what):
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(
                f"{path}: {path.stat().st_size / 1e6:.0f} MB are more than a table of pixel sizes "
                "has; expected a CSV"
            )
        encoding = _encoding_of(path, data := path.read_bytes())
        text = _decoded(path, data, encoding, on_notice)
        return list(_parsed(io.StringIO(text, newline=""), *_delimiter(text, is_header)))


def stream_lines(
    path: Path, is_header: Callable[[Sequence[str]], bool], what: str = "a pixel-size CSV"
) -> Iterator[Line]:
    """Yield a table's lines as `read_lines` gives them, of a table that may be of any size.

    Text that is no Unicode is refused here: which names it was read into, nobody could look at.
    """
    with _said(path, what), path.open("rb") as stream:
        start = stream.read(_TELLING_BYTES)
        encoding = _encoding_of(path, start) or "utf-8"
        head = codecs.getincrementaldecoder(encoding)().decode(start)
        told = _delimiter(head[: head.rfind("\n") + 1] or head, is_header)
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding, newline="") as text:
            yield from _parsed(text, *told)


@contextlib.contextmanager
def _said(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such file; {what} was expected") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a CSV") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable CSV ({error})") from error


def _encoding_of(path: Path, data: bytes) -> str:
    """Return the encoding that a table's first bytes tell, or nothing; what is none is refused."""
    for start, kind in _NO_TABLES.items():
        if data.lstrip().startswith(start):
            raise DataError(
                f"{path}: this is {kind}, not a CSV; open it and save the table as 'CSV UTF-8'"
            )
    encoding = next((name for mark, name in _UNICODE if data.startswith(mark)), "")
    if not encoding and data[1:200:2] and not any(data[1:200:2]):
        encoding = "utf-16-le"  # without its mark: every second byte of plain letters is 0
    return encoding


def _decoded(path: Path, data: bytes, encoding: str, on_notice: Callable[[str], None]) -> str:
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        if encoding:
            raise
        text = data.decode("cp1252", errors="replace")
        on_notice(f"{path} is not UTF-8: its names were read as Windows-1252")
    if "\0" in text:
        raise DataError(f"{path}: not a readable CSV (it holds bytes of 0); save it as 'CSV UTF-8'")
    return text


def _delimiter(text: str, is_header: Callable[[Sequence[str]], bool]) -> tuple[str, str]:
    """Return what separates a text's cells, and Excel's own line that says so, where it has one."""
    said = re.match(r"\s*\"?sep=(.)\"?[^\S\n]*(?:\r\n|\r|\n)", text, re.IGNORECASE)
    if said:
        return said.group(1), said.group(0)
    best, most = DELIMITERS[0], 0
    for delimiter in DELIMITERS:
        titles = next(_parsed(io.StringIO(text, newline=""), delimiter, ""), None)
        if titles and is_header(titles.cells):
            return delimiter, ""
        if titles and len(titles.cells) > most:
            best, most = delimiter, len(titles.cells)
    return best, ""


def _parsed(text: TextIO, delimiter: str, said: str) -> Iterator[Line]:
    """Yield the lines of a text that follow what it said of what separates them."""
    text.read(len(said))
    before = said.count("\n")
    try:
        reader = csv.reader(text, delimiter=delimiter)
    except ValueError as error:  # since Python 3.13, of quotation marks and spaces
        raise DataError(
            f"the table says that {delimiter!r} separates its cells ({error})"
        ) from error
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield Line(before + reader.line_num, cells)
