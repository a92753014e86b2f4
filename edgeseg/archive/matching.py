"""Which row of a table is of which image, where neither fits into memory.

The rules are those of `edgeseg.inputs.size_table.names`; only where rows are looked up differs.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edgeseg.inputs.size_table.names import (
    LIKENESSES,
    Parts,
    best_rows,
    row_of,
    row_path,
    without_row,
)
from edgeseg.inputs.size_table.said import Fit, nothing_fits
from edgeseg.inputs.source import Source

_AT_ONCE = 10_000
_MOST_ROWS = 1000  # that one image is told of
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
    fit = Fit()
    for likeness in range(LIKENESSES):
        rows = _Rows(db, likeness)
        for images in _left(db):
            db.execute("BEGIN")
            db.executemany(_FOUND, _found(db, images, rows, fit))
            db.execute("COMMIT")
    n_images, n_left = db.execute("SELECT COUNT(*), SUM(likeness IS NULL) FROM images").fetchone()
    if n_images and n_images == n_left:
        first = db.execute("SELECT name FROM rows LIMIT 1").fetchone()
        file = db.execute("SELECT file FROM images ORDER BY file LIMIT 1").fetchone()[0]
        raise nothing_fits(first[0] if first else None, file)
    for images in _left(db):
        missing = ((row_of(file, [], _nothing).reason, number) for number, file, _ in images)
        db.executemany("UPDATE images SET likeness = -1, reason = ? WHERE id = ?", missing)
    _share(db)
    _count(db, fit)
    for text in fit.sentences():
        on_notice(text)


class _Rows:
    """The rows of a table by their paths, last part first; see `names.RowNames`."""

    def __init__(self, db: sqlite3.Connection, likeness: int) -> None:
        self._db, self._table = db, f"paths{likeness}"
        is_needed = db.execute("SELECT 1 FROM images WHERE likeness IS NULL LIMIT 1").fetchone()
        db.execute(f"CREATE TABLE {self._table}(path TEXT, name TEXT)")
        if is_needed:
            names = db.execute("SELECT name FROM rows")
            paths = ((_key(row_path(name, likeness)), name) for (name,) in names)
            db.execute("BEGIN")
            db.executemany(f"INSERT INTO {self._table} VALUES (?, ?)", paths)
            db.execute("COMMIT")
            db.execute(f"CREATE INDEX of_{self._table} ON {self._table}(path, name)")
        self.likeness = likeness

    def ending_in(self, parts: Parts) -> Sequence[str]:
        key = _key(parts)
        after = key[:-1] + chr(ord("/") + 1)
        return self._names("path >= ? AND path < ?", key, after)

    def called(self, parts: Parts) -> Sequence[str]:
        return self._names("path = ?", _key(parts))

    def _names(self, where: str, *keys: str) -> Sequence[str]:
        asked = f"SELECT name FROM {self._table} WHERE {where} LIMIT {_MOST_ROWS}"
        return [name for (name,) in self._db.execute(asked, keys)]


def _key(parts: Parts) -> str:
    return "".join(f"{part}/" for part in reversed(parts))


def _left(db: sqlite3.Connection) -> Iterator[list[tuple[int, str, bytes]]]:
    """Yield the images without a row, some at a time, so that rows can be noted in between."""
    last = 0
    while images := db.execute(_LEFT, (last, _AT_ONCE)).fetchall():
        last = images[-1][0]
        yield images


def _found(
    db: sqlite3.Connection, images: Sequence[tuple[int, str, bytes]], rows: _Rows, fit: Fit
) -> Iterator[tuple[Any, ...]]:
    """Yield what is noted of the images that rows of one likeness fit."""

    def said(name: str) -> tuple[Any, ...]:
        found: tuple[Any, ...] = db.execute("SELECT * FROM rows WHERE name = ?", (name,)).fetchone()
        return found[1:]

    for number, file, path in images:
        item = Source(file, os.fsencode(path).decode("utf-8", "backslashreplace"))
        if best := best_rows(item, rows, rows.likeness):
            row = row_of(file, best, said)
            if row.moved:
                fit.add_moved(row.name, file)
            yield row.name or None, rows.likeness, best[0].common, row.reason, number


def _share(db: sqlite3.Connection) -> None:
    """Leave a row that several images claim to the one that it fits best, or to none."""
    db.execute("CREATE INDEX claims ON images(row)")
    claimed = "SELECT row FROM images WHERE row IS NOT NULL GROUP BY row HAVING COUNT(*) > 1"
    for (name,) in db.execute(claimed).fetchall():
        images = db.execute(
            "SELECT likeness, common, file FROM images WHERE row = ?", (name,)
        ).fetchall()
        claims = [((likeness, -common), file) for likeness, common, file in images]
        reasons = ((row.reason, file) for file, row in without_row(name, claims).items())
        db.executemany("UPDATE images SET reason = ? WHERE file = ?", reasons)


def _count(db: sqlite3.Connection, fit: Fit) -> None:
    """Count what else is said of the table."""
    absent = "FROM rows WHERE NOT EXISTS (SELECT 1 FROM images WHERE row = name)"
    fit.n_absent, fit.absent = db.execute(f"SELECT COUNT(*), MIN(name) {absent}").fetchone()
    without = """FROM images JOIN rows ON rows.name = images.row
        WHERE images.reason = '' AND x_mm IS NULL AND rows.reason = ''"""
    fit.n_without, fit.without = db.execute(f"SELECT COUNT(*), MIN(file) {without}").fetchone()


def _nothing(name: str) -> None:
    """Say nothing of a row: there is none."""
