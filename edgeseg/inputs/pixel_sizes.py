"""Pixel sizes of images: one for all, or a table's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize, Size, as_pixel_size
from edgeseg.inputs.matching import RowMatch, make_finder, match_rows
from edgeseg.inputs.size_table import TableRow
from edgeseg.inputs.source import Source
from edgeseg.system.text import cut


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
        self._find = make_finder(table or {})
        self._matches: dict[str, RowMatch] = {}
        self._resized: dict[str, str] = {}
        self.notices: list[str] = []
        if self._one is None and table is not None and sources:
            self._matches = match_rows(sources, table)
            self.notices += self._describe_fit(sources[0].file, table)

    @property
    def is_given(self) -> bool:
        """Whether a pixel size of all or a table was given."""
        return self._one is not None or self._table is not None

    def has_size(self, source: Source) -> bool:
        """Return whether an image's pixel size was given, as all are or none."""
        return self.is_given

    def size_of(self, source: Source, shape: tuple[int, ...] | None = None) -> PixelSize | None:
        """Return the pixel size of an image, or None if it is unknown.

        ``shape`` is (height, width), once it is read: where the table says another, the image is a
        copy, of pixels of unknown size. Raises DataError if its row is missing, wrong or another's.
        """
        if self._one is not None or self._table is None:
            return self._one
        match = self._matches.get(source.file) or self._find(source)
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
    table = "pixel-size table"
    if unused[0]:
        yield f"rows of the {table} without an image: {unused[0]}, such as {cut(unused[1])!r}"
    if elsewhere[0]:
        yield (
            f"images for which the {table} names other folders: {elsewhere[0]}, such as "
            f"{elsewhere[1]!r}, for which its row {cut(elsewhere[2])!r} was found"
        )
    if without_size[0]:
        yield (
            f"images without a size in the {table}: {without_size[0]}, such as "
            f"{without_size[1]!r}; unless a ruler tells it, their lengths are in pixels"
        )


def no_match_error(first_name: str | None, first_file: str) -> DataError:
    """Return the error that no row is of any image; ``first_name``: of the first row, if any."""
    has = f"its first is {cut(first_name)!r}" if first_name is not None else "it has none"
    return DataError(
        f"no row of the pixel-size table is of any image: {has}, the first image is "
        f"{first_file!r}; the table needs a row for {first_file!r}"
    )
