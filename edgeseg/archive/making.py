"""The list of an archive's frames is made: a table of Parquet, in little memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from edgeseg.archive.arrow import parquet
from edgeseg.archive.ledger import Known, Ledger
from edgeseg.archive.listing import list_images
from edgeseg.archive.manifest import COLUMNS, GROUP_ROWS
from edgeseg.archive.place import Place
from edgeseg.images.frame import Size, as_pixel_size
from edgeseg.inputs.discover import frame_numbers, nothing_found
from edgeseg.inputs.left_out import Tally
from edgeseg.system.version import __version__

_PIECE_BYTES = 1 << 23


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
        Paths, patterns and URLs; see `edgeseg.inputs.discover.discover` for what is an image.
    pixel_size_mm, table
        Of all images, or a table of pixel sizes; see `edgeseg.inputs.pixel_sizes.PixelSizes`.
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
    while group := list(itertools.islice(rows, GROUP_ROWS)):
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
