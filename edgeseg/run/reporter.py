"""Keeps the report of files that come one by one up to date, without writing it after each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edgeseg.errors import EdgesegError
from edgeseg.run.arrivals import Arrivals

_QUIET_S, _LOOK_S = 5.0, 2.0


class Reporter:
    """Brings the report up to date once nothing has come for a while; in a thread of its own.

    Parameters
    ----------
    arrivals
        The folder of results, open.
    on_notice
        Called with a sentence where the report cannot be written.
    """

    def __init__(self, arrivals: Arrivals, on_notice: Callable[[str], None]) -> None:
        self._arrivals, self._on_notice = arrivals, on_notice
        self._last_s: float | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="edgeseg-report", daemon=True)

    def __enter__(self) -> Reporter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def changed(self) -> None:
        """Note that a row was added."""
        self._last_s = time.monotonic()

    def _watch(self) -> None:
        while not self._ending.wait(_LOOK_S):
            last_s = self._last_s
            if last_s is None or time.monotonic() - last_s < _QUIET_S:
                continue
            try:
                self._arrivals.report()
            except EdgesegError as error:
                self._on_notice(str(error))
            if self._last_s == last_s:
                self._last_s = None
