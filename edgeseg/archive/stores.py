"""The stores that pyarrow knows, as file systems."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.fs as pafs

_PROBE = "edgeseg"
_ONE_PUT = "allow_delayed_open=true"
_BUFFER_BYTES = 1 << 18
_MARK_BYTES = 16  # put where the last bytes of an answer will be
_ASKS = 3  # for what a store denies, before it is believed
_PAGE = 1000  # entries in one answer of a listing
ERRORS: tuple[type[Exception], ...] = (OSError, ValueError, ImportError, pa.ArrowException)
"""What functions of pyarrow raise where a store or a table fails."""


class Entry(NamedTuple):
    """What a file system knows of a file or folder; sizes and times of files only."""

    path: str
    is_folder: bool
    size_bytes: int | None
    modified_us: int | None


class Store:
    """A file system of pyarrow, below what URLs of one beginning name.

    A connection that ends within the head of an answer passes for an answer: a file then has no
    bytes or those of uninitialised memory, a folder no files or those of some pages only. Such
    answers are asked for again.
    """

    def __init__(self, start: str, query: str) -> None:
        self._fs, base = _open_file_system(start, query)
        self._before: str = base.removesuffix(_PROBE)
        # whether an object appears once all of it is there
        self.is_whole_at_once = self._fs.type_name in ("s3", "gcs", "abfs")

    def path(self, below: str) -> str:
        """Return the store's own path of what a URL names below its beginning."""
        return self._before + below

    def info(self, path: str) -> Entry | None:
        """Return what is known of a file or folder; None if it does not exist."""
        for _ in range(_ASKS):
            found = self._fs.get_file_info(path)
            if found.type == pafs.FileType.Directory or found.size:
                break
        return None if found.type == pafs.FileType.NotFound else _entry(found)

    def list_folder(self, path: str) -> list[Entry]:
        """Return the contents of a folder; nothing if it does not exist."""
        selector = pafs.FileSelector(path, allow_not_found=True)
        found: list[Any] = []
        for _ in range(_ASKS):
            listed = self._fs.get_file_info(selector)
            is_same = 0 < len(listed) <= len(found)
            found = max(found, listed, key=len)
            # a store may leave out the folder's own entry
            if is_same or len(listed) % _PAGE not in (0, _PAGE - 1):
                break
        return [*map(_entry, found)]

    def open(self, path: str, size_bytes: int | None = None) -> BinaryIO:
        """Open a file for random reads, again if it is not of the size it should be of."""
        if size_bytes is None and (entry := self.info(path)) is not None:
            size_bytes = entry.size_bytes
        for _ in range(_ASKS):
            file = self._fs.open_input_file(path)
            if file.size() == size_bytes:
                break
        # each read is a question to the store, and some readers take a few bytes at a time
        return io.BufferedReader(_StoreFile(file, path), _BUFFER_BYTES)

    def read(self, path: str, at_most: int | None = None) -> bytes:
        """Read a file, or its beginning."""
        with _StoreFile(self._fs.open_input_file(path), path) as file:
            size_bytes = file.size_bytes if at_most is None else min(at_most, file.size_bytes)
            buffer = bytearray(size_bytes)
            count = file.readinto(buffer)
        return bytes(memoryview(buffer)[:count])

    def write(self, path: str, data: Iterable[bytes]) -> None:
        """Write a file piece by piece; others may see it before all of it is there."""
        stream = self._fs.open_output_stream(path)
        try:
            for piece in data:
                stream.write(piece)
        finally:  # one that is dropped open would be closed too, and hold Python's lock meanwhile
            stream.close()

    def write_and_rename(self, path: str, part: str, data: Iterable[bytes]) -> None:
        """Write a file beside its place and give it its name at once; folders are made."""
        self._fs.create_dir(part.rpartition("/")[0])
        try:
            self.write(part, data)
        except BaseException:
            with contextlib.suppress(*ERRORS):
                self.delete(part)
            raise
        self._fs.move(part, path)

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._fs.delete_file(path)


def _open_file_system(start: str, query: str) -> Any:
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
        self.size_bytes = int(file.size())
        self.failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return self._read_checked(memoryview(buffer))
        except ERRORS as error:
            self.failure = error
            raise

    def _read_checked(self, buffer: memoryview) -> int:
        """Read bytes, again where the last of them were not received."""
        start = self.tell()
        n_bytes = min(len(buffer), self.size_bytes - start)
        n_marked = min(n_bytes, _MARK_BYTES)
        for _ in range(_ASKS):
            mark = os.urandom(n_marked)
            buffer[n_bytes - n_marked : n_bytes] = mark
            count: int = self._file.readinto(buffer[:n_bytes])
            if not n_marked or buffer[n_bytes - n_marked : n_bytes] != mark:
                return count
            self.seek(start)
        raise OSError("the store's answer was cut off")

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


def failure_of(stream: BinaryIO) -> Exception | None:
    """Return what reading a store's open file failed with, which its reader may have hidden."""
    failure: Exception | None = getattr(getattr(stream, "raw", None), "failure", None)
    return failure


@lru_cache(maxsize=32)
def store_of(start: str, query: str) -> Store:
    """Return the file system of URLs of one beginning, in one session."""
    return Store(start, query)


def _entry(found: Any) -> Entry:
    is_folder = found.type == pafs.FileType.Directory
    modified_us = None if found.mtime_ns is None else found.mtime_ns // 1000
    return Entry(found.path, is_folder, None if is_folder else found.size, modified_us)
