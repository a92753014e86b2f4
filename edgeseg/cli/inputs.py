"""What `infer` was given: its images, the size of their pixels, and itself."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.cli import console
from edgeseg.errors import DataError

if TYPE_CHECKING:
    from edgeseg.inputs.pixel_sizes import PixelSizes
    from edgeseg.inputs.source import Source


@contextlib.contextmanager
def given_images(inputs: list[str], out: Path) -> Iterator[list[Source]]:
    """Yield the images of a command's inputs, one on standard input among them, sorted by name."""
    from edgeseg.inputs.discover import discover, items_of
    from edgeseg.inputs.standard_input import GIVEN, spooled

    named = [given for given in inputs if given != GIVEN]
    items: list[Source] = []
    if named:
        found = discover(named, out)
        items += found.items
        for text in found.notices:
            console.notice(text)
    with contextlib.ExitStack() as stack:
        if named != inputs:
            given = stack.enter_context(spooled(getattr(sys.stdin, "buffer", None)))
            if given.file in {item.file for item in items}:
                raise DataError(
                    f"a file is called {given.file!r}, as the image on standard input is; "
                    "measure one after the other"
                )
            items += items_of(given.file, given.location)
        yield sorted(items, key=lambda item: item.key)


def given_sizes(
    items: list[Source], size_mm: float | tuple[float, float] | None, table_path: Path | None
) -> PixelSizes:
    """Return what is known of the images' pixels, and say what is not."""
    from edgeseg.inputs.pixel_sizes import PixelSizes
    from edgeseg.inputs.size_table import read_table

    table = read_table(table_path, console.notice) if table_path else None
    sizes = PixelSizes(items, size_mm, table)
    for text in sizes.notices:
        console.notice(text)
    if not sizes.is_given:
        console.notice(
            "no pixel size given: of files that do not say one themselves, lengths are in pixels "
            "and the mm columns stay empty"
        )
    if table and size_mm is not None:
        console.notice(f"--pixel-size holds for all images: {table_path} is not used")
    return sizes


def resuming_command() -> str:
    """Return the command that goes on with this one."""
    given = [argument for argument in sys.argv[1:] if argument not in ("--overwrite", "--resume")]
    if "infer" not in given:
        return "edgeseg infer --resume and the same arguments"
    given.insert(given.index("infer") + 1, "--resume")
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return join(["edgeseg", *given])
