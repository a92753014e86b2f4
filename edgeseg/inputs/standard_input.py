"""One image that another program writes to standard input."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edgeseg.errors import InputNotFoundError, OutputWriteError
from edgeseg.inputs.source import Source

GIVEN = "-"
NAME = "stdin"
MAX_BYTES = 2**29
"""More than any image has that is read."""


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
            f"{GIVEN!r} is the image on standard input, and that is the keyboard; write: "
            "cat scan.png | edgeseg infer - --out DIR"
        )
    data = stream.read(MAX_BYTES + 1)
    if not 0 < len(data) <= MAX_BYTES:
        held = "holds nothing" if not data else f"holds more than {MAX_BYTES >> 20} MiB"
        raise InputNotFoundError(f"standard input {held}; expected the bytes of one image file")
    with contextlib.ExitStack() as stack:
        try:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeseg-")), NAME)
            path.write_bytes(data)
        except OSError as error:
            raise OutputWriteError(
                f"standard input cannot be kept in a file meanwhile ({error.strerror}); set TMPDIR "
                "to a folder with room"
            ) from error
        yield Source(NAME, str(path))
