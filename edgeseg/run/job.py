"""A file that is measured, and the pictures written of it before they have their names."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from edgeseg.errors import OutputWriteError
from edgeseg.inputs.source import Source
from edgeseg.output.table import Row
from edgeseg.system.files import new_part

PARTS_NAME = ".edgeseg-parts"
"""Folder of pictures that have no name yet; what is in it when no run goes on is nobody's."""


class Job:
    """A file in progress: all its frames, their rows, and the pictures written of them."""

    def __init__(self, first: Source, out: Path) -> None:
        self.file, self.version, self._out = first.file, first.version, out
        self.sources: list[Source] = []  # of the frames that have begun
        self.future: Future[list[Row]] = Future()
        self.rows: list[Row] = []  # empty until the frame is measured
        self.parts: dict[str, tuple[Path, int, int]] = {}  # by name: part, frame's place, size
        self.n_left = 1  # frames, and one while more may begin
        self.error: BaseException | None = None

    def write(self, place: int, name: str, data: bytes | Iterable[bytes]) -> None:
        """Write a picture of a frame, which gets its name when the file is committed."""
        part = self._out / PARTS_NAME / new_part()
        try:
            part.parent.mkdir(exist_ok=True)
            with part.open("wb") as stream:
                stream.writelines([data] if isinstance(data, bytes) else data)
                size = stream.tell()
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise unwritten(self._out / name, error) from error
        self.parts[name] = part, place, size


def remove_parts(out: Path) -> None:
    """Remove the pictures that a killed run gave no names."""
    with suppress(FileNotFoundError):
        for part in (out / PARTS_NAME).iterdir():
            part.unlink(missing_ok=True)
        (out / PARTS_NAME).rmdir()


def unwritten(path: Path, error: OSError) -> OutputWriteError:
    """Return the error of a file that cannot be written."""
    return OutputWriteError(f"{path}: cannot be written ({error.strerror})")
