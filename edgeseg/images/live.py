"""Frames of a live source, which does not wait while one of them is measured."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import cv2

from edgeseg.errors import DataError

T = TypeVar("T")


class Capture(Protocol):
    """What reads a video or a camera as OpenCV's ``VideoCapture`` does."""

    def isOpened(self) -> bool:
        """Return whether there is something to read."""

    def get(self, name: int, /) -> float:
        """Return a property by OpenCV's number of it."""

    def read(self) -> tuple[bool, Any]:
        """Return whether there is a next frame, and that frame, (height, width, 3) blue first."""


def open_capture(*how: Any) -> cv2.VideoCapture:
    """Return a ``cv2.VideoCapture``, of which nothing prints, and a damaged frame is none."""
    getattr(cv2.utils, "logging", cv2).setLogLevel(0)
    # FFmpeg reads them when it opens a video; the first is OpenCV's own choice
    options = "rtsp_transport;tcp|fflags;discardcorrupt"
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", options)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    return cv2.VideoCapture(*how)


def iterate_frames(source: Any, *, drop_late: bool = False) -> Iterable[Any]:
    """Return what a source yields or an open ``cv2.VideoCapture`` reads, or raise a DataError."""
    if hasattr(source, "isOpened"):
        if not source.isOpened():
            raise DataError("the camera or video is not open: check its number or name, and access")
        if drop_late and source.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
            raise DataError("drop_late is for cameras: of a file most frames would be dropped")
        return _read_capture(source)
    if isinstance(source, str | bytes | os.PathLike) or not isinstance(source, Iterable):
        raise DataError(
            f"got {type(source).__name__}; expected frames one after the other, such as a list of "
            "arrays, or a cv2.VideoCapture of a video or camera"
        )
    return source


def _read_capture(capture: Capture) -> Iterator[Any]:
    while (read := capture.read())[0]:  # whether there was a frame
        yield read[1]


def take_newest(frames: Iterable[T]) -> Iterator[T]:
    """Yield a source's newest frame whenever one is asked for, and drop those that came before it.

    The source is read in a thread of its own, so that it never waits; its last frame is always
    yielded, and then raised what it raised. It must not write into a frame that it has handed out:
    it is asked for the next while that one is still in use. Whoever stops early leaves the thread
    to end at the source's next frame.
    """
    slot: list[T] = []
    failure: list[BaseException] = []
    changed = threading.Condition()
    ended = stopped = False

    def read() -> None:
        nonlocal ended
        try:
            for frame in frames:
                with changed:
                    if stopped:
                        return
                    slot[:] = [frame]
                    changed.notify()
        except BaseException as error:  # handed on to whoever asks for frames
            failure.append(error)
        finally:
            with changed:
                ended = True
                changed.notify()

    threading.Thread(target=read, name="edgeseg-frames", daemon=True).start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: slot or ended)
                if not slot:
                    break
                frame = slot.pop()
            yield frame
    finally:
        stopped = True
    if failure:
        raise failure[0]
