"""Where files of an archive lie: paths of this machine, or URLs of any store pyarrow knows."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, unquote_to_bytes

from edgeseg.archive.arrow import stores
from edgeseg.errors import DataError, InputNotFoundError, OutputWriteError
from edgeseg.system.files import is_part, new_part, write_atomic, write_first
from edgeseg.system.text import first_line

_URL = re.compile(r"(?P<start>[A-Za-z][A-Za-z0-9+.-]+://[^/?]*)(?P<path>[^?]*)(?P<query>\?.*)?")
_FILE = "file://"
_SETTLES_S = 2.0
_SAFE = "/!$&'()*+,;=:@~"


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder.

    Parameters
    ----------
    start, query
        Scheme and host of its URL, and what follows the question mark; empty of paths.
    path
        Below that, as the store has it, or the path of this machine.
    """

    start: str
    path: str
    query: str = ""

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
    def text(self) -> str:
        """What `place_of` makes it of again: a URL, or the path where that is a text."""
        if not self.is_local:
            return f"{self.start}/{quote(self.path, _SAFE)}{self.query}"
        try:
            self.path.encode()
        except UnicodeEncodeError:  # bytes that are no text
            return _FILE + quote(os.fsencode(self.path), _SAFE)
        return self.path

    def below(self, name: str) -> Place:
        """Return what a name with forward slashes names below it."""
        path = f"{self.path.rstrip('/')}/{name}"
        return Place(self.start, path if self.is_local else path.lstrip("/"), self.query)

    def read(self, at_most: int | None = None) -> bytes:
        """Read it, or its beginning.

        Raises
        ------
        InputNotFoundError
            If it is not there or cannot be read.
        """
        with _reading(self):
            if self.is_local:
                with self._open_here() as stream:
                    return stream.read(-1 if at_most is None else at_most)
            return self._store.read(self._inner, at_most)

    def open(self) -> BinaryIO:
        """Open it for reading from any place on; see `read`."""
        with _reading(self):
            return self._open_here() if self.is_local else self._store.open(self._inner)

    def is_there(self) -> bool:
        """Tell whether it is there; see `read`."""
        with _reading(self):
            return os.path.exists(self.path) if self.is_local else self._info() is not None  # noqa: PTH110

    def can_be_read(self) -> bool:
        """Tell whether it is there and its first byte can be read."""
        try:
            self.read(1)
        except InputNotFoundError:
            return False
        return True

    def entry(self) -> stores.Entry | None:
        """Return what a store says of it; None if it is not there. See `read`."""
        with _reading(self):
            return self._info()

    def names(self) -> set[str]:
        """Return the names of the files in a folder, none if it is not there; see `read`."""
        with _reading(self):
            if self.is_local:
                return set(os.listdir(self.path)) if os.path.isdir(self.path) else set()  # noqa: PTH208, PTH112
            return {e.path.rpartition("/")[2] for e in self._store.folder(self._inner)}

    def folder(self) -> Iterator[tuple[Place, stores.Entry]]:
        """Yield what a store says is in a folder; see `read`."""
        with _reading(self):
            for entry in self._store.folder(self._inner):
                inner = entry.path.removeprefix(self._store.path(""))
                yield Place(self.start, inner, self.query), entry

    def write(self, data: bytes | Iterable[bytes]) -> None:
        """Write it such that it is there whole or not at all, and as it was before.

        On this machine it also outlives a power cut, once this returns.

        Raises
        ------
        OutputWriteError
            If it cannot be written.
        """
        pieces = [data] if isinstance(data, bytes) else data
        if self.is_local:
            write_atomic(self.local, pieces, durable=True)
            return
        store, path = self._store, self._inner
        try:
            if store.is_whole_at_once and isinstance(data, bytes):
                store.write(path, [data])
            else:
                self._write_and_rename(pieces)
        except stores.ERRORS as error:
            raise OutputWriteError(
                f"{self.text}: cannot be written ({first_line(error)})"
            ) from error

    def write_first(self, data: bytes) -> None:
        """Write it whole unless it is there: of several who do so at once, all then read the same.

        Stores and some drives do not tell who was first, so there it takes some seconds.

        Raises
        ------
        OutputWriteError
            If it cannot be written.
        """
        if self.is_there() or (self.is_local and write_first(self.local, data)):
            return
        if not self.is_local:
            self.write(data)
        time.sleep(_SETTLES_S)  # until who saw none either has written its own

    def remove_parts(self) -> None:
        """Remove the unfinished files in a folder that writers left which were killed."""
        with _reading(self):
            for name in filter(is_part, self.names()):
                if self.is_local:
                    (self.local / name).unlink(missing_ok=True)
                else:
                    self._store.delete(self.below(name)._inner)

    def _open_here(self) -> BinaryIO:
        if not stat.S_ISREG(self.local.stat().st_mode):  # a pipe would be waited for for ever
            raise OSError("it is a folder, a pipe or a device, not a file")
        return self.local.open("rb")

    def _write_and_rename(self, pieces: Iterable[bytes]) -> None:
        # also where objects appear whole: a stream that is dropped ends as if it were complete
        folder, _, _ = self._inner.rpartition("/")
        part = f"{folder}/{new_part()}"
        self._store.make_folder(folder)
        try:
            self._store.write(part, pieces)
        except BaseException:
            with contextlib.suppress(*stores.ERRORS):
                self._store.delete(part)
            raise
        self._store.move(part, self._inner)

    def _info(self) -> stores.Entry | None:
        return self._store.info(self._inner)

    @property
    def _store(self) -> stores.Store:
        return stores.store_of(self.start, self.query)

    @property
    def _inner(self) -> str:
        return self._store.path(self.path)


def place_of(text: str) -> Place:
    """Return the place that a path or URL names; paths become whole.

    Raises
    ------
    DataError
        If it is a URL of a store that pyarrow does not know.
    """
    if text.lower().startswith(_FILE):
        rest = text[len(_FILE) :]
        host, _, path = rest.partition("/")
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
    """Tell whether a text names a place in a store, not of this machine."""
    return _URL.fullmatch(text) is not None and not text.lower().startswith(_FILE)


class _reading:
    """Turns what reading a place fails with into an error that names it."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise InputNotFoundError(f"{self._place.text}: no such file") from error
        if isinstance(error, stores.ERRORS):
            raise InputNotFoundError(
                f"{self._place.text}: cannot be read ({first_line(error)})"
            ) from error
