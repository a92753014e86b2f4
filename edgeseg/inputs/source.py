"""One image or frame to measure: its name in the results, and where it lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """One image to measure."""

    file: str  # Path below its input, with forward slashes; results name it by this.
    location: str  # As text: a `Path` takes ten times the memory in large folders.
    frame: int = 0  # Which of its file it is, from 1; 0 if the file is one image.
    # Tells the file from an earlier or later one of its name; empty if it does not change.
    version: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from all others of a run: its file and frame."""
        return self.file, self.frame

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.location)


class Stamp(NamedTuple):
    """What tells a file from a later one at its place: its size, and when it was changed."""

    size_bytes: int
    modified_ns: int


def stamp_of(location: str) -> Stamp | None:
    """Return a file's stamp now; None of what is no file that can be looked at."""
    try:
        status = os.stat(location)  # noqa: PTH116 (a path for each of many images costs more)
    except (OSError, ValueError):
        return None
    return Stamp(status.st_size, status.st_mtime_ns)
