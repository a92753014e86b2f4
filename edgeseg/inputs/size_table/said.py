"""What people are told of how a table fits their images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgeseg.errors import DataError
from edgeseg.system.text import cut


@dataclass(slots=True)
class Fit:
    """How the rows of a table fit images, each count with an example.

    Attributes
    ----------
    n_absent, absent
        Rows without an image.
    n_moved, moved
        Images whose folders the table calls otherwise: a row's name and a file.
    n_without, without
        Images whose row gives no size: a file.
    """

    n_absent: int = 0
    absent: str | None = None
    n_moved: int = 0
    moved: tuple[str, str] | None = None
    n_without: int = 0
    without: str | None = None

    def add_moved(self, name: str, file: str) -> None:
        """Count an image whose row names other folders."""
        self.n_moved += 1
        self.moved = self.moved or (name, file)

    def sentences(self) -> Iterator[str]:
        """Yield a sentence for each count."""
        if self.absent is not None:
            yield (
                f"{self.n_absent} rows of the pixel-size table have no image, such as "
                f"{cut(self.absent)!r}"
            )
        if self.moved is not None:
            name, file = self.moved
            yield (
                f"the pixel-size table names other folders for {self.n_moved} images: its row "
                f"{cut(name)!r} was taken for {file!r}"
            )
        if self.without is not None:
            yield (
                f"the pixel-size table gives no size for {self.n_without} images, such as "
                f"{self.without!r}: their lengths are in pixels"
            )


def nothing_fits(first: str | None, file: str) -> DataError:
    """Return the error that no row is of any image.

    Parameters
    ----------
    first
        The name in the table's first row; None of a table without rows.
    file
        The first image.
    """
    has = f"its first is {cut(first)!r}" if first is not None else "it has none"
    return DataError(
        f"no row of the pixel-size table is of any image: {has}, the first image is {file!r}; the "
        f"table needs a row for {file!r}"
    )
