"""The list of an archive while it is made: on disk, however many images there are."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from edgeseg.archive.listing import Listed
from edgeseg.archive.matching import match
from edgeseg.errors import DataError, EdgesegError, OutputWriteError
from edgeseg.images.frame import PixelSize
from edgeseg.inputs.discover import name_below
from edgeseg.inputs.size_table import TableRow, merge_rows, read_table_rows
from edgeseg.system.text import first_line

_CACHE_KB = 65_536
_SETTINGS = (
    "journal_mode=OFF", "synchronous=OFF", "temp_store=FILE", f"cache_size=-{_CACHE_KB}",
    "locking_mode=EXCLUSIVE",
)  # fmt: skip
_IMAGES = """CREATE TABLE images(
    id INTEGER PRIMARY KEY, place TEXT UNIQUE, root BLOB, path BLOB, file TEXT,
    n_frames INTEGER, size_bytes INTEGER, modified_us INTEGER,
    row TEXT, likeness INTEGER, common INTEGER, reason TEXT
)"""
_ROWS = """CREATE TABLE rows(
    name TEXT PRIMARY KEY, x_mm REAL, y_mm REAL, source TEXT, width_px INTEGER,
    height_px INTEGER, reason TEXT
) WITHOUT ROWID"""
_ADD_IMAGE = """INSERT OR IGNORE INTO images(
    place, root, path, file, n_frames, size_bytes, modified_us
) VALUES (?, ?, ?, ?, ?, ?, ?)"""
_KNOWN = """SELECT place, file, n_frames, size_bytes, modified_us, images.reason,
    x_mm, y_mm, source, width_px, height_px, rows.reason
FROM images LEFT JOIN rows ON rows.name = images.row ORDER BY file"""


class Known(NamedTuple):
    """What the list says of a file.

    Attributes
    ----------
    place
        As `edgeseg.archive.place.Place.text`.
    file
        What results call it.
    row
        The size of its pixels, and the sides of the image that has it, or why there is none; None
        where nothing was given.
    """

    place: str
    file: str
    n_frames: int
    size_bytes: int | None
    modified_us: int | None
    row: TableRow | None


class Ledger:
    """Images, their names and the sizes of their pixels; a context.

    Parameters
    ----------
    folder
        Where its file lies while it is made, which is made too; None: where temporary files do.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def __enter__(self) -> Ledger:
        with contextlib.ExitStack() as stack, _said():
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            where = Path(tempfile.mkdtemp(prefix=".edgeseg-", dir=self._folder))
            stack.callback(shutil.rmtree, where, ignore_errors=True)
            self._db = sqlite3.connect(where / "list", isolation_level=None)
            stack.callback(self._db.close)
            for setting in _SETTINGS:
                self._db.execute(f"PRAGMA {setting}")
            self._db.execute(_IMAGES)
            self._db.execute(_ROWS)
            self._db.create_function("name_below", 3, _name_below, deterministic=True)
            # what is open stays when its name goes, so a killed run leaves nothing; not on Windows
            with contextlib.suppress(OSError):
                (where / "list").unlink()
                where.rmdir()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, listed: Iterable[Listed]) -> None:
        """Add images; one that is there already stays as it is.

        Raises
        ------
        OutputWriteError
            If there is no space; so do the other methods.
        """
        with _said(), self._one_write():
            self._db.executemany(_ADD_IMAGE, map(_cells, listed))

    def count(self) -> int:
        """Return how many files there are."""
        count: int = self._db.execute("SELECT COUNT(*) FROM images").fetchone()[0]
        return count

    def name(self) -> None:
        """Make names differ, by the names of the folders above inputs where they do not.

        Raises
        ------
        DataError
            If two files cannot be told apart by name.
        """
        repeated = "SELECT file FROM images GROUP BY file HAVING COUNT(*) > 1"
        with _said():
            self._db.execute("CREATE INDEX files ON images(file)")
            for parents in itertools.count(1):
                one = self._db.execute(f"{repeated} LIMIT 1").fetchone()
                if one is None:
                    return
                with self._one_write():
                    changed = self._db.execute(
                        "UPDATE images SET file = name_below(root, path, ?) WHERE file IN "
                        f"({repeated}) AND file != name_below(root, path, ?)",
                        (parents, parents),
                    ).rowcount
                if not changed:
                    raise DataError(
                        f"two files are called {one[0]!r} where a name that is not UTF-8 is "
                        "written with backslashes; rename one"
                    )

    def give_one(self, size: PixelSize) -> None:
        """Take one pixel size for all images."""
        with _said():
            self._db.execute("INSERT INTO rows VALUES ('', ?, ?, ?, NULL, NULL, '')", size)
            self._db.execute("UPDATE images SET row = ''")

    def give_table(self, path: Path, on_notice: Callable[[str], None]) -> None:
        """Take the pixel sizes of a table; see `edgeseg.inputs.pixel_sizes.PixelSizes`.

        Raises
        ------
        InputNotFoundError, DataError
            As `edgeseg.inputs.size_table.read_table` does, or if no row is of any image.
        """
        with _said():
            with self._one_write():
                for name, row in read_table_rows(path, on_notice):
                    self._add_row(name, row)
            wrong = self._db.execute(
                "SELECT reason FROM rows WHERE reason != '' LIMIT 1"
            ).fetchone()
            if (
                wrong
                and not self._db.execute("SELECT 1 FROM rows WHERE x_mm > 0 LIMIT 1").fetchone()
            ):
                raise DataError(wrong[0])
            match(self._db, on_notice)

    def known(self) -> Iterator[Known]:
        """Yield what is known of each file, in the order of their names."""
        with _said():
            for found in self._db.execute(_KNOWN):
                place, file, n_frames, size_bytes, modified_us, reason, *row = found
                known = TableRow(None, reason=reason) if reason else _row(*row)
                yield Known(place, file, n_frames, size_bytes, modified_us, known)

    @contextlib.contextmanager
    def scratch_file(self) -> Iterator[BinaryIO]:
        """Yield a file beside the list, which is removed with it."""
        with _said(), tempfile.TemporaryFile(dir=self._folder) as stream:
            yield stream

    def _add_row(self, name: str, row: TableRow) -> None:
        add = "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)"
        try:
            self._db.execute(add, (name, *_row_cells(row)))
        except sqlite3.IntegrityError:
            found = self._db.execute("SELECT * FROM rows WHERE name = ?", (name,)).fetchone()
            earlier = _row(*found[1:])
            assert earlier is not None
            both = merge_rows(name, earlier, row)
            self._db.execute(add.replace("INSERT", "REPLACE"), (name, *_row_cells(both)))

    @contextlib.contextmanager
    def _one_write(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        yield
        self._db.execute("COMMIT")


def _cells(listed: Listed) -> tuple[Any, ...]:
    place, root = listed.place, listed.root
    path = place.path if place.is_local else f"/{place.path}"
    named = os.fsencode(root), os.fsencode(path)
    facts = listed.n_frames, listed.size_bytes, listed.modified_us
    return (place.text, *named, _name_below(*named, 0), *facts)


def _name_below(root: bytes, path: bytes, parents: int) -> str:
    return name_below(Path(os.fsdecode(root)), Path(os.fsdecode(path)), parents)


def _row_cells(row: TableRow) -> tuple[Any, ...]:
    x_mm, y_mm, source = row.pixel_size or (None, None, "table")
    return x_mm, y_mm, source, *(row.sides_px or (None, None)), row.reason


def _row(
    x_mm: float | None,
    y_mm: float | None,
    source: str | None,
    width_px: int | None,
    height_px: int | None,
    reason: str | None,
) -> TableRow | None:
    """Return a row as it was written down; None of an image of which nothing was given."""
    if source is None:
        return None
    size = None if x_mm is None or y_mm is None else PixelSize(x_mm, y_mm, source)
    sides = None if width_px is None or height_px is None else (width_px, height_px)
    return TableRow(size, None, sides, reason or "")


@contextlib.contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, EdgesegError):
            raise
        raise OutputWriteError(
            f"the list cannot be made on this disk ({first_line(error)}): it takes about 0.5 KB a "
            "file beside the manifest"
        ) from error
