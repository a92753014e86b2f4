"""Adds rows to a file of results that others may read, or a kill may end, at any moment."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from edgeseg.errors import OutputWriteError
from edgeseg.output.table import encoded


class RowAppender:
    """Appends rows to a results file, each on disk before the next image is reported.

    Parameters
    ----------
    durable
        Whether rows outlive a power cut too, at the price of a wait for the disk.

    Raises
    ------
    OutputWriteError
        If the file cannot be written.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self._path, self._durable = path, durable
        try:
            self._stream = path.open("ab", buffering=0)
        except OSError as error:
            raise OutputWriteError(f"{path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> RowAppender:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # each row is out, or its failure was raised
            self._stream.close()

    def append(self, lines: str) -> int:
        """Add a row, or several together, given as lines; all of them or, if that fails, none.

        Returns where they begin in the file, for `cut`.

        Raises
        ------
        OutputWriteError
            If they cannot be written, or durable rows would go to a file that is another by now: a
            spreadsheet that saves it, or whoever deletes it, leaves us with one nobody can open.
        """
        if self._durable and not self._is_ours():
            raise OutputWriteError(
                f"{self._path}: it was deleted or replaced while rows were added; put it back and "
                "start again"
            )
        start = self._stream.seek(0, io.SEEK_END)
        left = memoryview(encoded(lines))
        try:
            while left:
                left = left[self._stream.write(left) or 0 :]
            if self._durable:
                os.fsync(self._stream.fileno())
        except OSError as error:
            self.cut(start)
            raise OutputWriteError(f"{self._path}: cannot be written ({error.strerror})") from error
        return start

    def _is_ours(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._stream.fileno()))
        except OSError:
            return False

    def cut(self, start: int) -> None:
        """Take back the rows that begin at a place in the file, and all that follow."""
        with contextlib.suppress(OSError):
            self._stream.truncate(start)
