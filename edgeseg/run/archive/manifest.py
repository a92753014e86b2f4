"""The list of an archive's frames: a table of Parquet, made once and read part by part."""

from __future__ import annotations

import itertools
import re
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from edgeseg.errors import DataError, EdgesegError
from edgeseg.run.archive.arrow import parquet
from edgeseg.run.archive.arrow.stores import ERRORS
from edgeseg.run.archive.ledger import Known, Ledger
from edgeseg.run.archive.listing import list_images
from edgeseg.run.archive.place import Place, place_of
from edgeseg.sources.discover import Item, frame_numbers, nothing_found
from edgeseg.sources.frame import PixelSize, Size, as_pixel_size, check_pixel_size
from edgeseg.sources.left_out import Tally
from edgeseg.sources.size_table.rows import TableRow
from edgeseg.system.text import first_line
from edgeseg.system.version import __version__

COLUMNS = parquet.Columns({
    "path": "text", "file": "text", "frame": "frame", "pixel_size_x_mm": "number",
    "pixel_size_y_mm": "number", "pixel_size_source": "text", "width_px": "whole",
    "height_px": "whole", "size_bytes": "whole", "modified": "time", "reason": "text",
})  # fmt: skip
"""Where a frame lies and what results call it; the size of its pixels, and the sides of the image
that has it; the file's size and time; why the size cannot be told."""
_GROUP_ROWS = 20_000  # what is decoded to read one part
_PIECE_BYTES = 1 << 23
# Parts of names that lead out of a folder, as keys of stores and other programs may have them.
_UPWARDS = re.compile(r"(?<![^/\\])\.\.?(?![^/\\])")
_FEW = 1000  # frames that may be listed twice


class Listing(NamedTuple):
    """A frame as the manifest lists it.

    Attributes
    ----------
    item
        Its location is as `edgeseg.run.archive.place.Place.text`.
    size_bytes
        Of its file; None if that is not listed.
    row
        What is given of its pixels; None: what its file says.
    """

    item: Item
    size_bytes: int | None
    row: TableRow | None


class Made(NamedTuple):
    """How much a manifest lists."""

    n_files: int
    n_frames: int


def write_manifest(
    inputs: Sequence[str],
    out: Place,
    pixel_size_mm: Size = None,
    table: Path | None = None,
    on_notice: Callable[[str], None] = lambda text: None,
    on_file: Callable[[], None] = lambda: None,
) -> Made:
    """List the frames of files, folders and patterns, of this machine or of stores.

    In little memory, however many there are: what is found goes into a file beside ``out``, about
    0.5 KB each, which is removed again.

    Parameters
    ----------
    inputs
        Paths, patterns and URLs; see `edgeseg.sources.discover.discover` for what is an image.
    pixel_size_mm, table
        Of all images, or a table of pixel sizes; see `edgeseg.sources.pixel_sizes.PixelSizes`.
    on_notice
        Called with sentences that a user should read.
    on_file
        Called for each file that was found.

    Raises
    ------
    InputNotFoundError
        If an input does not exist or cannot be read, or there is no image in any.
    DataError
        If two files cannot be told apart by name, or no row of the table is of any image.
    OutputWriteError
        If the list cannot be written.
    """
    tally = Tally()
    with Ledger(out.local.parent if out.is_local else None) as ledger:
        for given in inputs:
            ledger.add(_told(list_images(given, tally), on_file))
        notices = tally.sentences()
        n_files = ledger.count()
        if not n_files:
            raise nothing_found(inputs, notices)
        for text in notices:
            on_notice(text)
        ledger.name()
        size = as_pixel_size(pixel_size_mm)
        if size is not None:
            ledger.give_one(size)
        elif table is not None:
            ledger.give_table(table, on_notice)
        with ledger.scratch_file() as stream:
            n_frames = _write(stream, ledger.known())
            stream.seek(0)
            out.write(iter(lambda: stream.read(_PIECE_BYTES), b""))
    return Made(n_files, n_frames)


def _told(listed: Iterator[Any], on_file: Callable[[], None]) -> Iterator[Any]:
    for each in listed:
        on_file()
        yield each


def _write(stream: BinaryIO, known: Iterator[Known]) -> int:
    """Write the table and return how many rows it has."""
    rows = (row for each in known for row in _rows(each))
    writer = parquet.Writer(stream, COLUMNS, {"edgeseg": __version__})
    n_rows = 0
    while group := list(itertools.islice(rows, _GROUP_ROWS)):
        writer.write(dict(zip(COLUMNS.types, zip(*group, strict=True), strict=True)))
        n_rows += len(group)
    writer.close()
    return n_rows


def _rows(known: Known) -> Iterator[tuple[Any, ...]]:
    row = known.row
    size, sides, reason = (None, None, "") if row is None else (row[0], row[2], row[3])
    source = None if row is None else size.source if size else "table"
    size_cells = (size.x_mm, size.y_mm, source) if size else (None, None, source)
    for number in frame_numbers(known.n_frames):
        yield (
            *(known.place, known.file, number or None),
            *size_cells,
            *(sides or (None, None)),
            *(known.size_bytes, known.modified_us, reason or None),
        )


class Manifest:
    """A manifest that is read, of edgeseg or another program's making.

    Parameters
    ----------
    text
        Path or URL.

    Attributes
    ----------
    n_rows
        Frames it lists.
    digest
        Tells it from any other.

    Raises
    ------
    InputNotFoundError
        If it is not there or cannot be read.
    DataError
        If it is no table of Parquet, or lists no paths.
    """

    def __init__(self, text: str) -> None:
        self._place = place_of(text)
        stream = self._place.open()
        weakref.finalize(self, stream.close)  # read from as long as this is in use
        try:
            self.digest = parquet.table_digest(stream)
            self._reader = parquet.Reader(stream)
        except ERRORS as error:
            raise DataError(
                f"{text}: not a table of Parquet ({first_line(error)}); 'edgeseg manifest' makes "
                "one"
            ) from error
        self.n_rows = self._reader.n_rows
        known = (name for name in COLUMNS.types if name != "modified")
        self._names = [name for name in known if name in self._reader.names]
        if "path" not in self._names:
            raise DataError(
                f"{text}: it has no column 'path'; expected {', '.join(COLUMNS.types)}, of which "
                "all but the first may be left out"
            )

    @property
    def text(self) -> str:
        """Its path, which is whole, or its URL."""
        return self._place.text

    @property
    def reader(self) -> parquet.Reader:
        """The table itself."""
        return self._reader

    def listings(self, start: int, stop: int) -> list[Listing]:
        """Return the rows from a number on, up to another.

        Raises
        ------
        DataError
            If they cannot be read, or a row has no path.
        """
        try:
            columns = self._reader.rows(start, stop, self._names, COLUMNS)
        except ERRORS as error:
            raise DataError(
                f"{self.text}: rows {start} to {stop} cannot be read ({first_line(error)})"
            ) from error
        rows = zip(*(columns[name] for name in self._names), strict=True)
        return [self._listing(dict(zip(self._names, row, strict=True))) for row in rows]

    def refuse_repeated(self) -> None:
        """Raise if a frame is listed twice, as other programs may; takes 8 bytes a row of theirs.

        Raises
        ------
        DataError
            If one is, or rows cannot be read.
        """
        if self._reader.is_hashed:  # of edgeseg's own making, each once
            return
        hashes = np.fromiter(map(hash, self._keys()), np.int64, self.n_rows)
        hashes.sort()
        alike = {*hashes[1:][hashes[1:] == hashes[:-1]][:_FEW].tolist()}
        counts = Counter(key for key in self._keys() if hash(key) in alike) if alike else Counter()
        for (file, frame), count in counts.most_common(1):
            if count > 1:
                raise DataError(
                    f"{self.text}: {file}{f', frame {frame},' if frame else ''} is listed {count} "
                    "times; list each frame once, or tell files apart by the column 'file'"
                )

    def _keys(self) -> Iterator[tuple[str, int]]:
        for start in range(0, self.n_rows, _GROUP_ROWS):
            for listing in self.listings(start, min(start + _GROUP_ROWS, self.n_rows)):
                yield listing.item.key

    def _listing(self, row: dict[str, Any]) -> Listing:
        path = row["path"]
        if not path:
            raise DataError(f"{self.text}: a row has no path")
        file = row.get("file") or place_of(path).path.lstrip("/")
        if "\0" in path or "\0" in file:
            raise DataError(f"{self.text}: {path!r} has a character that no name has")
        item = Item(_UPWARDS.sub(_written_out, file), path, row.get("frame") or 0)
        return Listing(item, row.get("size_bytes"), _given(row))


def _written_out(part: re.Match[str]) -> str:
    return part[0].replace(".", "%2E")


def _given(row: dict[str, Any]) -> TableRow | None:
    """Return what a row gives of the size of pixels."""
    x_mm, source, reason = row.get("pixel_size_x_mm"), row.get("pixel_size_source"), ""
    y_mm = row.get("pixel_size_y_mm") or x_mm
    reason = row.get("reason") or ""
    if x_mm is None and not source and not reason:
        return None
    sides = row.get("width_px"), row.get("height_px")
    try:
        for side_mm in (x_mm, y_mm):
            check_pixel_size(side_mm)
    except EdgesegError as error:
        return TableRow(None, reason=str(error))
    size = None if x_mm is None or y_mm is None else PixelSize(x_mm, y_mm, source or "table")
    known_sides = None if None in sides else (int(sides[0] or 0), int(sides[1] or 0))
    return TableRow(size, None, known_sides, reason)
