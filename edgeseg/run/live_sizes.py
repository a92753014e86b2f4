"""Pixel sizes of images that come one by one, from a table that may change meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from edgeseg.errors import EdgesegError
from edgeseg.images.frame import PixelSize, Size
from edgeseg.inputs.pixel_sizes import PixelSizes
from edgeseg.inputs.size_table import TableRow, read_table
from edgeseg.inputs.source import Source, Stamp, stamp_of


class LiveSizes:
    """Millimetres per pixel as `PixelSizes` has them, of images that are not known beforehand.

    Parameters
    ----------
    pixel_size_mm
        Size of all; beats the table.
    table_path
        A table of them, which is read again when it changes.
    on_notice
        Called with sentences on the table.

    Raises
    ------
    InputNotFoundError, DataError
        If the table cannot be read now, or the size cannot be one.
    """

    def __init__(
        self,
        pixel_size_mm: Size = None,
        table_path: Path | None = None,
        on_notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._path = table_path if pixel_size_mm is None else None
        self._on_notice = on_notice
        self._stamp: Stamp | None = None
        self._table: Mapping[str, TableRow] | None = None
        if self._path is not None:
            self._stamp = stamp_of(str(self._path))
            self._table = read_table(self._path, on_notice)
        self._sizes = PixelSizes((), pixel_size_mm, self._table)

    def has_size(self, source: Source) -> bool:
        """Return whether an image's pixel size was given; see `PixelSizes.has_size`."""
        return self._sizes.is_given

    def size_of(self, source: Source, shape: tuple[int, ...] | None = None) -> PixelSize | None:
        """Return the pixel size of an image; see `PixelSizes.size_of`."""
        return self._sizes.size_of(source, shape)

    def refresh(self) -> bool:
        """Read the table again if it has changed, and tell whether it was.

        One that cannot be read, as while it is written, is left for later: the last one holds.
        """
        if self._path is None:
            return False
        stamp = stamp_of(str(self._path))
        if stamp is None or stamp == self._stamp:
            return False
        try:
            self._table = read_table(self._path, self._on_notice)
        except EdgesegError:
            return False
        self._sizes = PixelSizes((), None, self._table)
        self._stamp = stamp
        return True
