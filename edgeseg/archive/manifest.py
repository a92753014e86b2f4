"""The list of an archive's frames, a table of Parquet, read part by part."""

from __future__ import annotations

import contextlib
import os
import re
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from edgeseg.archive import parquet
from edgeseg.archive.place import is_url, place_of
from edgeseg.archive.stores import ERRORS
from edgeseg.errors import DataError, EdgesegError
from edgeseg.images.frame import PixelSize, as_pixel_size
from edgeseg.inputs.size_table import TableRow
from edgeseg.inputs.source import Source
from edgeseg.system.text import first_line

SCHEMA = pa.schema([
    ("path", pa.string()), ("file", pa.string()), ("frame", pa.int32()),
    ("pixel_size_x_mm", pa.float64()), ("pixel_size_y_mm", pa.float64()),
    ("pixel_size_source", pa.string()), ("width_px", pa.int64()), ("height_px", pa.int64()),
    ("size_bytes", pa.int64()), ("modified", pa.timestamp("us", tz="UTC")),
    ("reason", pa.string()),
])  # fmt: skip
"""Where a frame lies and what results call it; the size of its pixels, and the sides of the image
that has it; the file's size and time; why the size is unknown."""
GROUP_ROWS = 20_000
"""What is decoded to read one part."""
# Of names as keys of stores and other programs may have them: parts that lead out of a folder, and
# slashes that are none between two parts, by which two names would be that of one picture.
_ODD_PARTS = re.compile(r"(?<![^/\\])\.\.?(?![^/\\])|(?<![^/])/|/$")
_FEW = 1000  # frames that may be listed twice


class ManifestRow(NamedTuple):
    """A frame as the manifest lists it."""

    source: Source  # its location is as `edgeseg.archive.place.Place.text`
    size_bytes: int | None  # of its file; None if that is not listed
    size: TableRow | None  # of its pixels, or why it is unknown; None: what its file says

    @property
    def is_given(self) -> bool:
        """Whether a pixel size is listed, if only as one that is unknown."""
        return self.size is not None

    def size_of(self, source: Source, shape: tuple[int, ...] | None = None) -> PixelSize | None:
        """Return the pixel size that is listed; see `edgeseg.inputs.facts.PixelSizes`."""
        if self.size is None:
            return None
        if self.size.reason:
            raise DataError(self.size.reason)
        return self.size.pixel_size if shape is None or self.size.is_of(shape) else None


class Manifest:
    """A manifest that is read, of edgeseg or another program's making.

    ``text`` is its path, which is whole, or its URL; ``digest`` tells it from any other. Raises
    `InputNotFoundError` if it cannot be read, `DataError` if it is no table that lists paths.
    """

    def __init__(self, text: str) -> None:
        place = place_of(text)
        self.text = place.text
        stream = place.open()
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
        columns = [name for name in self._reader.names if name in SCHEMA.names]
        self._names = [name for name in columns if name != "modified"]
        if "path" not in columns or len(columns) > len({*columns}):
            raise DataError(
                f"{text}: its columns are {', '.join(self._reader.names)}; expected 'path', and at "
                f"most once each of {', '.join(SCHEMA.names[1:])}"
            )

    def read_rows(self, start: int, stop: int) -> list[ManifestRow]:
        """Return the rows from a number on, up to another; a `DataError` if one has no path."""
        try:
            columns = self._reader.rows(start, stop, self._names, SCHEMA)
        except ERRORS as error:
            raise DataError(
                f"{self.text}: rows {start} to {stop} cannot be read ({first_line(error)})"
            ) from error
        rows = zip(*columns.values(), strict=True)
        return [
            self._parse_row(number, dict(zip(columns, row, strict=True)))
            for number, row in enumerate(rows, start)
        ]

    def refuse_repeated(self) -> None:
        """Raise `DataError` if a frame is listed twice; takes 8 bytes a row of other programs'."""
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
                    "times; list each frame once, or distinguish files by the column 'file'"
                )

    def _keys(self) -> Iterator[tuple[str, int]]:
        for start in range(0, self.n_rows, GROUP_ROWS):
            for row in self.read_rows(start, min(start + GROUP_ROWS, self.n_rows)):
                yield row.source.key

    def _parse_row(self, number: int, row: dict[str, Any]) -> ManifestRow:
        path = row["path"] or ""
        is_whole = os.path.isabs(path)  # noqa: PTH117 (many rows)
        if not is_whole and not path.lower().startswith("file://") and not is_url(path):
            raise DataError(
                f"{self.text}: row {number}, counted from 0, has the path {path!r}, which begins "
                "in no folder; list whole paths or URLs, which mean the same on every machine"
            )
        file = row.get("file")
        if not file:
            with contextlib.suppress(DataError):  # of a URL of no store its row says so
                file = place_of(path).path.lstrip("/")
        file = file or path
        if "\0" in path or "\0" in file:
            raise DataError(f"{self.text}: {path!r} has a character that no name has")
        source = Source(_ODD_PARTS.sub(_escape, file), path, row.get("frame") or 0)
        return ManifestRow(source, row.get("size_bytes"), _parse_size(row))


def _escape(part: re.Match[str]) -> str:
    return part[0].replace(".", "%2E").replace("/", "%2F")


def _parse_size(row: dict[str, Any]) -> TableRow | None:
    """Return the pixel size of a row, or why it is unknown."""
    x_mm, source = row.get("pixel_size_x_mm"), row.get("pixel_size_source")
    y_mm = row.get("pixel_size_y_mm")
    sides_mm: Any = x_mm, x_mm if y_mm is None else y_mm
    reason = row.get("reason") or ""
    if x_mm is None and not source and not reason:
        return None
    sides = row.get("width_px"), row.get("height_px")
    try:
        size = None if x_mm is None else as_pixel_size(sides_mm, source or "table")
    except EdgesegError as error:
        return TableRow(None, reason=str(error))
    known_sides = None if None in sides else (int(sides[0] or 0), int(sides[1] or 0))
    return TableRow(size, None, known_sides, reason)
