"""Pixel sizes of images: one for all, or a table's."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize, Size, as_pixel_size
from edgeseg.inputs.matching import RowIndex, RowMatch, match_rows
from edgeseg.inputs.size_table import TableRow
from edgeseg.inputs.source import Source
from edgeseg.system.text import cut


class PixelSizes:
    """Millimetres per pixel of each image: one for all, a table's, or unknown.

    Parameters
    ----------
    sources
        All images of the run, which a table is held to: two that share a row get none. Empty if
        they are not known beforehand; then each is looked up alone.
    pixel_size_mm
        Size of all, one number or (x, y); beats the table.
    table
        As `edgeseg.inputs.size_table.read_table` returns it.

    Attributes
    ----------
    notices
        Sentences on rows and images that do not meet.

    Raises
    ------
    DataError
        If the one size cannot be one, or no row is of any image.
    """

    def __init__(
        self,
        sources: Sequence[Source] = (),
        pixel_size_mm: Size = None,
        table: Mapping[str, TableRow] | None = None,
    ) -> None:
        self._one = as_pixel_size(pixel_size_mm, "option")
        self._table = table
        self._index = RowIndex(table or {})
        self._matches: dict[str, RowMatch] = {}
        self._resized: dict[str, str] = {}
        self._adding = threading.Lock()
        self.notices: list[str] = []
        if self._one is None and table is not None and sources:
            self._matches = match_rows(sources, table)
            self.notices += self._describe_fit(sources[0].file, table)

    @property
    def is_given(self) -> bool:
        """Whether a pixel size of all or a table was given."""
        return self._one is not None or self._table is not None

    def has_size(self, source: Source) -> bool:
        """Return whether an image's pixel size was given, if only as one that is unknown."""
        return self.is_given

    def size_of(self, source: Source, shape: tuple[int, ...] | None = None) -> PixelSize | None:
        """Return the pixel size of an image, or None if it is unknown.

        Parameters
        ----------
        shape
            (height, width) of the image, once it is read. If the table says that its sizes are of
            an image of other sides, this one is a copy, and the size of its pixels is unknown.

        Raises
        ------
        DataError
            If the table has no row for the image, one that cannot be used, or one that fits two
            images.
        """
        if self._one is not None or self._table is None:
            return self._one
        match = self._matches.get(source.file) or self._index.find(source)
        if match.reason:
            raise DataError(match.reason)
        row = self._table[match.name]
        if row.reason:
            raise DataError(row.reason)
        if shape is None or row.sides_px is None or row.is_of(shape):
            return row.pixel_size
        expected = "x".join(map(str, row.sides_px))
        with self._adding:
            self._resized[source.file] = (
                f"{source.file} is {shape[1]}x{shape[0]}, the table says {expected}"
            )
        return None

    def resized_notice(self) -> str | None:
        """Return a sentence on the images that have other sides than the table says."""
        if not self._resized:
            return None
        example = self._resized[min(self._resized)]
        return (
            f"{len(self._resized)} images have other sides than the table says, so the size of "
            f"their pixels is unknown and their lengths are in pixels: {example}"
        )

    def _describe_fit(self, first_file: str, table: Mapping[str, TableRow]) -> Iterator[str]:
        if all(match.is_missing for match in self._matches.values()):
            raise no_match_error(next(iter(table), None), first_file)
        used = {match.name for match in self._matches.values()}
        unused = [name for name in table if name not in used]
        fit = TableFit(len(unused), unused[0] if unused else None)
        for file, match in self._matches.items():
            if match.names_other_folders:
                fit.add_other_folders(match.name, file)
            if not match.reason and not (table[match.name].pixel_size or table[match.name].reason):
                fit.n_without_size += 1
                fit.without_size = min(file, fit.without_size or file)
        yield from fit.notices()


@dataclass(slots=True)
class TableFit:
    """How the rows of a table fit images, each count with an example.

    Attributes
    ----------
    n_unused, unused
        Rows without an image: a row's name.
    n_other_folders, other_folders
        Images whose row, found by file name, names other folders: the row's name and the file.
    n_without_size, without_size
        Images whose row gives no size: a file.
    """

    n_unused: int = 0
    unused: str | None = None
    n_other_folders: int = 0
    other_folders: tuple[str, str] | None = None
    n_without_size: int = 0
    without_size: str | None = None

    def add_other_folders(self, name: str, file: str) -> None:
        """Count an image whose row names other folders."""
        self.n_other_folders += 1
        self.other_folders = self.other_folders or (name, file)

    def notices(self) -> Iterator[str]:
        """Yield a sentence for each count."""
        if self.unused is not None:
            yield (
                f"{self.n_unused} rows of the pixel-size table have no image, such as "
                f"{cut(self.unused)!r}"
            )
        if self.other_folders is not None:
            name, file = self.other_folders
            yield (
                f"the pixel-size table names other folders for {self.n_other_folders} images: its "
                f"row {cut(name)!r} was found for {file!r}"
            )
        if self.without_size is not None:
            yield (
                f"the pixel-size table gives no size for {self.n_without_size} images, such as "
                f"{self.without_size!r}: their lengths are in pixels"
            )


def no_match_error(first_name: str | None, first_file: str) -> DataError:
    """Return the error that no row is of any image.

    Parameters
    ----------
    first_name
        The name in the table's first row; None if the table has no rows.
    first_file
        The first image.
    """
    has = f"its first is {cut(first_name)!r}" if first_name is not None else "it has none"
    return DataError(
        f"no row of the pixel-size table is of any image: {has}, the first image is "
        f"{first_file!r}; the table needs a row for {first_file!r}"
    )
