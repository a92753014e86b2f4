"""Measures what comes into a folder: each file once it is complete, and again when it changes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgeseg.errors import EdgesegError
from edgeseg.inputs.discover import items_of
from edgeseg.inputs.source import Source
from edgeseg.run.arrivals import Arrivals
from edgeseg.run.live_sizes import LiveSizes
from edgeseg.run.reporter import Reporter
from edgeseg.run.watched import Complete, WatchedFolder

_REST = 10  # times as long as a look takes is rested at least
_RETRY_S = 5.0  # after which a file that could not be written down is tried again


class Watch:
    """A folder whose images are measured as they come.

    Parameters
    ----------
    arrivals
        The folder of results, open.
    folder
        What is watched.
    sizes
        Pixel sizes of the images, as ``arrivals`` measures with.
    workers
        Files measured at once.
    on_notice
        Called with sentences that a user should read, from any thread.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        folder: Path,
        sizes: LiveSizes,
        workers: int,
        on_notice: Callable[[str], None],
    ) -> None:
        self._arrivals, self._folder, self._sizes = arrivals, folder, sizes
        self._watched = WatchedFolder(folder, arrivals.measuring.out)
        self._workers, self._on_notice = workers, on_notice
        self._known: dict[str, Complete] = {}  # by path, as they were measured last
        self._retry_s: dict[str, float] = {}
        self._is_away = False

    def run(self, every_s: float, ending: threading.Event, *, once: bool = False) -> None:
        """Look and measure until the event is set, or with ``once`` until nothing is left.

        Parameters
        ----------
        every_s
            Time from one look to the next at least.
        """
        with (
            Reporter(self._arrivals, self._on_notice) as reporter,
            ThreadPoolExecutor(self._workers, "edgeseg-watch") as pool,
        ):
            while not ending.is_set():
                started_s = time.monotonic()
                files = self._look()
                took_s = time.monotonic() - started_s
                done = pool.map(lambda each: self._measure(each, reporter), self._to_measure(files))
                for _ in done:
                    if ending.is_set():
                        pool.shutdown(cancel_futures=True)
                        return
                if once and not (files or self._watched.unsettled):
                    return
                ending.wait(max(every_s, _REST * took_s))

    def _look(self) -> list[Complete]:
        """Return what is complete now; a folder that is away for a while is waited for."""
        now = time.monotonic()
        for path in [path for path, at_s in self._retry_s.items() if at_s < now]:
            del self._retry_s[path]
            self._watched.again(path)
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

    def _to_measure(self, files: Sequence[Complete]) -> list[tuple[Complete, str]]:
        """Return files with what tells their measurement from another, that of a new table too."""
        for each in files:
            self._known[each.path] = each
        if self._sizes.refresh():
            files = [*self._known.values()]  # those whose size is the same are not measured again
        items = [Source(each.file, each.path) for each in files]
        texts = self._sizes.texts(items)
        return [
            (each, " ".join([*map(str, each.stamp), text]).rstrip())
            for each, text in zip(files, texts, strict=True)
        ]

    def _measure(self, asked: tuple[Complete, str], reporter: Reporter) -> None:
        (file, path, _), version = asked
        if not Path(path).is_file():  # it keeps its row
            return
        try:
            items = [*items_of(file, path)]
            n_frames = len(items) if items[0].frame else 0
            self._arrivals.add(file, Path(path), n_frames, version)
        except EdgesegError as error:  # it was taken away, or the disk is full
            if Path(path).is_file():
                self._on_notice(str(error))
                self._retry_s[path] = time.monotonic() + _RETRY_S
            with contextlib.suppress(KeyError):
                del self._known[path]
            return
        reporter.changed()
