"""Writes the list of an archive's frames, in little memory however many there are.

Files are collected in SQLite, on disk, and rows of a table of pixel sizes are matched there.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.archive import parquet
from edgeseg.archive.listing import ListedFile, list_images
from edgeseg.archive.manifest import GROUP_ROWS, SCHEMA
from edgeseg.archive.place import Place
from edgeseg.errors import DataError, EdgesegError, OutputWriteError
from edgeseg.images.frame import PixelSize, Size, as_pixel_size
from edgeseg.inputs.discover import frame_numbers, name_below
from edgeseg.inputs.facts import describe_fit, no_match_error
from edgeseg.inputs.left_out import Tally, nothing_found
from edgeseg.inputs.matching import Matcher
from edgeseg.inputs.size_table import TableRow, merge_rows, read_table_rows
from edgeseg.inputs.source import Source
from edgeseg.system.text import first_line
from edgeseg.system.version import __version__

_PIECE_BYTES = 1 << 23
_TABLES = """
PRAGMA journal_mode=OFF;
PRAGMA synchronous=OFF;
PRAGMA temp_store=FILE;
PRAGMA cache_size=-65536;
PRAGMA locking_mode=EXCLUSIVE;
CREATE TABLE files(
    place TEXT PRIMARY KEY, root BLOB, path BLOB, file TEXT, size_bytes INTEGER,
    modified_us INTEGER, n_frames INTEGER);
CREATE TABLE rows(
    name TEXT PRIMARY KEY, x_mm REAL, y_mm REAL, source TEXT, width_px INTEGER, height_px INTEGER,
    reason TEXT) WITHOUT ROWID;
"""
_ADD_FILE = "INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)"
_REPEATED = "SELECT file FROM files GROUP BY file HAVING COUNT(*) > 1"
_RENAME = (
    "UPDATE files SET file = name_below(root, path, :parents) "
    f"WHERE file IN ({_REPEATED}) AND file != name_below(root, path, :parents)"
)
_ADD_ROW = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)"
_ROW = "SELECT x_mm, y_mm, source, width_px, height_px, reason FROM rows WHERE name = ?"
# Rows without an image, images whose row names other folders, and those whose row has no size.
_FIT = (
    "SELECT COUNT(*), MIN(name) FROM rows WHERE name NOT IN (SELECT row FROM matches)",
    "SELECT COUNT(*), MIN(file), row FROM matches WHERE rank LIKE '%, true]'",
    "SELECT COUNT(*), MIN(file) FROM matches JOIN rows ON name = row "
    "WHERE matches.reason = '' AND x_mm IS NULL AND rows.reason = ''",
)
_ENTRIES = """
SELECT place, files.file, n_frames, x_mm, y_mm,
    CASE WHEN matches.file IS NULL THEN NULL ELSE COALESCE(source, 'table') END,
    width_px, height_px, size_bytes, modified_us,
    NULLIF(COALESCE(NULLIF(matches.reason, ''), rows.reason), '')
FROM files LEFT JOIN matches ON matches.file = files.file
    LEFT JOIN rows ON rows.name = matches.row AND matches.reason = '' ORDER BY files.file
"""


class ManifestSize(NamedTuple):
    """How much a manifest lists."""

    n_files: int
    n_frames: int


def write_manifest(
    inputs: Sequence[str],
    out: Place,
    pixel_size_mm: Size = None,
    table: Path | None = None,
    on_notice: Callable[[str], None] = lambda text: None,
    on_file: Callable[[], None] = lambda: None,
) -> ManifestSize:
    """List the frames of files, folders and patterns, of this machine or of stores.

    What is found goes into a temporary file of SQLite's, about 0.5 KB each. See
    `edgeseg.inputs.discover.discover` for what is an image, and
    `edgeseg.inputs.facts.PixelSizes` for ``pixel_size_mm``, of all images, and ``table``.
    ``on_notice`` is called with sentences that a user should read, ``on_file`` for each file.

    Raises `InputNotFoundError` if an input does not exist or cannot be read, or there is no image
    in any; `DataError` if two files cannot be distinguished by name, or no row of the table is of
    any image; `OutputWriteError` if the list cannot be written.
    """
    tally, size = Tally(), as_pixel_size(pixel_size_mm)
    folder = out.local.parent if out.is_local else None
    with _open_list(folder) as db:
        for text in inputs:
            db.executemany(_ADD_FILE, _file_cells(list_images(text, tally), on_file))
        notices = tally.sentences()
        (n_files,) = db.execute("SELECT COUNT(*) FROM files").fetchone()
        if not n_files:
            raise nothing_found(inputs, notices)
        for text in notices:
            on_notice(text)
        _make_names_differ(db)
        matcher = Matcher(lambda name: db.execute(_ROW, (name,)).fetchone(), db=db)
        if size is None and table is not None:
            _add_table(db, matcher, table, on_notice)
        with tempfile.TemporaryFile(dir=folder) as stream:
            rows = _list_rows(db, size)
            groups = iter(lambda: list(itertools.islice(rows, GROUP_ROWS)), [])
            columns = (dict(zip(SCHEMA.names, zip(*g, strict=True), strict=True)) for g in groups)
            parquet.write_table(stream, SCHEMA, columns, {"edgeseg": __version__})
            n_frames = parquet.Reader(stream).n_rows
            stream.seek(0)
            out.write(iter(lambda: stream.read(_PIECE_BYTES), b""))
    return ManifestSize(n_files, n_frames)


@contextlib.contextmanager
def _open_list(folder: Path | None) -> Iterator[sqlite3.Connection]:
    """Yield an empty list in a file of SQLite's own, which nothing outlives; make the folder."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect("")) as db:
            db.executescript(_TABLES)
            db.create_function("name_below", 3, _name_below, deterministic=True)
            yield db
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, EdgesegError):
            raise
        raise OutputWriteError(
            f"the list cannot be made on this disk ({first_line(error)}): it takes about 0.5 KB a "
            "file among temporary files, in the folder that SQLITE_TMPDIR names"
        ) from error


def _file_cells(
    files: Iterable[ListedFile], on_file: Callable[[], None]
) -> Iterator[tuple[Any, ...]]:
    for listed in files:
        on_file()
        place, root = listed.place, os.fsencode(listed.root)
        path = os.fsencode(place.path if place.is_local else f"/{place.path}")
        yield place.text, root, path, _name_below(root, path, 0), *listed[2:]


def _name_below(root: bytes, path: bytes, parents: int) -> str:
    return name_below(Path(os.fsdecode(root)), Path(os.fsdecode(path)), parents)


def _make_names_differ(db: sqlite3.Connection) -> None:
    """Put the names of the folders above inputs before names that are not unique."""
    db.execute("CREATE INDEX names ON files(file)")
    for parents in itertools.count(1):
        repeated = db.execute(f"{_REPEATED} LIMIT 1").fetchone()
        if repeated is None:
            return
        if not db.execute(_RENAME, {"parents": parents}).rowcount:
            raise DataError(
                f"two files are called {repeated[0]!r} where a name that is not UTF-8 is written "
                "with backslashes; rename one"
            )


def _add_table(
    db: sqlite3.Connection, matcher: Matcher, path: Path, on_notice: Callable[[str], None]
) -> None:
    """Match the rows of a table of pixel sizes; see `edgeseg.inputs.facts.PixelSizes`."""
    for name, row in read_table_rows(path, on_notice):
        _add_row(db, matcher, name, row)
    wrong = db.execute("SELECT reason FROM rows WHERE reason != '' LIMIT 1").fetchone()
    if wrong and not db.execute("SELECT 1 FROM rows WHERE x_mm > 0").fetchone():
        raise DataError(wrong[0])
    files = db.execute("SELECT file, path FROM files ORDER BY file")
    matcher.match(Source(file, path.decode("utf-8", "backslashreplace")) for file, path in files)
    if not db.execute("SELECT 1 FROM matches WHERE rank != ''").fetchone():
        first = db.execute("SELECT name FROM rows").fetchone()
        (file,) = db.execute("SELECT MIN(file) FROM files").fetchone()
        raise no_match_error(first[0] if first else None, file)
    for text in describe_fit(*(db.execute(query).fetchone() for query in _FIT)):
        on_notice(text)


def _add_row(db: sqlite3.Connection, matcher: Matcher, name: str, row: TableRow) -> None:
    found = db.execute(_ROW, (name,)).fetchone()
    if found is None:
        matcher.add([name])
    else:
        x_mm, y_mm, source, width_px, height_px, reason = found
        earlier = None if x_mm is None else PixelSize(x_mm, y_mm, source)
        sides_px = None if width_px is None else (width_px, height_px)
        row = merge_rows(name, TableRow(earlier, None, sides_px, reason), row)
    size, sides = row.pixel_size or (None, None, "table"), row.sides_px or (None, None)
    db.execute(_ADD_ROW, (name, *size, *sides, row.reason))


def _list_rows(db: sqlite3.Connection, size: PixelSize | None) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the manifest by name and frame; ``size`` is of all images."""
    for place, file, n_frames, *sizes, size_bytes, modified_us, reason in db.execute(_ENTRIES):
        known = sizes if size is None else (*size, None, None)
        for number in frame_numbers(n_frames):
            yield place, file, number or None, *known, size_bytes, modified_us, reason
