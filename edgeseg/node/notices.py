"""Limits how much a node says of its peers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from edgeseg.system.text import cut, visible

_LINES, _PERIOD_S = 20, 60.0


class Notices:
    """Passes on at most 20 notices a minute: peers must not fill a log. Safe in several threads.

    What the function that gets them raises is dropped, as no notice may end a node.
    """

    def __init__(self, on_notice: Callable[[str], None]) -> None:
        self._on_notice = on_notice
        self._lock = threading.Lock()
        self._started_s = time.monotonic()
        self._count = 0  # in this period

    def __call__(self, text: str) -> None:
        """Pass a notice on, or count it among those left out."""
        with self._lock:
            if time.monotonic() - self._started_s >= _PERIOD_S:
                self._begin_period()
            self._count += 1
            if self._count <= _LINES:
                self._pass_on(cut(visible(text)))

    def close(self) -> None:
        """Say how many were left out."""
        with self._lock:
            self._begin_period()

    def _begin_period(self) -> None:
        if self._count > _LINES:
            self._pass_on(f"{self._count - _LINES} more notices were left out")
        self._started_s, self._count = time.monotonic(), 0

    def _pass_on(self, text: str) -> None:
        with contextlib.suppress(Exception):
            self._on_notice(text)
