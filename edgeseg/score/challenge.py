"""The submission file of the HC18 challenge."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.images import image_file
from edgeseg.inputs.discover import Found, discover
from edgeseg.inputs.facts import PixelSizes
from edgeseg.inputs.size_table import read_table
from edgeseg.inputs.source import Source
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import csv_text, write_atomic
from edgeseg.system.parallel import ordered_map, usable_cores

COLUMNS = (
    "filename", "center_x_mm", "center_y_mm", "semi_axes_a_mm", "semi_axes_b_mm", "angle_rad",
)  # fmt: skip


def find_images(folder: Path, table: Path | None = None) -> tuple[Found, PixelSizes]:
    """Find the images of the HC18 folder, or of its ``test_set``, and their pixel sizes.

    These are in a table, by default ``<images folder>_pixel_size*.csv`` beside the images' folder.
    Raises `InputNotFoundError` if there is no image or no table, and `DataError` if there are
    several tables, or the table is not one.
    """
    images = folder / "test_set" if (folder / "test_set").is_dir() else folder
    found = discover([str(images)])
    if table is None:
        beside, name = images.resolve().parent, images.resolve().name
        tables = sorted(beside.glob(f"{glob.escape(name)}_pixel_size*.csv"))
        if len(tables) != 1:
            error = DataError if tables else InputNotFoundError
            raise error(
                f"{len(tables)} tables are called {name}_pixel_size*.csv in {beside}; give one "
                "with --pixel-sizes"
            )
        table = tables[0]
    sizes = PixelSizes(found.items, table=read_table(table, found.notices.append))
    found.notices.extend(sizes.notices)
    return found, sizes


def write_submission(
    segmenter: Segmenter,
    sources: list[Source],
    pixel_sizes: PixelSizes,
    out: Path,
    on_image: Callable[[], None] = lambda: None,
) -> None:
    """Measure every image and write the submission, columns ``COLUMNS``.

    The challenge takes complete files only: nothing is written, but `DataError` raised, if an image
    has no pixel size or no head is found in it, and `ImageDecodeError` if it cannot be read.
    """

    def measure(source: Source) -> tuple[str, ...]:
        gray = image_file.read_gray(source.path)
        pixel_size = pixel_sizes.size_of(source, gray.shape)
        if pixel_size is None:
            reason = pixel_sizes.resized_notice() or "no pixel size is given for it"
            raise DataError(f"{source.path}: {reason}")
        found = segmenter.predict(gray, pixel_size).ellipse
        if found is None:
            raise DataError(f"{source.path}: no head was found; the challenge needs one an image")
        in_mm = astuple(found.scaled(pixel_size.x_mm, pixel_size.y_mm))
        return (source.file, *(f"{value:.6f}" for value in in_mm))

    rows: list[tuple[str, ...]] = [COLUMNS]
    for values in ordered_map(measure, sources, usable_cores()):
        rows.append(values)
        on_image()
    write_atomic(out, csv_text(rows).encode())
