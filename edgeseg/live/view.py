"""What is seen now: the newest frame, measured and drawn, and what the last ones say together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from edgeseg.images.arrays import as_frame
from edgeseg.images.frame import RULER, Frame, PixelSize, Size
from edgeseg.images.live import take_newest
from edgeseg.images.ruler import RulerOption, read_ruler
from edgeseg.live.source import LiveFrame, LiveSource
from edgeseg.measure.measurement import Figures
from edgeseg.measure.tasks import measure_of
from edgeseg.output import table
from edgeseg.output.table import Row
from edgeseg.prediction import Prediction
from edgeseg.segmenter import Segmenter
from edgeseg.system.parallel import single_threaded_opencv

_RULER_S = 1.0  # between readings of the ruler
_REPEAT_S = 0.2


class LiveView:
    """Measures frames one after the other, and keeps the newest for those who look at it.

    ``window_s``: over how many seconds the median is taken. Safe to use from several threads.
    """

    def __init__(
        self, segmenter: Segmenter, size: Size, ruler: RulerOption, window_s: float
    ) -> None:
        self.segmenter, self._size, self._ruler = segmenter, size, ruler
        self.window_s = window_s
        task = segmenter.metadata.task
        self._measure = measure_of(task)
        self._columns = self._measure.columns(task)
        self._main = self._measure.main_columns(task)
        self._changed = threading.Condition()
        self._shown: tuple[LiveFrame, Prediction] | None = None
        self._picture: tuple[int, bytes] = 0, b""
        self._steady: deque[tuple[float, Figures]] = deque()  # time in s, and what was measured
        self._scale: tuple[float, PixelSize | None] = -_RULER_S, None
        self._has_ended = False

    def measure(self, live: LiveFrame) -> Row:
        """Measure a frame, show it, and return its row, with ``time_s`` as last column."""
        frame = self._scaled(as_frame(live.pixels, self._size), live.time_s)
        prediction = self.segmenter.predict(frame)
        row = table.prediction_row("", prediction, None, frame=live.number)
        row["time_s"] = round(live.time_s, 3)
        with self._changed:
            if prediction.status == "ok" and not live.trouble:
                self._steady.append((live.time_s, prediction.figures))
            while self._steady and self._steady[0][0] < live.time_s - self.window_s:
                self._steady.popleft()
            self._shown = live, prediction
            self._changed.notify_all()
        return row

    def end(self) -> None:
        """Let go of those who wait for a picture."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def next_picture(self, number: int) -> tuple[int, bytes] | None:
        """Wait for a frame after ``number``; return its number and overlay (JPEG), None at the end.

        Where none comes for a while it is the last one again: browsers show a picture when the next
        one begins. An overlay is drawn once, however many look at it, and not if nobody does.
        """
        with self._changed:
            while not self._has_ended:
                self._changed.wait_for(
                    lambda: self._has_ended or (self._shown and self._shown[0].number > number),
                    _REPEAT_S,
                )
                if self._shown is not None and not self._has_ended:
                    live, prediction = self._shown
                    if self._picture[0] < live.number:
                        self._picture = live.number, prediction.overlay_jpeg()
                    return self._picture
            return None

    def newest(self) -> LiveFrame | None:
        """Return the frame that is shown; None before the first."""
        with self._changed:
            return self._shown and self._shown[0]

    def state(self) -> dict[str, Any]:
        """Return what the page writes beside the picture, as JSON can hold it."""
        with self._changed:
            if self._shown is None:
                return {"number": 0}
            live, prediction = self._shown
            steady = [figures for _, figures in self._steady]
        figures = prediction.figures
        state = {
            "number": live.number,
            "status": prediction.status,
            "reason": prediction.reason,
            "doubts": [self._measure.FLAGS[flag] for flag in prediction.flags],
            "trouble": live.trouble,
            "figures": [[c.title, c.text(figures)] for c in self._columns if c.title],
            "window_s": self.window_s,
            "n_steady": len(steady),
        }
        return state | self._summarize(steady)

    def _summarize(self, steady: list[Figures]) -> dict[str, str]:
        """Return median and quartiles of the first main figure that there is, as people read it."""
        for column in self._main:
            if values := [v for figures in steady if (v := figures.get(column.name)) is not None]:
                quartiles = np.percentile(values, [25, 50, 75]).tolist()
                plain = column._replace(read=None)
                texts = [plain.text({plain.name: value}) for value in quartiles]
                names = ("low", "median", "high")
                return {
                    "title": column.title or column.name,
                    **dict(zip(names, texts, strict=True)),
                }
        return {}

    def _scaled(self, frame: Frame, time_s: float) -> Frame:
        """Return a frame with the size that its ruler tells, if it has none; read now and then."""
        if self._ruler is None or frame.pixel_size is not None:
            return frame
        if time_s - self._scale[0] >= _RULER_S:
            mm = read_ruler(frame, self._ruler).pixel_size_mm
            self._scale = time_s, PixelSize(mm, mm, RULER) if mm else None
        return replace(frame, pixel_size=self._scale[1])


def show(source: LiveSource, view: LiveView, on_row: Callable[[Row], None]) -> None:
    """Measure a source's newest frame again and again, until it ends."""
    with single_threaded_opencv():
        try:
            for live in take_newest(source.frames()):
                on_row({**view.measure(live), "file": source.name})
        finally:
            view.end()
