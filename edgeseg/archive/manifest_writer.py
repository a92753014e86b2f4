"""Writes the list of an archive's frames: a table of Parquet, in little memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from edgeseg.archive import parquet
from edgeseg.archive.file_list import FileList
from edgeseg.archive.listing import list_images
from edgeseg.archive.manifest import GROUP_ROWS, SCHEMA
from edgeseg.archive.place import Place
from edgeseg.images.frame import Size, as_pixel_size
from edgeseg.inputs.left_out import Tally, nothing_found
from edgeseg.system.version import __version__

_PIECE_BYTES = 1 << 23


class ManifestSize(NamedTuple):
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
) -> ManifestSize:
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
        If two files cannot be distinguished by name, or no row of the table is of any image.
    OutputWriteError
        If the list cannot be written.
    """
    tally = Tally()
    with FileList(out.local.parent if out.is_local else None) as files:
        for text in inputs:
            files.add(list_images(text, tally), on_file)
        notices = tally.sentences()
        n_files = files.count()
        if not n_files:
            raise nothing_found(inputs, notices)
        for text in notices:
            on_notice(text)
        files.make_names_differ()
        size = as_pixel_size(pixel_size_mm)
        if size is None and table is not None:
            files.add_table(table, on_notice)
        with files.open_scratch() as stream:
            n_frames = _write_rows(stream, files.list_rows(size))
            stream.seek(0)
            out.write(iter(lambda: stream.read(_PIECE_BYTES), b""))
    return ManifestSize(n_files, n_frames)


def _write_rows(stream: BinaryIO, rows: Iterator[tuple[Any, ...]]) -> int:
    """Write the table and return how many rows it has."""
    writer = parquet.Writer(stream, SCHEMA, {"edgeseg": __version__})
    n_rows = 0
    while group := list(itertools.islice(rows, GROUP_ROWS)):
        writer.write(dict(zip(SCHEMA.names, zip(*group, strict=True), strict=True)))
        n_rows += len(group)
    writer.close()
    return n_rows
