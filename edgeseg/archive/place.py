"""Where files of an archive lie: paths of this machine, or URLs of any store pyarrow knows."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, unquote_to_bytes

from edgeseg.archive import stores
from edgeseg.errors import DataError, InputNotFoundError, OutputWriteError
from edgeseg.system.files import new_part, write_atomic, write_first
from edgeseg.system.text import first_line

_URL = re.compile(r"(?P<start>[A-Za-z][A-Za-z0-9+.-]+://[^/?]*)(?P<path>[^?]*)(?P<query>\?.*)?")
_FILE = "file://"
_RETRY_AFTER_S = (0.5, 2.0, 8.0, 20.0)
_RECORD_SETTLES_S = 2.0
_SAFE = "/!$&'()*+,;=:@~"


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder; ``place / name`` is what lies below it.

    What reads it raises `InputNotFoundError` if it does not exist or cannot be read, what writes
    it `OutputWriteError`.
    """

    start: str  # scheme and host of its URL; empty of paths
    path: str  # below that, as the store has it, or the path of this machine
    query: str = ""  # the question mark of its URL, and what follows it

    def __truediv__(self, name: str) -> Place:
        """Return what a name with forward slashes names below it."""
        path = f"{self.path.rstrip('/')}/{name}"
        return Place(self.start, path if self.is_local else path.lstrip("/"), self.query)

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine."""
        return not self.start

    @property
    def local(self) -> Path:
        """Its path on this machine."""
        assert self.is_local, "only a path of this machine is one"
        return Path(self.path)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def text(self) -> str:
        """A text of which `place_of` makes it: a URL, or the path where that is Unicode."""
        if not self.is_local:
            return f"{self.start}/{quote(self.path, _SAFE)}{self.query}"
        try:
            self.path.encode()
        except UnicodeEncodeError:
            return _FILE + quote(os.fsencode(self.path), _SAFE)
        return self.path

    def read(self, at_most: int | None = None) -> bytes:
        """Read it, or its beginning."""
        with self._translate_errors():
            if not self.is_local:
                return self._store.read(self._inner, at_most)
            with _open_local(self.path) as stream:
                return stream.read(-1 if at_most is None else at_most)

    def read_whole(self, is_whole: Callable[[bytes], bool]) -> bytes:
        """Read it, from a store several times if need be, with waits of up to 20 s.

        What is not whole is taken from a store only if it comes twice alike, for an answer may be
        cut off without an error (see `edgeseg.archive.stores.Store`).
        """
        data, earlier = b"", b""
        for wait_s in (*_RETRY_AFTER_S, None):
            try:
                data = self.read()
            except InputNotFoundError as error:
                is_missing = isinstance(error.__cause__, FileNotFoundError)
                if self.is_local or is_missing or wait_s is None:
                    raise
            else:
                if self.is_local or is_whole(data) or wait_s is None or data == earlier != b"":
                    break
                earlier = data
            time.sleep(wait_s)
        return data

    def open(self, size_bytes: int | None = None) -> BinaryIO:
        """Open it for random reads; ``size_bytes`` is its size where that is known."""
        with self._translate_errors():
            if self.is_local:
                return _open_local(self.path)
            return self._store.open(self._inner, size_bytes)

    def exists(self) -> bool:
        """Return whether it exists."""
        if self.is_local:
            return os.path.exists(self.path)  # noqa: PTH110 (none of a name that cannot be)
        return self.info() is not None

    def can_be_read(self) -> bool:
        """Return whether its first byte can be read."""
        try:
            return self.read(1) != b""
        except InputNotFoundError:
            return False

    def info(self) -> stores.Entry | None:
        """Return what a store knows of it; None if it does not exist."""
        with self._translate_errors():
            return self._store.info(self._inner)

    def list_folder(self) -> Iterator[tuple[Place, stores.Entry]]:
        """Yield the contents of a store's folder, nothing if it does not exist."""
        with self._translate_errors():
            entries = self._store.list_folder(self._inner)
        before = self._store.path("")
        for entry in entries:
            yield Place(self.start, entry.path.removeprefix(before), self.query), entry

    def list_names(self) -> set[str]:
        """Return the names in a folder, none if it does not exist."""
        if not self.is_local:
            return {place.name for place, _ in self.list_folder()}
        with self._translate_errors():
            is_there = os.path.isdir(self.path)  # noqa: PTH112
            return {*os.listdir(self.path)} if is_there else set()  # noqa: PTH208

    def write(self, data: bytes | Iterable[bytes]) -> None:
        """Write it such that it is there whole or not at all, and as it was before.

        On this machine it also survives a power cut, once this returns.
        """
        if self.is_local:
            write_atomic(self.local, data, durable=True)
            return
        pieces = [data] if isinstance(data, bytes) else data
        store, path = self._store, self._inner
        try:
            # of pieces the last may never come, and a stream that is dropped ends as if complete
            if store.is_whole_at_once and isinstance(data, bytes):
                store.write(path, pieces)
            else:
                part = f"{path.rpartition('/')[0]}/{new_part()}"
                store.write_and_rename(path, part, pieces)
        except stores.ERRORS as error:
            raise OutputWriteError(
                f"{self.text}: cannot be written ({first_line(error)})"
            ) from error

    def write_first(self, data: bytes) -> None:
        """Write it whole unless it exists: of several who do so at once, all then read the same.

        Stores and some drives do not tell who was first, so there it takes some seconds.
        """
        if self.exists() or (self.is_local and write_first(self.local, data)):
            return
        if not self.is_local:
            self.write(data)
        time.sleep(_RECORD_SETTLES_S)  # until who saw none either has written its own

    def delete(self) -> None:
        """Delete it."""
        with self._translate_errors():
            if self.is_local:
                self.local.unlink(missing_ok=True)
            else:
                self._store.delete(self._inner)

    @property
    def _store(self) -> stores.Store:
        return stores.store_of(self.start, self.query)

    @property
    def _inner(self) -> str:
        return self._store.path(self.path)

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turn what reading fails with into an error that names the place."""
        try:
            yield
        except FileNotFoundError as error:
            raise InputNotFoundError(f"{self.text}: no such file") from error
        except stores.ERRORS as error:
            raise InputNotFoundError(
                f"{self.text}: cannot be read ({first_line(error)})"
            ) from error


def _open_local(path: str) -> BinaryIO:
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (a pipe would block for ever)
        raise OSError("it is a folder, a pipe or a device, not a file")
    return open(path, "rb")  # noqa: PTH123


def place_of(text: str) -> Place:
    """Return the place of a path, which becomes whole, or URL; `DataError` of unknown stores."""
    if text.lower().startswith(_FILE):
        host, _, path = text[len(_FILE) :].partition("/")
        if host not in ("", "localhost"):
            raise DataError(f"{text}: a file of the host {host!r}; give its path on this machine")
        return Place("", os.fsdecode(unquote_to_bytes("/" + path)))
    found = _URL.fullmatch(text)
    if found is None:
        return Place("", os.path.abspath(text))  # noqa: PTH100 (keeps symlinks)
    start, query = found["start"], found["query"] or ""
    if start.startswith("s3://") and "@" in start:
        raise DataError(
            "a URL with keys in it would be written into manifest and record; give them as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    try:
        stores.store_of(start, query)
    except stores.ERRORS as error:
        raise DataError(
            f"{text}: this store cannot be opened ({first_line(error)}); expected a path, or a URL "
            "of a store that pyarrow knows: s3://bucket/folder, gs://, abfs://, hdfs://"
        ) from error
    return Place(start, unquote(found["path"]).lstrip("/"), query)


def is_url(text: str) -> bool:
    """Return whether a text names a place in a store, not of this machine."""
    return _URL.fullmatch(text) is not None and not text.lower().startswith(_FILE)
