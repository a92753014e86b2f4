"""The inputs of `infer`: its images, their pixel sizes and ages, and how to continue."""

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
    from edgeseg.cli.options import ScaleOptions
    from edgeseg.inputs.ages import Ages
    from edgeseg.inputs.pixel_sizes import PixelSizes
    from edgeseg.inputs.source import Source


@contextlib.contextmanager
def open_sources(inputs: list[str], out: Path) -> Iterator[list[Source]]:
    """Yield the sources of files, folders, patterns and standard input, sorted by name."""
    from edgeseg.inputs.discover import discover, items_of
    from edgeseg.inputs.standard_input import GIVEN, spool_image

    named = [text for text in inputs if text != GIVEN]
    sources: list[Source] = []
    if named:
        found = discover(named, out)
        sources += found.items
        for text in found.notices:
            console.notice(text)
    with contextlib.ExitStack() as stack:
        if named != inputs:
            spool = stack.enter_context(spool_image(getattr(sys.stdin, "buffer", None)))
            if spool.file in {source.file for source in sources}:
                raise DataError(
                    f"a file is called {spool.file!r} like the image on standard input; "
                    "measure one after the other"
                )
            sources += items_of(spool.file, spool.location)
        yield sorted(sources, key=lambda source: source.key)


def find_sizes(sources: list[Source], scale: ScaleOptions) -> PixelSizes:
    """Return the pixel sizes of sources, and print what is missing."""
    from edgeseg.inputs.pixel_sizes import PixelSizes
    from edgeseg.inputs.size_table import read_table

    table = read_table(scale.pixel_sizes, console.notice) if scale.pixel_sizes else None
    sizes = PixelSizes(sources, scale.read_size(), table)
    for text in sizes.notices:
        console.notice(text)
    scale.print_notices(sizes.is_given)
    return sizes


def find_ages(sources: list[Source], age: str | None, pixel_sizes: Path | None) -> Ages:
    """Return the gestational ages of sources: one for all, or of a table."""
    from edgeseg.inputs.ages import Ages, read_age, read_ages

    if age is None:
        return Ages(sources, None, read_ages(pixel_sizes) if pixel_sizes else None)
    if not Path(age).is_file():
        return Ages(sources, read_age(age), None)
    table = read_ages(Path(age))
    if table is None:
        raise DataError(f"{age}: no column of ages; title one 'ga' or 'gestational age (weeks)'")
    return Ages(sources, None, table)


def resume_command() -> str:
    """Return the command that continues this run."""
    words = [word for word in sys.argv[1:] if word not in ("--overwrite", "--resume")]
    if "infer" not in words:
        return "edgeseg infer --resume and the same arguments"
    words.insert(words.index("infer") + 1, "--resume")
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return join(["edgeseg", *words])
