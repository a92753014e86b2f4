"""Which row of a table is of which image, where neither fits into memory.

The rules are those of `edgeseg.inputs.matching`; only where rows are looked up differs.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edgeseg.inputs.matching import (
    end_of_prefix,
    files_without_row,
    find_row,
    path_key,
    shared_row_reason,
)
from edgeseg.inputs.pixel_sizes import TableFit, no_match_error
from edgeseg.inputs.source import Source

_AT_ONCE = 10_000
_FOUND = "UPDATE images SET row = ?, likeness = ?, common = ?, reason = ? WHERE id = ?"
_LEFT = """SELECT id, file, path FROM images
WHERE likeness IS NULL AND id > ? ORDER BY id LIMIT ?"""


def match(db: sqlite3.Connection, on_notice: Callable[[str], None]) -> None:
    """Find the row of each image and note it, or why there is none.

    Parameters
    ----------
    db
        With the tables ``images`` and ``rows``, see `edgeseg.archive.ledger`.

    Raises
    ------
    DataError
        If no row is of any image.
    """
    fit = TableFit()
    by_path, by_stem = _Keys(db, without_suffix=False), _Keys(db, without_suffix=True)
    for images in _left(db):
        db.execute("BEGIN")
        db.executemany(_FOUND, _found(db, images, lambda stem: by_stem if stem else by_path, fit))
        db.execute("COMMIT")
    n_images, n_left = db.execute("SELECT COUNT(*), SUM(likeness = -1) FROM images").fetchone()
    if n_images and n_images == n_left:
        first = db.execute("SELECT name FROM rows LIMIT 1").fetchone()
        file = db.execute("SELECT file FROM images ORDER BY file LIMIT 1").fetchone()[0]
        raise no_match_error(first[0] if first else None, file)
    _share(db)
    _count(db, fit)
    for text in fit.notices():
        on_notice(text)


class _Keys:
    """The keys of a table's rows; see `edgeseg.inputs.matching.RowKeys`."""

    def __init__(self, db: sqlite3.Connection, *, without_suffix: bool) -> None:
        self._db, self._table = db, f"keys{without_suffix:d}"
        db.execute(f"CREATE TABLE {self._table}(key TEXT, name TEXT)")
        names = db.execute("SELECT name FROM rows")
        keys = ((path_key(name, without_suffix=without_suffix), name) for (name,) in names)
        db.execute("BEGIN")
        db.executemany(f"INSERT INTO {self._table} VALUES (?, ?)", keys)
        db.execute("COMMIT")
        db.execute(f"CREATE INDEX of_{self._table} ON {self._table}(key, name)")

    def around(self, key: str) -> Sequence[str]:
        before = f"SELECT MAX(key) FROM {self._table} WHERE key < ?"
        after = f"SELECT MIN(key) FROM {self._table} WHERE key >= ?"
        found = (self._db.execute(asked, (key,)).fetchone()[0] for asked in (before, after))
        return [key for key in found if key is not None]

    def starting_with(self, prefix: str, limit: int) -> Sequence[tuple[str, str]]:
        where = "WHERE key >= ? AND key < ? ORDER BY key, name LIMIT ?"
        asked = f"SELECT key, name FROM {self._table} {where}"
        return self._db.execute(asked, (prefix, end_of_prefix(prefix), limit)).fetchall()


def _left(db: sqlite3.Connection) -> Iterator[list[tuple[int, str, bytes]]]:
    """Yield the images without a row, some at a time, so that rows can be noted in between."""
    last = 0
    while images := db.execute(_LEFT, (last, _AT_ONCE)).fetchall():
        last = images[-1][0]
        yield images


def _found(
    db: sqlite3.Connection,
    images: Sequence[tuple[int, str, bytes]],
    keys: Callable[[bool], _Keys],
    fit: TableFit,
) -> Iterator[tuple[Any, ...]]:
    """Yield what is noted of images: of those that no row fits a likeness of -1."""

    def row_of(name: str) -> tuple[Any, ...]:
        found: tuple[Any, ...] = db.execute("SELECT * FROM rows WHERE name = ?", (name,)).fetchone()
        return found[1:]

    for number, file, path in images:
        source = Source(file, os.fsencode(path).decode("utf-8", "backslashreplace"))
        match = find_row(source, keys, row_of)
        if match.names_other_folders:
            fit.add_other_folders(match.name, file)
        without_suffix, common, other_case = match.rank
        likeness = -1 if match.is_missing else 2 * without_suffix + other_case
        yield match.name or None, likeness, common, match.reason, number


def _share(db: sqlite3.Connection) -> None:
    """Leave a row that several images claim to the one that it fits best, or to none."""
    db.execute("CREATE INDEX claims ON images(row)")
    claimed = "SELECT row FROM images WHERE row IS NOT NULL GROUP BY row HAVING COUNT(*) > 1"
    for (name,) in db.execute(claimed).fetchall():
        images = db.execute(
            "SELECT likeness, common, file FROM images WHERE row = ?", (name,)
        ).fetchall()
        claims = [((kind > 1, common, kind % 2 == 1), file) for kind, common, file in images]
        reasons = (
            (shared_row_reason(name, file, len(images)), file) for file in files_without_row(claims)
        )
        db.executemany("UPDATE images SET reason = ? WHERE file = ?", reasons)


def _count(db: sqlite3.Connection, fit: TableFit) -> None:
    """Count what else is said of the table."""
    absent = "FROM rows WHERE NOT EXISTS (SELECT 1 FROM images WHERE row = name)"
    fit.n_unused, fit.unused = db.execute(f"SELECT COUNT(*), MIN(name) {absent}").fetchone()
    without = """FROM images JOIN rows ON rows.name = images.row
        WHERE images.reason = '' AND x_mm IS NULL AND rows.reason = ''"""
    fit.n_without_size, fit.without_size = db.execute(
        f"SELECT COUNT(*), MIN(file) {without}"
    ).fetchone()
