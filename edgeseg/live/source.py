"""Frames of a camera, a stream or a film at its own pace, opened anew when it comes back."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import InputNotFoundError
from edgeseg.images.live import open_capture

Array = npt.NDArray[np.uint8]

_OPEN_MS, _READ_MS = 5000, 5000  # after which a stream that says nothing is away
_RETRY_S = 1.0
_FALLBACK_FPS = 25.0  # of a film that does not say its own
_BLACK = 16  # no gray value above it: the picture is black
_STILL_S = 3.0  # unchanged for so long, a camera's picture is frozen: its noise changes


class LiveFrame(NamedTuple):
    """A frame as it came, and what is wrong with the picture."""

    number: int  # from 1
    time_s: float  # since the start
    pixels: Array  # shape (height, width, 3), blue first
    trouble: str = ""


class LiveSource:
    """A camera's number or device, the URL of a stream, or a film.

    ``name`` is what it is called: of a URL without password and query. A film is played at its own
    pace and ends; the others are waited for when they go away, of which ``on_notice`` is told.
    Raises `InputNotFoundError` if there is nothing at the start.
    """

    def __init__(
        self, name: str, ending: threading.Event, on_notice: Callable[[str], None]
    ) -> None:
        self._place, self._ending, self._on_notice = name, ending, on_notice
        # user, password and tokens are for the camera alone
        self.name = re.sub("://[^/]*@", "://", name).partition("?")[0] if "://" in name else name
        self.is_film = Path(name).is_file()
        self.trouble = ""
        self._capture = self._open()
        if self._capture is None:
            raise InputNotFoundError(
                f"{self.name}: no picture comes from it; expected a camera's number or device such "
                "as /dev/video0, the URL of a stream, or a film that OpenCV reads"
            )

    def frames(self) -> Iterator[LiveFrame]:
        """Yield frames as they come, until the film or the event ends it."""
        started_s = changed_s = time.monotonic()
        number, last = 0, np.empty(0, np.uint8)
        try:
            while (pixels := self._read(started_s + number * self._interval_s)) is not None:
                now_s, number = time.monotonic(), number + 1
                if not np.array_equal(last, pixels):
                    last, changed_s = pixels, now_s
                self._say(self._find_trouble(pixels, now_s - changed_s))
                yield LiveFrame(number, now_s - started_s, pixels, self.trouble)
        finally:
            if self._capture is not None:
                self._capture.release()

    def _read(self, due_s: float) -> Array | None:
        """Return the next frame, of a film when it is due; None at the end."""
        while not self._ending.is_set():
            is_read, pixels = self._capture.read() if self._capture else (False, None)
            if is_read:
                if self.is_film:
                    self._ending.wait(max(0.0, due_s - time.monotonic()))
                return pixels
            if self.is_film:
                break
            self._wait_for_return()
        return None

    def _find_trouble(self, pixels: Array, still_s: float) -> str:
        if int(pixels.max()) <= _BLACK:
            return "the picture is black"
        if still_s > _STILL_S and not self.is_film:
            return f"the picture has not changed for {_STILL_S:g} s"
        return ""

    def _wait_for_return(self) -> None:
        """Open the source again, once in a while."""
        self._say("nothing comes any more; waiting for it")
        if self._capture is not None:
            self._capture.release()
        self._capture = self._open()
        if self._capture is None:
            self._ending.wait(_RETRY_S)

    def _say(self, trouble: str) -> None:
        """Tell what is wrong, or that it is so no more, when that changes."""
        if trouble != self.trouble:
            self._on_notice(f"{self.name}: {trouble or 'a picture comes again'}")
            self.trouble = trouble

    def _open(self) -> Any:
        if self._place.isdecimal():
            capture = open_capture(int(self._place))
        elif "://" in self._place:
            waits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
            capture = open_capture(self._place, cv2.CAP_FFMPEG, [*waits, _READ_MS])
        else:
            capture = open_capture(self._place)
        if not capture.isOpened():
            return None
        fps = capture.get(cv2.CAP_PROP_FPS)
        self._interval_s = 1 / (fps if 0 < fps < 1000 else _FALLBACK_FPS)
        return capture
