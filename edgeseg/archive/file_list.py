"""The files of a manifest while it is made: on disk, however many there are.

They are collected in SQLite. Rows of a table of pixel sizes are matched there too, by the function
that matches them in memory elsewhere: a join in memory would grow with both tables.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from edgeseg.archive.listing import ListedFile
from edgeseg.errors import DataError, EdgesegError, OutputWriteError
from edgeseg.images.frame import PixelSize
from edgeseg.inputs.discover import frame_numbers, name_below
from edgeseg.inputs.matching import (
    end_of_prefix,
    files_without_row,
    find_row,
    path_key,
    shared_row_reason,
)
from edgeseg.inputs.pixel_sizes import describe_fit, no_match_error
from edgeseg.inputs.size_table import TableRow, merge_rows, read_table_rows
from edgeseg.inputs.source import Source
from edgeseg.system.text import first_line

_SETTINGS = (
    "journal_mode=OFF", "synchronous=OFF", "temp_store=FILE", "cache_size=-65536",
    "locking_mode=EXCLUSIVE",
)  # fmt: skip
_TABLES = """
CREATE TABLE files(
    place TEXT PRIMARY KEY, root BLOB, path BLOB, file TEXT, size_bytes INTEGER,
    modified_us INTEGER, n_frames INTEGER);
CREATE TABLE rows(
    name TEXT PRIMARY KEY, x_mm REAL, y_mm REAL, source TEXT, width_px INTEGER, height_px INTEGER,
    reason TEXT) WITHOUT ROWID;
CREATE TABLE keys(
    without_suffix INTEGER, key TEXT, name TEXT, PRIMARY KEY(without_suffix, key, name)
    ) WITHOUT ROWID;
CREATE TABLE matches(file TEXT PRIMARY KEY, row TEXT, rank TEXT, reason TEXT) WITHOUT ROWID;
"""
_ADD_FILE = "INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)"
_ADD_ROW = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)"
_ENTRIES = """
SELECT place, files.file, n_frames, x_mm, y_mm,
    CASE WHEN matches.file IS NULL THEN NULL ELSE COALESCE(source, 'table') END,
    width_px, height_px, size_bytes, modified_us,
    NULLIF(COALESCE(NULLIF(matches.reason, ''), rows.reason), '')
FROM files LEFT JOIN matches ON matches.file = files.file
    LEFT JOIN rows ON rows.name = matches.row AND matches.reason = '' ORDER BY files.file
"""


class FileList:
    """Files, their names and the sizes of their pixels, on disk; a context.

    All methods raise `OutputWriteError` if there is no space.

    Parameters
    ----------
    folder
        Where its file lies meanwhile; it is created. None: where temporary files do.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def __enter__(self) -> FileList:
        with contextlib.ExitStack() as stack, _translate_errors():
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            where = Path(tempfile.mkdtemp(prefix=".edgeseg-", dir=self._folder))
            stack.callback(shutil.rmtree, where, ignore_errors=True)
            self._db = sqlite3.connect(where / "list", isolation_level=None)
            stack.callback(self._db.close)
            for setting in _SETTINGS:
                self._db.execute(f"PRAGMA {setting}")
            self._db.executescript(_TABLES)
            self._db.create_function("name_below", 3, _name_below, deterministic=True)
            # what is open stays when its name goes, so a killed run leaves nothing; not on Windows
            with contextlib.suppress(OSError):
                (where / "list").unlink()
                where.rmdir()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, files: Iterable[ListedFile], on_file: Callable[[], None]) -> None:
        """Add files; one that is there already stays as it is."""

        def cells() -> Iterator[tuple[Any, ...]]:
            for listed in files:
                on_file()
                place = listed.place
                path = os.fsencode(place.path if place.is_local else f"/{place.path}")
                root = os.fsencode(listed.root)
                name = _name_below(root, path, 0)
                yield (place.text, root, path, name, *listed[2:])

        with self._transaction():
            self._db.executemany(_ADD_FILE, cells())

    def count(self) -> int:
        """Return how many files there are."""
        return int(self._db.execute("SELECT COUNT(*) FROM files").fetchone()[0])

    def make_names_differ(self) -> None:
        """Put the names of the folders above inputs before names that are not unique.

        Raises
        ------
        DataError
            If two files cannot be distinguished by name.
        """
        repeated = "SELECT file FROM files GROUP BY file HAVING COUNT(*) > 1"
        with self._transaction():
            self._db.execute("CREATE INDEX names ON files(file)")
            for parents in itertools.count(1):
                one = self._db.execute(f"{repeated} LIMIT 1").fetchone()
                if one is None:
                    return
                changed = self._db.execute(
                    "UPDATE files SET file = name_below(root, path, ?) WHERE file IN "
                    f"({repeated}) AND file != name_below(root, path, ?)",
                    (parents, parents),
                ).rowcount
                if not changed:
                    raise DataError(
                        f"two files are called {one[0]!r} where a name that is not UTF-8 is "
                        "written with backslashes; rename one"
                    )

    def add_table(self, path: Path, on_notice: Callable[[str], None]) -> None:
        """Find the rows of a table of pixel sizes; see `edgeseg.inputs.pixel_sizes.PixelSizes`.

        Raises
        ------
        InputNotFoundError, DataError
            As `edgeseg.inputs.size_table.read_table` does, or if no row is of any image.
        """
        with self._transaction():
            for name, row in read_table_rows(path, on_notice):
                self._add_row(name, row)
            one_wrong = "SELECT reason FROM rows WHERE reason != '' LIMIT 1"
            wrong = self._db.execute(one_wrong).fetchone()
            if wrong and not self._db.execute("SELECT 1 FROM rows WHERE x_mm > 0").fetchone():
                raise DataError(wrong[0])
            self._db.executemany("INSERT INTO matches VALUES (?, ?, ?, ?)", self._match())
            if not self._db.execute("SELECT 1 FROM matches WHERE rank != ''").fetchone():
                first = self._db.execute("SELECT name FROM rows").fetchone()
                file = self._db.execute("SELECT MIN(file) FROM files").fetchone()[0]
                raise no_match_error(first[0] if first else None, file)
            self._refuse_shared_rows()
        unused = (
            "SELECT COUNT(*), MIN(name) FROM rows WHERE name NOT IN "
            "(SELECT row FROM matches WHERE row IS NOT NULL)"
        )
        elsewhere = "SELECT COUNT(*), MIN(file), row FROM matches WHERE rank LIKE '%, true]'"
        without_size = (
            "SELECT COUNT(*), MIN(file) FROM matches JOIN rows ON name = row "
            "WHERE matches.reason = '' AND x_mm IS NULL AND rows.reason = ''"
        )
        queries = unused, elsewhere, without_size
        for text in describe_fit(*(self._db.execute(query).fetchone() for query in queries)):
            on_notice(text)

    def list_rows(self, size: PixelSize | None) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the manifest by name and frame; ``size`` is of all images."""
        with _translate_errors():
            for place, file, n_frames, *sizes, size_bytes, modified_us, reason in self._db.execute(
                _ENTRIES
            ):
                known = sizes if size is None else (*size, None, None)
                for number in frame_numbers(n_frames):
                    yield place, file, number or None, *known, size_bytes, modified_us, reason

    @contextlib.contextmanager
    def open_scratch(self) -> Iterator[BinaryIO]:
        """Yield a file beside the list, which is removed with it."""
        with _translate_errors(), tempfile.TemporaryFile(dir=self._folder) as stream:
            yield stream

    def _add_row(self, name: str, row: TableRow) -> None:
        found = self._db.execute("SELECT * FROM rows WHERE name = ?", (name,)).fetchone()
        if found is None:
            keys = ((stem, path_key(name, without_suffix=stem), name) for stem in (False, True))
            self._db.executemany("INSERT INTO keys VALUES (?, ?, ?)", keys)
        else:
            _, x_mm, y_mm, source, *sides, reason = found
            earlier = None if x_mm is None else PixelSize(x_mm, y_mm, source)
            sides_px = None if sides[0] is None else (sides[0], sides[1])
            row = merge_rows(name, TableRow(earlier, None, sides_px, reason), row)
        size, sides_or_none = row.pixel_size or (None, None, "table"), row.sides_px or (None, None)
        self._db.execute(_ADD_ROW, (name, *size, *sides_or_none, row.reason))

    def _match(self) -> Iterator[tuple[Any, ...]]:
        """Yield the match of each file: its row, if there is one, its rank and a reason."""

        def row_of(name: str) -> tuple[Any, ...]:
            row: tuple[Any, ...] = self._db.execute(
                "SELECT * FROM rows WHERE name = ?", (name,)
            ).fetchone()
            return row[1:]

        keys = _RowKeys(self._db, without_suffix=False), _RowKeys(self._db, without_suffix=True)
        for file, path in self._db.execute("SELECT file, path FROM files ORDER BY file"):
            location = path.decode("utf-8", "backslashreplace")
            match = find_row(Source(file, location), keys.__getitem__, row_of)
            rank = "" if match.is_missing else json.dumps(match.rank)
            yield file, match.name or None, rank, match.reason

    def _refuse_shared_rows(self) -> None:
        """Leave a row that several files claim to the one that it fits best, or to none."""
        self._db.execute("CREATE INDEX claims ON matches(row)")
        claimed = "SELECT row FROM matches WHERE row IS NOT NULL GROUP BY row HAVING COUNT(*) > 1"
        for (name,) in self._db.execute(claimed).fetchall():
            found = self._db.execute("SELECT rank, file FROM matches WHERE row = ?", (name,))
            claims = [(tuple(json.loads(rank)), file) for rank, file in found]
            reasons = [
                (shared_row_reason(name, file, len(claims)), file)
                for file in files_without_row(claims)
            ]
            self._db.executemany("UPDATE matches SET reason = ? WHERE file = ?", reasons)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with _translate_errors():
            self._db.execute("BEGIN")
            yield
            self._db.execute("COMMIT")


class _RowKeys:
    """The keys of a table's rows; see `edgeseg.inputs.matching.RowKeys`."""

    def __init__(self, db: sqlite3.Connection, *, without_suffix: bool) -> None:
        self._db, self._where = db, f"FROM keys WHERE without_suffix = {without_suffix:d}"

    def around(self, key: str) -> Sequence[str]:
        before = f"SELECT MAX(key) {self._where} AND key < ?"
        after = f"SELECT MIN(key) {self._where} AND key >= ?"
        found = (self._db.execute(query, (key,)).fetchone()[0] for query in (before, after))
        return [key for key in found if key is not None]

    def starting_with(self, prefix: str, limit: int) -> Sequence[tuple[str, str]]:
        query = f"SELECT key, name {self._where} AND key >= ? AND key < ? ORDER BY key LIMIT ?"
        return self._db.execute(query, (prefix, end_of_prefix(prefix), limit)).fetchall()


def _name_below(root: bytes, path: bytes, parents: int) -> str:
    return name_below(Path(os.fsdecode(root)), Path(os.fsdecode(path)), parents)


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, EdgesegError):
            raise
        raise OutputWriteError(
            f"the list cannot be made on this disk ({first_line(error)}): it takes about 0.5 KB a "
            "file beside the manifest"
        ) from error
