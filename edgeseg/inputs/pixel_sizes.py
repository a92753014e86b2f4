"""Pixel sizes of images: one for all, or a table as people have them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize, Size, as_pixel_size
from edgeseg.inputs.size_table.names import match_rows
from edgeseg.inputs.size_table.rows import Columns, TableRow
from edgeseg.inputs.size_table.said import Fit, nothing_fits
from edgeseg.inputs.size_table.text import Line, read_lines
from edgeseg.inputs.source import Source
from edgeseg.system.text import cut

_TELLING_LINES = 10_000  # of a table whose titles name no column of files


def read_table(
    path: Path, on_notice: Callable[[str], None] = lambda text: None
) -> dict[str, TableRow]:
    """Read a table of pixel sizes.

    Parameters
    ----------
    path
        CSV with a header, in any order of columns: file names; pixel sizes, in mm if their title
        does not say cm, µm or m, in one column or two, or as DICOM's ``PixelSpacing`` (down,
        across); perhaps the head circumference, and the width and height in pixels of the image
        that the size belongs to.
    on_notice
        Called with sentences on what was understood.

    Returns
    -------
    dict
        File name -> row, in the order of the file. A row whose size cannot be used says why.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    DataError
        If it is not such a table: no column, or two that contradict each other, say what a pixel
        measures, or no row gives a size that can be one.
    """
    table: dict[str, TableRow] = {}
    rows = NamedRows(path, iter(read_lines(path, is_header, on_notice)))
    for number, name, row in rows:
        table[name] = rows.merged(table[name], row, number, name) if name in table else row
    wrong = [row.reason for row in table.values() if row.reason]
    if wrong and not any(row.pixel_size for row in table.values()):
        raise DataError(wrong[0])
    rows.say_units(on_notice)
    return table


class NamedRows:
    """The rows of a table one by one, with the number of their line and the name of their image.

    Parameters
    ----------
    path
        The table, for the messages.
    lines
        The titles first; see `edgeseg.inputs.size_table.text.read_lines`.

    Raises
    ------
    DataError
        See `read_table`.
    """

    def __init__(self, path: Path, lines: Iterator[Line]) -> None:
        self._path = path
        titles = next(lines, Line(0, []))
        first = [*itertools.islice(lines, _TELLING_LINES)]
        try:
            self._columns = Columns(titles.cells, [line.cells for line in first])
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        self._lines = itertools.chain(first, lines)

    def __iter__(self) -> Iterator[tuple[int, str, TableRow]]:
        column = self._columns.name
        for line in self._lines:
            name = line.cells[column].strip() if column < len(line.cells) else ""
            if name:
                yield line.number, name, _read_row(self._path, line, name, self._columns)

    def merged(self, earlier: TableRow, row: TableRow, number: int, name: str) -> TableRow:
        """Return what holds of an image that has a second row, which stands at a line."""
        if (earlier.pixel_size, earlier.sides_px) != (row.pixel_size, row.sides_px):
            reason = (
                f"{self._path}, row {number}: {cut(name)!r} is there twice, and the rows differ"
            )
            return TableRow(None, reason=earlier.reason or reason)
        if earlier.hc_mm != row.hc_mm:  # of two observers: neither is the reference
            return earlier._replace(hc_mm=None)
        return earlier

    def say_units(self, on_notice: Callable[[str], None]) -> None:
        """Say which columns were in another unit than mm."""
        if other := self._columns.not_in_mm:
            on_notice(f"{self._path}: {cut(', '.join(map(repr, other)))} was turned into mm")


def is_header(titles: Sequence[str]) -> bool:
    """Tell whether titles are those of a table of pixel sizes."""
    try:
        Columns(titles)
    except DataError:
        return False
    return True


def _read_row(path: Path, line: Line, name: str, columns: Columns) -> TableRow:
    where = f"{path}, row {line.number} ({cut(name)!r})"
    try:
        row = columns.row(line.cells)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    return row._replace(reason=f"{where}: {row.reason}") if row.reason else row


class PixelSizes:
    """Millimetres per pixel of each image: one for all, a table's, or unknown.

    Parameters
    ----------
    items
        All images of the run.
    pixel_size_mm
        Size of all, one number or (x, y); beats the table.
    table
        As `read_table` gives it; `edgeseg.inputs.size_table.names` tells which row is whose.

    Attributes
    ----------
    notices
        Sentences on rows and images that do not meet.

    Raises
    ------
    DataError
        If the size cannot be one (see `edgeseg.images.frame.check_pixel_size`), or no row is of
        any image.
    """

    def __init__(
        self,
        items: Iterable[Source],
        pixel_size_mm: Size = None,
        table: Mapping[str, TableRow] | None = None,
    ) -> None:
        self._one = as_pixel_size(pixel_size_mm, "option")
        self._table = table if self._one is None else None
        self.notices: list[str] = []
        self._resized: dict[str, str] = {}
        self._adding = threading.Lock()
        if self._table is not None:
            items = [*{item.file: item for item in items}.values()]  # all frames of a film alike
            self._rows = match_rows(items, self._table)
            self._look_at(items, self._table)

    @property
    def known(self) -> bool:
        """Whether any pixel size was given."""
        return self._one is not None or self._table is not None

    def given(self, item: Source) -> bool:
        """Return whether the pixel size of an image was given, if only as one that is unknown."""
        return self.known

    def of(self, item: Source, size: tuple[int, ...] | None = None) -> PixelSize | None:
        """Return the pixel size of an image, or None if it is unknown.

        Parameters
        ----------
        size
            (height, width) of the image, once it is read. Where the table says that its sizes are
            of an image of other sides, this one is a copy, and the size of its pixels is unknown.

        Raises
        ------
        DataError
            If the table has no row for the image, one that cannot be used, or one that fits two
            images.
        """
        if self._one is not None or self._table is None:
            return self._one
        found = self._rows[item.file]
        if found.reason:
            raise DataError(found.reason)
        row = self._table[found.name]
        if row.reason:
            raise DataError(row.reason)
        if size is None or row.pixel_size is None or row.is_of(size):
            return row.pixel_size
        assert row.sides_px is not None
        given = "x".join(map(str, row.sides_px))
        with self._adding:
            self._resized[item.file] = f"{item.file} is {size[1]}x{size[0]}, the table {given}"
        return None

    def resized_notice(self) -> str | None:
        """Return a sentence on the images that were not of the sides that the table states."""
        if not self._resized:
            return None
        example = self._resized[min(self._resized)]
        return (
            f"{len(self._resized)} images have other sides than the table says, so the size of "
            f"their pixels is unknown and their lengths are in pixels: {example}"
        )

    def _look_at(self, items: Sequence[Source], table: Mapping[str, TableRow]) -> None:
        if items and all(found.missing for found in self._rows.values()):
            raise nothing_fits(next(iter(table), None), items[0].file)
        used = {found.name for found in self._rows.values() if found.name}
        absent = [name for name in table if name not in used]
        fit = Fit(len(absent), absent[0] if absent else None)
        for file, found in self._rows.items():
            if found.moved:
                fit.add_moved(found.name, file)
        without = [
            file
            for file, found in self._rows.items()
            if not (found.reason or table[found.name].pixel_size or table[found.name].reason)
        ]
        fit.n_without, fit.without = len(without), min(without, default=None)
        self.notices += fit.sentences()
