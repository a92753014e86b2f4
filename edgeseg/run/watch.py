"""Measures what comes into a folder: each file once it is complete, and again when it changes."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path

from edgeseg.errors import EdgesegError
from edgeseg.images.frame import Frame
from edgeseg.inputs.discover import FoundFile, is_image, items_of, name_below, walk_files
from edgeseg.inputs.facts import PixelSizes
from edgeseg.inputs.left_out import Tally
from edgeseg.inputs.size_table import read_table
from edgeseg.inputs.source import Source, Stamp, stamp_of
from edgeseg.output.table import Row
from edgeseg.run.engine import Engine
from edgeseg.run.worker import Worker, read_source

# as programs call what they are still writing: browsers, rsync, editors, this package
_UNFINISHED = re.compile(r"(\.(part|partial|tmp|temp|crdownload|download|filepart|swp)|~)$", re.I)
_REST = 10  # times as long as a look takes is rested at least
_RETRY_S = 5.0  # after which a file that could not be written down is tried again


class _NoTally(Tally):
    """Counts nothing: what is left out would be counted again by each look."""

    def add(self, *_: object) -> None:
        pass

    def add_below(self, *_: object) -> None:
        pass


class WatchedFolder:
    """Looks at a folder again and again.

    A file is complete when two looks find it the same. Its time is not compared with the clock of
    this machine: that of a network drive is another. ``n_changed`` images were other at the last
    look than at the one before.
    """

    def __init__(self, root: Path, out: Path) -> None:
        self._root, self._out = root, out
        self._seen: dict[str, Stamp] = {}
        self._returned: dict[str, Stamp] = {}
        self._not_images: dict[str, Stamp] = {}
        self.n_changed = 0

    def look(self) -> list[Source]:
        """Return images that are complete and were not returned as they are now; sorted by name.

        Raises OSError if the folder cannot be looked at; what is known of its files is kept.
        """
        complete, seen = [], {}
        for file in self._find_files():
            path, stamp = file
            is_known = self._returned.get(path) == stamp
            if is_known or self._is_image(file):
                seen[path] = stamp
                if not is_known and self._seen.get(path) == stamp and stamp.size_bytes:
                    complete.append(Source(name_below(self._root, Path(path)), path))
        self.n_changed = sum(self._seen.get(path) != stamp for path, stamp in seen.items())
        self._seen = seen
        self._returned.update((each.location, seen[each.location]) for each in complete)
        return sorted(complete)

    def return_again(self, path: str | None = None) -> None:
        """Have a file, or all, returned once more by a later look."""
        if path is None:
            self._returned.clear()
        else:
            self._returned.pop(path, None)

    def _find_files(self) -> Iterator[FoundFile]:
        with os.scandir(self._root):
            pass  # it raises, where those below are passed over until the next look
        files = walk_files(str(self._root), _NoTally(), self._out)
        return (file for file in files if not _UNFINISHED.search(file.path))

    def _is_image(self, file: FoundFile) -> bool:
        """Return whether a file is an image, looking into it at most once as it is."""
        if self._not_images.get(file.path) == file.stamp:
            return False
        if is_image(file, _NoTally()):
            return True
        self._not_images[file.path] = file.stamp
        return False


class Watch:
    """A folder whose images are measured as they come.

    The worker reads with `read_present`; its pixel sizes are those of ``table``, if there is one,
    which is read again when it changes. The folder of results may lie in the other one. Raises
    `InputNotFoundError` or `DataError` if the table cannot be read now.
    """

    def __init__(self, worker: Worker, folder: Path, out: Path, table: Path | None = None) -> None:
        self._worker, self._folder, self._table = worker, folder, table
        self._watched = WatchedFolder(folder, out)
        self._retry_s: dict[str, float] = {}  # when a file is to be tried again, by its path
        self._table_stamp: Stamp | None = None
        self._is_away = False
        self._read_table()

    def run(
        self, engine: Engine, every_s: float, ending: threading.Event, *, once: bool = False
    ) -> None:
        """Look each ``every_s`` until the event is set, or with ``once`` until nothing is left.

        The engine is open, and has the same worker.
        """
        while not ending.is_set():
            started_s = time.monotonic()
            files = self._look()
            took_s = time.monotonic() - started_s
            under_way: set[Future[list[Row]]] = set()
            for file in files:
                if ending.is_set():
                    return
                if sources := self._sources_of(file):
                    future = engine.submit(sources)
                    future.add_done_callback(lambda future, file=file: self._end(file, future))  # type: ignore[misc]
                    under_way.add(future)
            while under_way and not ending.is_set():
                _, under_way = wait(under_way, every_s)
            if once and not (files or self._watched.n_changed):
                return
            ending.wait(max(every_s, _REST * took_s))

    def _look(self) -> Sequence[Source]:
        """Return what is complete now; a folder that is away for a while is waited for."""
        now_s = time.monotonic()
        for path in [path for path, at_s in self._retry_s.items() if at_s < now_s]:
            del self._retry_s[path]
            self._watched.return_again(path)
        with suppress(EdgesegError):  # of a table that is being written: the last one holds
            if self._read_table():
                self._watched.return_again()  # those whose size is the same are not measured again
        try:
            found = self._watched.look()
        except OSError as error:
            if not self._is_away:
                self._worker.on_notice(f"{self._folder}: away ({error.strerror}); waiting for it")
            self._is_away = True
            return []
        if self._is_away:
            self._worker.on_notice(f"{self._folder}: back again")
        self._is_away = False
        return found

    def _read_table(self) -> bool:
        """Read the table of pixel sizes if it has changed, and tell whether it was."""
        stamp = stamp_of(str(self._table))
        if self._table is None or (self._table_stamp and stamp in (None, self._table_stamp)):
            return False
        table = read_table(self._table, self._worker.on_notice)
        self._worker.pixel_sizes, self._table_stamp = PixelSizes(table=table), stamp
        return True

    def _sources_of(self, file: Source) -> list[Source]:
        """Return the frames of a file; none if it is gone, and keeps its row."""
        if not file.path.is_file():
            return []
        version = self._worker.version(file)
        return [each._replace(version=version) for each in items_of(file.file, file.location)]

    def _end(self, file: Source, future: Future[list[Row]]) -> None:
        """Have a file tried again that could not be measured, as where the disk is full."""
        error = future.exception()
        if error is None or isinstance(error, SourceGone):
            return
        if isinstance(error, EdgesegError):
            self._worker.on_notice(str(error))
        self._retry_s[file.location] = time.monotonic() + _RETRY_S


class SourceGone(Exception):
    """A file was taken away while it was measured: it keeps its row, or has none."""


def read_present(source: Source) -> Frame:
    """Read an image from its file, or raise an `EdgesegError`, or `SourceGone`."""
    try:
        return read_source(source)
    except EdgesegError as error:
        if not source.path.is_file():
            raise SourceGone(source.file) from error
        raise
