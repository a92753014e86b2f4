"""Stores of files by their URLs, and what fails there."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.fs as pafs

_PROBE = "edgeseg"
_ONE_PUT = "allow_delayed_open=true"
_BUFFER_BYTES = 1 << 18
ERRORS: tuple[type[Exception], ...] = (OSError, ValueError, ImportError, pa.ArrowException)
"""What functions of pyarrow raise where a store or a table fails."""


class Entry(NamedTuple):
    """What a store says of a file or folder: its path there, and of a file size and time."""

    path: str
    is_folder: bool
    size_bytes: int | None
    modified_us: int | None


class Store:
    """A file system of pyarrow and the folders of it that URLs of one beginning name.

    Parameters
    ----------
    start, query
        Scheme and host of the URLs, ``s3://bucket``, and what follows a question mark in them.
    """

    def __init__(self, start: str, query: str) -> None:
        self._fs, base = _opened(start, query)
        self._before: str = base.removesuffix(_PROBE)
        # of stores where an object appears once all of it is there
        self.is_whole_at_once = self._fs.type_name in ("s3", "gcs", "abfs")

    def path(self, below: str) -> str:
        """Return the store's own path of what a URL names below its beginning."""
        return self._before + below

    def info(self, path: str) -> Entry | None:
        """Return what is known of a file or folder; None if it is not there."""
        found = self._fs.get_file_info(path)
        return None if found.type == pafs.FileType.NotFound else _entry(found)

    def folder(self, path: str) -> Iterator[Entry]:
        """Yield what is in a folder; nothing if it is not there."""
        selector = pafs.FileSelector(path, allow_not_found=True)
        return map(_entry, self._fs.get_file_info(selector))

    def open(self, path: str) -> BinaryIO:
        """Open a file that may be read from any place on."""
        # each read is a question to the store, and some readers take a few bytes at a time
        return io.BufferedReader(_StoreFile(self._fs.open_input_file(path), path), _BUFFER_BYTES)

    def read(self, path: str, at_most: int | None = None) -> bytes:
        """Read a file, or its beginning."""
        with self._fs.open_input_stream(path) as stream:
            data: bytes = stream.read(at_most)
        return data

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it."""
        self._fs.create_dir(path)

    def write(self, path: str, data: Iterable[bytes]) -> None:
        """Write a file piece by piece; others may see it before all of it is there."""
        stream = self._fs.open_output_stream(path)
        try:
            for piece in data:
                stream.write(piece)
        finally:  # one that is dropped open would be closed too, and hold Python's lock meanwhile
            stream.close()

    def move(self, path: str, to: str) -> None:
        """Give a file another name, at once."""
        self._fs.move(path, to)

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._fs.delete_file(path)


def _opened(start: str, query: str) -> Any:
    """Return a file system and the path of a file in it."""
    url = f"{start}/{_PROBE}{query}"
    if start.startswith("s3://"):
        # a small file in one PUT instead of three requests, where pyarrow can
        with contextlib.suppress(ValueError):
            return pafs.FileSystem.from_uri(f"{url}{'&' if query else '?'}{_ONE_PUT}")
    return pafs.FileSystem.from_uri(url)


class _StoreFile(io.RawIOBase):
    """A store's open file as one of Python's, which readers ask for its name."""

    def __init__(self, file: Any, path: str) -> None:
        self._file, self.name = file, path
        self.failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count: int = self._file.readinto(buffer)
        except ERRORS as error:
            self.failure = error
            raise
        return count

    def seek(self, offset: int, whence: int = 0) -> int:
        position: int = self._file.seek(offset, whence)
        return position

    def tell(self) -> int:
        position: int = self._file.tell()
        return position

    def close(self) -> None:
        self._file.close()
        super().close()


def failure_of(stream: BinaryIO) -> Exception | None:
    """Return what reading a store's open file failed with, which its reader may have kept back."""
    failure: Exception | None = getattr(getattr(stream, "raw", None), "failure", None)
    return failure


@lru_cache(maxsize=32)
def store_of(start: str, query: str) -> Store:
    """Return the store that URLs of one beginning name, and one session with it a process."""
    return Store(start, query)


def _entry(found: Any) -> Entry:
    is_folder = found.type == pafs.FileType.Directory
    modified_us = None if found.mtime_ns is None else found.mtime_ns // 1000
    return Entry(found.path, is_folder, None if is_folder else found.size, modified_us)
