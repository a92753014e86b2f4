r"""Which row of a table is of which image, by names that were written on another computer.

Paths are compared from their end, in any case and with any slashes: a row is of the image with
which it has most in common, its file name at least: ``D:\study\s2\b.png`` is ``s2/b.png``. Where
no row has the file name, it decides without suffix. An image that several different rows fit
equally gets none, and neither do images that share one row.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from edgeseg.inputs.left_out import IMAGE_SUFFIXES
from edgeseg.inputs.source import Source
from edgeseg.system.text import cut, printable, unshield

SIZES = "pixel-size table"
MAX_FITTING = 100
"""More rows than these that fit one image equally well are not compared: it gets none."""

Rank = tuple[bool, int, bool, bool]
_NO_RANK: Rank = (False, 0, False, False)
_TABLES = """
CREATE TABLE keys(key TEXT, name TEXT, PRIMARY KEY(key, name)) WITHOUT ROWID;
CREATE TABLE matches(file TEXT PRIMARY KEY, row TEXT, reason TEXT, rank TEXT);
"""
_AROUND = (
    "SELECT MAX(key) FROM keys WHERE key < ?",
    "SELECT MIN(key) FROM keys WHERE key >= ?",
)
_STARTING = "SELECT key, name FROM keys WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"


class RowMatch(NamedTuple):
    """The row of an image."""

    name: str  # As the table has it; empty if there is none, or several that differ.
    reason: str = ""  # Why the image must do without it; empty if it has one.
    # How well the row fits, the lower the better: whether without suffix, minus the parts of their
    # paths in common, whether in another case, whether the row names other folders.
    rank: Rank = _NO_RANK

    @property
    def is_elsewhere(self) -> bool:
        """Whether the row was found by file name, and names folders that are not the image's."""
        return self.rank[3]

    @property
    def is_missing(self) -> bool:
        """Whether no row fits the image at all."""
        return bool(self.reason) and not self.rank[1]


class Matcher:
    """Finds the rows of a table by the names of images; what it knows lies in SQLite.

    ``row_of`` returns the row of a name, to compare: of equal rows any is taken; ``what`` the table
    is, messages say. ``db``, by default in memory, gets the tables ``keys`` and ``matches``: of
    each file that `match` was given the name of its row, or none, why it has none, and how well the
    row fits, empty if none does.
    """

    def __init__(
        self,
        row_of: Callable[[str], Any],
        what: str = SIZES,
        db: sqlite3.Connection | None = None,
    ) -> None:
        self._row_of, self._what = row_of, what
        self._db = db or sqlite3.connect(":memory:", check_same_thread=False)
        self._db.executescript(_TABLES)

    def add(self, names: Iterable[str]) -> None:
        """Add rows, by their names."""
        keys = ((key, name) for name in names for key in _keys(_parts(unshield(name))))
        self._db.executemany("INSERT INTO keys VALUES (?, ?)", keys)

    def match(self, sources: Iterable[Source]) -> None:
        """Find the row of each image; those that share one get it if they alone fit it best."""
        db = self._db
        db.executemany("INSERT OR IGNORE INTO matches VALUES (?, ?, ?, ?)", self._cells(sources))
        db.execute("CREATE INDEX claims ON matches(row)")
        shared = "SELECT row FROM matches WHERE row != '' GROUP BY row HAVING COUNT(*) > 1"
        for (name,) in db.execute(shared).fetchall():
            found = db.execute("SELECT rank, file FROM matches WHERE row = ?", (name,)).fetchall()
            claims = [(tuple(json.loads(rank)), file) for rank, file in found]
            best = min(rank for rank, _ in claims)
            owners = [file for rank, file in claims if rank == best]
            for _, file in claims:
                if owners != [file]:
                    reason = (
                        f"the {self._what} has one row for {cut(name)!r} and {len(claims)} images "
                        f"have that name; name this one as {file!r} in it"
                    )
                    db.execute("UPDATE matches SET reason = ? WHERE file = ?", (reason, file))

    def matches(self) -> dict[str, RowMatch]:
        """Return the row of each file that `match` was given, in their order."""
        found = self._db.execute("SELECT * FROM matches ORDER BY rowid")
        return {
            file: RowMatch(name, reason, tuple(json.loads(rank)) if rank else _NO_RANK)
            for file, name, reason, rank in found
        }

    def find(self, source: Source) -> RowMatch:
        """Return the row of one image, without regard to others."""
        file, place = _parts(source.file), _parts(os.path.abspath(source.location))  # noqa: PTH100
        parts = place if place[-len(file) :] == file else file
        for key, is_bare in zip(_keys(parts), (False, True), strict=True):
            around = (self._db.execute(query, (key,)).fetchone()[0] for query in _AROUND)
            common = [os.path.commonprefix((key, other)) for other in around if other]  # noqa: RUF071
            prefix = max((text[: text.rfind("/") + 1] for text in common), key=len, default="")
            end = f"{prefix[:-1]}0"  # behind all that begin so: the character behind the slash
            bounds = (prefix, end, MAX_FITTING + 1)
            found = self._db.execute(_STARTING, bounds).fetchall() if prefix.count("/") > 1 else ()
            if not found:
                continue
            # a row that is the end of the image's path comes before one that names other folders
            found = [row for row in found if row[0] == prefix] or found
            in_same_case = [row for row in found if _parts(row[1])[-1:] == file[-1:]]
            found = in_same_case or found
            (row_key, name), n_common = found[0], prefix.count("/") - 1
            first, is_elsewhere = self._row_of(name), row_key.count("/") > n_common + 1
            rank = (is_bare, -n_common, not in_same_case, is_elsewhere)
            if len(found) > MAX_FITTING or any(self._row_of(row[1]) != first for row in found[1:]):
                reason = (
                    f"the {self._what} has {len(found)} rows that fit {source.file!r}, such as "
                    f"{cut(name)!r} and {cut(found[1][1])!r}, and they differ; keep one"
                )
                return RowMatch("", reason, (*rank[:3], False))
            return RowMatch(name, "", rank)
        return RowMatch("", f"the {self._what} has no row for {source.file!r}; add one")

    def _cells(self, sources: Iterable[Source]) -> Iterator[tuple[str, ...]]:
        for source in sources:
            match = self.find(source)
            rank = "" if match.is_missing else json.dumps(match.rank)
            yield source.file, match.name, match.reason, rank


def match_rows(
    sources: Iterable[Source], rows: Mapping[str, Any], what: str = SIZES
) -> dict[str, RowMatch]:
    """Find the row of each image: ``file`` -> its row; see the module."""
    matcher = Matcher(rows.__getitem__, what)
    matcher.add(rows)
    matcher.match(sources)
    return matcher.matches()


def _parts(name: str) -> list[str]:
    """Return a path's parts, whichever system wrote it."""
    text = unicodedata.normalize("NFC", unquote(name.strip())).replace("\\", "/")
    if ":" in text:
        text = re.sub(r"^(file://)?(/?[A-Za-z]:)?", "", text)
    return [part for part in text.split("/") if part not in ("", ".", "..")]


def _keys(parts: Sequence[str]) -> tuple[str, str]:
    """Return the keys of a path: its parts from the last on, each ended by a slash.

    The first begins with the name of the file, the second with that without an image's suffix;
    a sign before them tells them apart.
    """
    folded = [unicodedata.normalize("NFC", part.casefold()) for part in reversed(parts)]
    stem, suffix = os.path.splitext(folded[0] if folded else "")  # noqa: PTH122 (many names)
    bare = [stem if suffix in IMAGE_SUFFIXES else stem + suffix, *folded[1:]]
    whole, short = (printable("".join([f"{part}/" for part in each])) for each in (folded, bare))
    return f"=/{whole}", f"~/{short}"
