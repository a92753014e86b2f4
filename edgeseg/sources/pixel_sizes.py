"""Pixel sizes of images: one for all, or a table as HC18 ships it."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.sources.discover import Item
from edgeseg.sources.frame import PixelSize, as_pixel_size, check_pixel_size


class TableRow(NamedTuple):
    """One row of HC18's table: ``hc_mm`` is None where the table has no such column."""

    pixel_size_mm: float
    hc_mm: float | None


def read_table(path: Path) -> dict[str, TableRow]:
    """Read a pixel-size table as HC18 ships it.

    Parameters
    ----------
    path
        CSV with a header; its first column is the file name, the second the pixel size in mm and
        an optional third the head circumference in mm.

    Returns
    -------
    dict
        File name -> row, in the order of the file.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    DataError
        If it is not such a table, repeats a file, or holds a size that is not a positive number
        or cannot be a pixel size (see `edgeseg.sources.pixel_sizes.check_pixel_size`).
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = [line for line in csv.reader(stream) if any(cell.strip() for cell in line)]
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such file; a pixel-size CSV was expected") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable CSV ({error})") from error
    _check_header(path, lines[0] if lines else [])
    table: dict[str, TableRow] = {}
    for number, line in enumerate(lines[1:], start=2):
        name = line[0].strip()
        if name in table:
            raise DataError(f"{path}, row {number}: {name!r} is there twice; keep one row a file")
        if len(line) < 2:
            raise DataError(f"{path}, row {number}: {name!r} has no pixel size")
        hc_mm = line[2].strip() if len(line) > 2 else ""
        where = f"{path}, row {number} ({name!r})"
        size_mm = _positive(line[1], f"{where}: pixel size")
        check_pixel_size(size_mm, f"{where}: ")
        table[name] = TableRow(
            size_mm, _positive(hc_mm, f"{where}: head circumference") if hc_mm else None
        )
    return table


def _check_header(path: Path, titles: Sequence[str]) -> None:
    """Refuse a table whose second column does not say that it holds pixel sizes in mm."""
    title = titles[1].lower() if len(titles) > 1 else ""
    # "µm" has two code points, and some write "um"
    if "pixel" in title and not any(unit in title for unit in ("µm", "μm", "um)", "micro", "cm")):
        return
    found = ",".join(titles)
    separated = next(
        (f"; it is separated by {s!r}, not by commas" for s in ";\t" if s in found), ""
    )
    raise DataError(
        f"{path}: the first line must be a header such as "
        f"'filename,pixel size(mm),head circumference (mm)', found {found!r}{separated}"
    )


def _positive(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise DataError(f"{what} is {text.strip()!r}, expected a positive number of mm")
    return value


class PixelSizes:
    """Millimetres per pixel of each image: one for all, a table's, or unknown.

    Parameters
    ----------
    items
        All images of the run.
    pixel_size_mm
        Size of all, beats the table.
    table
        As `read_table` gives it; a row is found by ``file``, else by bare name.

    Raises
    ------
    DataError
        If the size cannot be one (see `edgeseg.sources.pixel_sizes.check_pixel_size`).
    """

    def __init__(
        self,
        items: Iterable[Item],
        pixel_size_mm: float | None = None,
        table: Mapping[str, TableRow] | None = None,
    ) -> None:
        self._one = as_pixel_size(pixel_size_mm, "option")
        self._table = table
        self._bare_names = Counter(Path(item.file).name for item in items)

    @property
    def known(self) -> bool:
        """Whether any pixel size was given."""
        return self._one is not None or self._table is not None

    def of(self, item: Item) -> PixelSize | None:
        """Return the pixel size of an image, or None if none was given for any.

        Raises
        ------
        DataError
            If the table has no row for the image, or one that fits two images.
        """
        if self._one is not None or self._table is None:
            return self._one
        row = self._table.get(item.file)
        if row is None:
            bare = Path(item.file).name
            row = self._table.get(bare)
            if row is not None and self._bare_names[bare] > 1:
                raise DataError(
                    f"the pixel-size CSV has one row for {bare!r} and {self._bare_names[bare]} "
                    f"images are called so; name them as {item.file!r} in it"
                )
        if row is None:
            raise DataError(f"the pixel-size CSV has no row for {item.file!r}; add one")
        return PixelSize(row.pixel_size_mm, row.pixel_size_mm, "table")
