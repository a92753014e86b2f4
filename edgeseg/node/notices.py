"""What a node says of its peers: a line each, and not more lines than anybody can read."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from edgeseg.system.text import cut, visible

_LINES = 20
_PERIOD_S = 60.0


class Notices:
    """Hands lines on, at most 20 a minute: peers must not fill a log. Safe in several threads.

    Parameters
    ----------
    say
        Takes a line; what it raises is dropped, as nothing said may end a node.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._started_s = time.monotonic()
        self._said = 0
        self._left_out = 0

    def __call__(self, text: str) -> None:
        """Say a line, or count it among those left out."""
        with self._lock:
            now = time.monotonic()
            if now - self._started_s >= _PERIOD_S:
                self._flush()
                self._started_s = now
            if self._said == _LINES:
                self._left_out += 1
                return
            self._said += 1
            self._hand_on(cut(visible(text)))

    def close(self) -> None:
        """Say how many were left out."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._left_out:
            self._hand_on(f"{self._left_out} more notices were left out")
        self._said = self._left_out = 0

    def _hand_on(self, text: str) -> None:
        with contextlib.suppress(Exception):
            self._say(text)
