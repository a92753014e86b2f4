from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.images.live import take_newest
from edgeseg.phantom.head import Phantom
from edgeseg.segmenter import Segmenter
from tests.fakes import FakeSession, open_fake

TIMEOUT_S = 30


def test_frames_that_came_meanwhile_are_dropped_and_an_error_comes_after_the_last() -> None:
    first_taken, three_gone = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        yield 0
        assert first_taken.wait(TIMEOUT_S)
        yield from (1, 2, 3)
        three_gone.set()
        raise OSError("unplugged")

    frames = take_newest(source())
    assert next(frames) == 0
    first_taken.set()
    assert three_gone.wait(TIMEOUT_S)
    assert next(frames) == 3
    with pytest.raises(OSError, match="unplugged"):
        next(frames)


def test_who_stops_ends_the_source() -> None:
    go_on, closed = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        try:
            yield 0
            assert go_on.wait(TIMEOUT_S)
            while True:
                yield 1
        finally:
            closed.set()

    frames = take_newest(source())
    assert next(frames) == 0
    frames.close()  # type: ignore[attr-defined]
    go_on.set()
    assert closed.wait(TIMEOUT_S)


@pytest.mark.parametrize("drop_late", [False, True])
def test_frames_are_measured(
    segmenter: Segmenter, phantoms: list[Phantom], drop_late: bool
) -> None:
    asked: list[int] = []

    def source() -> Iterator[np.ndarray]:
        for i, phantom in enumerate(phantoms[:3]):
            asked.append(i)
            yield phantom.image

    stream = segmenter.stream(source(), 0.2, drop_late=drop_late)
    for measured, (frame, prediction) in enumerate(stream):
        if not drop_late:
            assert len(asked) == measured + 1  # no frame is asked for ahead of its turn
        assert prediction.hc_mm == segmenter.predict(frame, 0.2).hc_mm
    assert np.array_equal(frame, phantoms[2].image)


def test_the_network_has_run_before(
    monkeypatch: pytest.MonkeyPatch, phantoms: list[Phantom]
) -> None:
    """So that the first is answered as fast as the others."""
    fake, runs_before = FakeSession(), []

    def source() -> Iterator[np.ndarray]:
        runs_before.append(len(fake.fed))
        yield np.zeros_like(phantoms[0].image)  # no head: one look

    assert len(list(open_fake(monkeypatch, fake).stream(source()))) == 1
    assert (runs_before, len(fake.fed)) == ([1], 2)


def test_opencv_has_no_threads_in_a_stream(segmenter: Segmenter, phantoms: list[Phantom]) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        stream = segmenter.stream(iter([phantoms[0].image] * 2))
        next(stream)
        assert cv2.getNumThreads() == 1
        stream.close()
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


class Capture:
    """Reads as OpenCV's VideoCapture does."""

    def __init__(self, frames: list[np.ndarray], n_frames: int = -1) -> None:
        self.frames, self.n_frames = frames, n_frames

    def isOpened(self) -> bool:
        return bool(self.frames)

    def get(self, name: int, /) -> float:
        return self.n_frames if name == cv2.CAP_PROP_FRAME_COUNT else 0

    def read(self) -> tuple[bool, np.ndarray | None]:
        return (True, self.frames.pop(0)) if self.frames else (False, None)


def test_a_camera_is_a_source(segmenter: Segmenter, phantoms: list[Phantom]) -> None:
    colour = np.dstack([phantoms[0].image] * 3)
    measured = list(segmenter.stream(Capture([colour, colour]), 0.2))
    assert len(measured) == 2
    frame, found = measured[-1]
    assert np.array_equal(frame, colour)
    assert found.hc_mm == segmenter.predict(phantoms[0].image, 0.2).hc_mm
    assert len(list(segmenter.stream(Capture([colour]), drop_late=True))) == 1
    with pytest.raises(DataError, match="not open"):
        next(segmenter.stream(Capture([])))
    with pytest.raises(DataError, match="drop_late"):  # of a file
        next(segmenter.stream(Capture([colour], 100), drop_late=True))
    for source in ("video.mp4", b"video", Path("video.mp4"), 3, None):
        with pytest.raises(DataError, match=r"cv2\.VideoCapture"):
            next(segmenter.stream(source))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="array of gray values"):
        next(segmenter.stream([np.zeros((100, 100, 2), dtype=np.uint8)]))
