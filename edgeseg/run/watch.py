"""Measures what comes into a folder: each file once it is complete, and again when it changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from pathlib import Path

from edgeseg.errors import EdgesegError
from edgeseg.images.frame import Frame
from edgeseg.inputs.discover import items_of
from edgeseg.inputs.source import Source
from edgeseg.output.table import Row
from edgeseg.run.engine import Engine
from edgeseg.run.live_sizes import LiveSizes
from edgeseg.run.watched_folder import CompleteFile, WatchedFolder
from edgeseg.run.worker import Worker, read_source

_REST = 10  # times as long as a look takes is rested at least
_RETRY_S = 5.0  # after which a file that could not be written down is tried again


class Watch:
    """A folder whose images are measured as they come.

    Parameters
    ----------
    engine, worker
        What measures, open; the worker reads with `read_present`.
    folder, out
        What is watched, and the folder of results, which may lie in it.
    sizes
        Pixel sizes of the images, as the worker measures with.
    on_notice
        Called with sentences that a user should read, from any thread.
    """

    def __init__(
        self,
        engine: Engine,
        worker: Worker,
        folder: Path,
        out: Path,
        sizes: LiveSizes,
        on_notice: Callable[[str], None],
    ) -> None:
        self._engine, self._worker = engine, worker
        self._folder, self._sizes = folder, sizes
        self._watched = WatchedFolder(folder, out)
        self._on_notice = on_notice
        self._retry_s: dict[str, float] = {}  # when a file is to be tried again, by its path
        self._is_away = False

    def run(self, every_s: float, ending: threading.Event, *, once: bool = False) -> None:
        """Look and measure until the event is set, or with ``once`` until nothing is left.

        Parameters
        ----------
        every_s
            Time from one look to the next at least.
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
                    future = self._engine.submit(sources)
                    future.add_done_callback(lambda future, file=file: self._end(file, future))  # type: ignore[misc]
                    under_way.add(future)
            while under_way and not ending.is_set():
                _, under_way = wait(under_way, every_s)
            if once and not (files or self._watched.n_changed):
                return
            ending.wait(max(every_s, _REST * took_s))

    def _look(self) -> Sequence[CompleteFile]:
        """Return what is complete now; a folder that is away for a while is waited for."""
        now_s = time.monotonic()
        for path in [path for path, at_s in self._retry_s.items() if at_s < now_s]:
            del self._retry_s[path]
            self._watched.return_again(path)
        if self._sizes.refresh():
            self._watched.return_again()  # those whose size is the same are not measured again
        try:
            found = self._watched.look()
        except OSError as error:
            if not self._is_away:
                self._on_notice(f"{self._folder}: away ({error.strerror}); waiting for it")
            self._is_away = True
            return []
        if self._is_away:
            self._on_notice(f"{self._folder}: back again")
        self._is_away = False
        return found

    def _sources_of(self, file: CompleteFile) -> list[Source]:
        """Return the frames of a file; none if it is gone, and keeps its row."""
        if not Path(file.path).is_file():
            return []
        version = self._worker.version(Source(file.file, file.path))
        return [each._replace(version=version) for each in items_of(file.file, file.path)]

    def _end(self, file: CompleteFile, future: Future[list[Row]]) -> None:
        """Have a file tried again that could not be measured, as where the disk is full."""
        error = future.exception()
        if error is None or isinstance(error, SourceGone):
            return
        if isinstance(error, EdgesegError):
            self._on_notice(str(error))
        self._retry_s[file.path] = time.monotonic() + _RETRY_S


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
