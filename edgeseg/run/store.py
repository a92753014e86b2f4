"""What a results folder holds, in SQLite: rows, pictures written, documents owed, files waiting.

Tables, record and report are made from it; what it has committed outlives a kill and a power cut.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.errors import DataError, OutputWriteError
from edgeseg.output.record import FINDINGS
from edgeseg.output.table import Row, key, pack

STORE_NAME = ".edgeseg.sqlite"
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (record TEXT);
CREATE TABLE IF NOT EXISTS files (
    file TEXT PRIMARY KEY, version TEXT, kinds TEXT, failed INT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    file TEXT, frame INT, packed TEXT, PRIMARY KEY (file, frame)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures (
    name TEXT PRIMARY KEY, file TEXT, size_bytes INT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pictures_of_file ON pictures (file);
CREATE TABLE IF NOT EXISTS exams (change INTEGER PRIMARY KEY AUTOINCREMENT, study TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS owed (name TEXT PRIMARY KEY, n INTEGER);
CREATE TABLE IF NOT EXISTS waiting (n INTEGER PRIMARY KEY, file TEXT UNIQUE);
"""
_TABLES = ("run", "files", "rows", "pictures", "exams", "owed", "waiting")
_OWE = "INSERT OR IGNORE INTO owed VALUES (?, (SELECT COALESCE(MAX(n), 0) + 1 FROM owed))"


class Picture(NamedTuple):
    """A picture or document: its name below the folder, the file it is of, and its size."""

    name: str
    file: str
    size_bytes: int


class FileRows(NamedTuple):
    """All rows of one version of a file, a row a frame."""

    file: str
    version: str  # tells it from an earlier or later one
    kinds: Sequence[str]  # of pictures and documents that were wanted of it
    rows: Sequence[Row]
    pictures: Sequence[str] = ()  # names of the pictures and documents that were written
    owed: Sequence[str] = ()  # those of them that are to be sent somewhere


class Store:
    """The store of a results folder that this process holds. Safe to use from several threads.

    The folder exists; ``has_locks`` says whether its drive has locks. Raises `DataError` if the
    store is damaged, or of another version of edgeseg, `OutputWriteError` if it cannot be opened.
    """

    def __init__(self, out: Path, *, has_locks: bool = True) -> None:
        self._out, self._lock = out, threading.RLock()
        uri = (out / STORE_NAME).absolute().as_uri() + ("" if has_locks else "?nolock=1")
        how: dict[str, Any] = {"isolation_level": None, "check_same_thread": False, "timeout": 0}
        with contextlib.ExitStack() as stack, self._translate_errors():
            self._db: sqlite3.Connection = sqlite3.connect(uri, uri=True, **how)
            stack.callback(self._db.close)
            # exclusive: no shared memory, which network drives lack
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute(f"PRAGMA journal_mode={'WAL' if has_locks else 'DELETE'}")
            self._db.execute("PRAGMA synchronous=FULL")
            (found,) = self._db.execute("PRAGMA user_version").fetchone()
            (state,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                raise sqlite3.DatabaseError(state)
            if found not in (0, _FORMAT):
                raise DataError(
                    f"{out}: the results there are of another version of edgeseg; choose another "
                    "folder"
                )
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={_FORMAT}")
            stack.pop_all()

    def close(self) -> None:
        """Close it; what is committed stays."""
        with self._lock:
            self._db.close()

    def read_record(self) -> dict[str, Any] | None:
        """Return what `write_record` noted of the run; None of a new store."""
        found = self._all("SELECT record FROM run")
        return json.loads(found[0][0]) if found else None

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Note with what the run measures."""
        with self._transaction() as db:
            db.execute("DELETE FROM run")
            db.execute("INSERT INTO run VALUES (?)", (json.dumps(record),))

    def version_of(self, file: str) -> str | None:
        """Return the version of a file that rows are of; None of a file without rows."""
        found = self._all("SELECT version FROM files WHERE file = ?", file)
        return found[0][0] if found else None

    def has(
        self, file: str, version: str, kinds: Iterable[str], *, retry_failed: bool = False
    ) -> bool:
        """Tell whether a file need not be measured again.

        It must if it is of another version, if it failed and is to be tried again, or if a picture
        of a wanted kind was not written, is gone, or has another size than was written.
        """
        found = self._all("SELECT version, kinds, failed FROM files WHERE file = ?", file)
        if not found or found[0][0] != version or (found[0][2] and retry_failed):
            return False
        wanted = {*kinds}
        pictures = self._all("SELECT name, size_bytes FROM pictures WHERE file = ?", file)
        return wanted <= {*found[0][1].split()} and all(
            self._is_whole(name, size_bytes)
            for name, size_bytes in pictures
            if name.partition("/")[0] in wanted
        )

    def _is_whole(self, name: str, size_bytes: int) -> bool:
        try:
            return (self._out / name).stat().st_size == size_bytes
        except OSError:
            return False

    def files(self) -> set[str]:
        """Return the names of the files that have rows."""
        return {*self._texts("SELECT file FROM files")}

    def has_picture(self, name: str) -> bool:
        """Tell whether a picture is this folder's: it was written, or was about to be."""
        return bool(self._all("SELECT 1 FROM pictures WHERE name = ?", name))

    def pictures(self) -> list[str]:
        """Return the names of all pictures and documents."""
        return self._texts("SELECT name FROM pictures")

    def announce(self, pictures: Iterable[Picture]) -> None:
        """Note pictures that are about to appear under their names."""
        self._change("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", pictures)

    def replace_rows(self, files: Sequence[FileRows]) -> list[str]:
        """Put the rows of files in place of those they have, and take the files off the queue.

        All of it is there afterwards or, if this is cut off, nothing of it. The exams of studies of
        which findings came or went are to be reported, see `exams`. Returns the names of
        pictures that belong to the files no longer; see `forget_pictures`.
        """
        outdated: list[str] = []
        with self._transaction() as db:
            for each in files:
                file, has_failed = each.file, any(r["status"] == "failed" for r in each.rows)
                known = self._texts("SELECT name FROM pictures WHERE file = ?", file)
                outdated += {*known}.difference(each.pictures)
                db.execute("DELETE FROM rows WHERE file = ?", (file,))
                rows = ((file, key(row)[1], pack(row)) for row in each.rows)
                db.executemany("INSERT INTO rows VALUES (?, ?, ?)", rows)
                values = (file, each.version, " ".join(each.kinds), has_failed)
                db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", values)
                db.executemany(_OWE, ((name,) for name in each.owed))
                db.execute("DELETE FROM waiting WHERE file = ?", (file,))
                studies = {_study_of(name) for name in (*known, *each.pictures)} - {""}
                change = "INSERT OR REPLACE INTO exams (study) VALUES (?)"
                db.executemany(change, ((study,) for study in sorted(studies)))
        return outdated

    def exams(self) -> dict[str, int]:
        """Return the studies whose exam is to be reported, each with its last change."""
        return dict(self._all("SELECT study, change FROM exams"))

    def studies(self) -> set[str]:
        """Return all studies with findings."""
        return {*map(_study_of, self.pictures())} - {""}

    def findings(self, study: str) -> list[str]:
        """Return the names of a study's findings."""
        names = "SELECT name FROM pictures WHERE name GLOB ? || '/*'"
        return self._texts(names, f"{FINDINGS}/{study}")

    def end_exam(self, study: str, change: int, owed: Iterable[str]) -> None:
        """Note that an exam is reported, up to a change, by a document that may be owed."""
        with self._transaction() as db:
            db.execute("DELETE FROM exams WHERE study = ? AND change = ?", (study, change))
            db.executemany(_OWE, ((name,) for name in owed))

    def forget_pictures(self, names: Iterable[str]) -> None:
        """Note that pictures are gone."""
        self._change("DELETE FROM pictures WHERE name = ?", ((name,) for name in names))

    def clear(self) -> None:
        """Forget the run and everything that belongs to it."""
        with self._transaction() as db:
            for name in _TABLES:
                db.execute(f"DELETE FROM {name}")

    def packed_rows(self) -> list[str]:
        """Return all rows, sorted by file and frame, as `edgeseg.output.table.pack` gives them."""
        return self._texts("SELECT packed FROM rows ORDER BY file, frame")

    def has_more_values(self, n: int) -> bool:
        """Tell whether the row of any film's frame has more than ``n`` values."""
        packed = self._texts("SELECT packed FROM rows WHERE frame > 0")
        return any(len(json.loads(each)) > n for each in packed)

    def owed(self) -> list[str]:
        """Return the names of documents that were not sent yet, oldest first."""
        return self._texts("SELECT name FROM owed ORDER BY n")

    def note_sent(self, names: Iterable[str]) -> None:
        """Note documents that need not be sent any more."""
        self._change("DELETE FROM owed WHERE name = ?", ((name,) for name in names))

    def enqueue(self, file: str) -> None:
        """Note a file that is to be measured, now or after the next start."""
        self._change("INSERT OR IGNORE INTO waiting VALUES (NULL, ?)", [(file,)])

    def dequeue(self, file: str) -> None:
        """Note that a file is not to be measured any more."""
        self._change("DELETE FROM waiting WHERE file = ?", [(file,)])

    def waiting(self) -> list[str]:
        """Return the names of the files that are to be measured, oldest first."""
        return self._texts("SELECT file FROM waiting ORDER BY n")

    def _all(self, query: str, *values: str) -> list[Any]:
        with self._lock, self._translate_errors():
            return self._db.execute(query, values).fetchall()

    def _texts(self, query: str, *values: str) -> list[str]:
        return [text for (text,) in self._all(query, *values)]

    def _change(self, query: str, values: Iterable[Sequence[Any]]) -> None:
        with self._transaction() as db:
            db.executemany(query, values)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translate_errors():
            self._db.execute("BEGIN")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has done so already
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        path = self._out / STORE_NAME
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OutputWriteError(f"{path}: cannot be read or written ({error})") from error
        except sqlite3.Error as error:
            raise DataError(
                f"{path}: damaged ({error}); the results beside it are as they were: move the "
                "folder away, or choose another"
            ) from error


def _study_of(name: str) -> str:
    """Return the study that a finding is of, by its name; empty of other pictures."""
    folder, study, *_ = f"{name}/".split("/")
    return study if folder == FINDINGS else ""
