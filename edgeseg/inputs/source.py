"""What names a picture: its name in the results, and where it lies, if only for the run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from edgeseg.errors import EdgesegError, InputNotFoundError, OutputWriteError
from edgeseg.images.frame import Frame

STANDARD_INPUT = "-"
ALL_FRAMES = -1
"""Stands for the number of a frame where a film is read from its start, frame by frame."""
_STDIN_NAME = "stdin"
_MAX_BYTES = 2**29  # more than any image has that is read


class Source(NamedTuple):
    """One image to measure."""

    file: str  # Path below its input, with forward slashes; results name it by this.
    location: str  # As text: a `Path` takes ten times the memory in large folders.
    frame: int = 0  # Which of its file it is, from 1; 0 if the file is one image; or ALL_FRAMES.
    # Tells the file from an earlier or later one of its name; empty if it does not change.
    version: str = ""
    decoded: Frame | EdgesegError | None = None  # What was read, or why not; None: not yet read.

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from all others of a run: its file and frame."""
        return self.file, max(self.frame, 0)

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


@contextlib.contextmanager
def spool_image(stream: BinaryIO | None) -> Iterator[Source]:
    """Yield the image that a stream holds, as a file that lies there meanwhile; None: no stream.

    Raises InputNotFoundError if nothing comes, or more than an image; OutputWriteError if there is
    no room for the file.
    """
    import tempfile  # which no other command waits for

    if stream is None:
        raise InputNotFoundError("standard input is closed; expected the bytes of one image file")
    if stream.isatty():
        raise InputNotFoundError(
            f"{STANDARD_INPUT!r} is the image on standard input, and that is the keyboard; write: "
            "cat scan.png | edgeseg infer - --out DIR"
        )
    data = stream.read(_MAX_BYTES + 1)
    if not 0 < len(data) <= _MAX_BYTES:
        held = "holds nothing" if not data else f"holds more than {_MAX_BYTES >> 20} MiB"
        raise InputNotFoundError(f"standard input {held}; expected the bytes of one image file")
    with contextlib.ExitStack() as stack:
        try:
            path = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeseg-")), _STDIN_NAME
            )
            path.write_bytes(data)
        except OSError as error:
            raise OutputWriteError(
                f"standard input cannot be kept in a file meanwhile ({error.strerror}); set TMPDIR "
                "to a folder with room"
            ) from error
        yield Source(_STDIN_NAME, str(path))
