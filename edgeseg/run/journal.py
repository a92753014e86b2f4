"""What a run notes as it goes: the pictures it is about to write, and of what file a row is.

The table has no place for it, and it must be true whenever the process is killed: lines are only
added, a picture's before the picture and a row's before the row. A row counts as that of a file
only by the line that holds both, so that no row can pass for one of a file that came later.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import OutputWriteError

JOURNAL_NAME = ".edgeseg.journal"


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


class Noted(NamedTuple):
    """What a journal holds.

    Attributes
    ----------
    pictures
        Those that runs have written or were about to, below their folder.
    stamps
        Of the files that rows are of, by `row_key`.
    done
        Files that came one by one and whose rows are all there.
    owed
        Documents, by their names below the folder, that were not sent yet, oldest first.
    versions
        Of files that are done and may change: what tells what was measured from what came later.
    """

    pictures: set[str]
    stamps: dict[int, Stamp]
    done: set[str]
    owed: dict[str, None]
    versions: dict[str, str]


def row_key(location: str, line: str) -> int:
    """Return a number for a row, given as its line, and the place of its file."""
    where = os.path.abspath(location)  # noqa: PTH100 (keeps links, and is quick)
    return zlib.crc32(f"{where}\n{line}".encode(errors="backslashreplace"))


def read_journal(out: Path) -> Noted:
    """Return what a folder's journal holds, as far as it is whole; nothing if there is none."""
    noted = Noted(set(), {}, set(), {}, {})
    try:
        text = (out / JOURNAL_NAME).read_bytes()
    except OSError:
        return noted
    for line in text.splitlines():
        try:
            kind, *values = json.loads(line)
            if kind == "row":
                key, *stamp = map(int, values)
                noted.stamps[key] = Stamp(*stamp)
            elif kind == "pictures":
                noted.pictures.update(map(str, values))
            elif kind == "done":
                noted.done.update(map(str, values))
            elif kind == "version":
                file, version = map(str, values)
                noted.versions[file] = version
            elif kind == "again":
                noted.done.difference_update(map(str, values))
            elif kind == "owed":
                noted.owed.update(dict.fromkeys(map(str, values)))
            elif kind == "sent":
                for name in map(str, values):
                    noted.owed.pop(name, None)
        except (ValueError, TypeError, RecursionError):
            continue  # cut off, by a kill or a full disk
    return noted


class Journal:
    """Adds to the journal of a run's folder.

    Parameters
    ----------
    durable
        Whether what is done outlives a power cut too, at the price of a wait for the disk.

    Raises
    ------
    OutputWriteError
        If it cannot be written.
    """

    def __init__(self, out: Path, *, durable: bool = False) -> None:
        self._path, self._durable = out / JOURNAL_NAME, durable
        try:
            self._stream = self._path.open("ab+")
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._stream.seek(max(0, self._stream.tell() - 1))
            if self._stream.read(1) not in (b"\n", b""):  # torn
                self._add(b"\n")
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # each line is out, or its failure was raised
            self._stream.close()

    def pictures(self, names: Iterable[str]) -> None:
        """Note pictures and documents, by their names below the folder, before they are written."""
        self._note("pictures", names)

    def done(self, file: str, owed: Iterable[str], version: str = "") -> None:
        """Note, after its rows are on disk, that a file is measured, and what is to be sent of it.

        That comes first: what is sent twice is the same document. ``version`` tells what was
        measured from what the file may be later.
        """
        self._note("owed", owed)
        if version:
            self._note("version", [file, version])
        self._note("done", [file])
        if self._durable:
            try:
                os.fsync(self._stream.fileno())
            except OSError as error:
                raise self._refused(error) from error

    def again(self, file: str) -> None:
        """Note, before its rows are taken away, that a file that was done is measured again."""
        self._note("again", [file])

    def sent(self, names: Iterable[str]) -> None:
        """Note documents that need not be sent any more."""
        self._note("sent", names)

    def row(self, location: str, line: str, stamp: Stamp) -> None:
        """Note, before a row is written, the file that it is of."""
        self._add(b'["row", %d, %d, %d]\n' % (row_key(location, line), *stamp))

    def _note(self, kind: str, values: Iterable[str]) -> None:
        if listed := [*values]:
            self._add(json.dumps([kind, *listed]).encode() + b"\n")

    def _add(self, text: bytes) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError) as error:  # the latter of a run that has ended
            raise self._refused(error) from error

    def _refused(self, error: OSError | ValueError) -> OutputWriteError:
        why = getattr(error, "strerror", None) or error
        return OutputWriteError(f"{self._path}: cannot be written ({why})")
