"""What was measured on one image."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeseg.drawing import overlay
from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure.ellipse import Ellipse, Mask
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Look, Measurement, Stroke
from edgeseg.measure.screen import meanings
from edgeseg.measure.tasks import measure_of
from edgeseg.network.metadata import ModelMetadata
from edgeseg.network.task import Task


class StageTimes(NamedTuple):
    """Wall time of one image's stages, in milliseconds."""

    preprocess: float
    inference: float
    postprocess: float


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What was measured on one image, by a model of any task.

    Two are equal if they are one and the same; `to_dict` gives values to compare. A notebook shows
    its overlay, figures and doubts.

    Examples
    --------
    >>> import numpy as np
    >>> from edgeseg.segmenter import Segmenter
    >>> prediction = Segmenter("hc18-nano", device="cpu").predict(np.zeros((270, 400), np.uint8))
    >>> prediction.hc_mm, prediction.reason
    (None, 'no head found: nothing in the image looks like one')
    >>> prediction.overlay().shape
    (270, 400, 3)
    """

    frame: Frame
    measurement: Measurement
    metadata: ModelMetadata
    times_ms: StageTimes

    @property
    def task(self) -> Task:
        """What the model answers."""
        return self.metadata.task

    @property
    def size(self) -> tuple[int, int]:
        """Native (height, width) of the image."""
        return self.frame.size

    @property
    def pixel_size(self) -> PixelSize | None:
        """Millimetres per pixel and where they come from; None if unknown."""
        return self.frame.pixel_size

    @property
    def pixel_size_mm(self) -> float | None:
        """Millimetres per pixel, across the image; None if unknown."""
        return self.frame.pixel_size.x_mm if self.frame.pixel_size else None

    @property
    def status(self) -> str:
        """``ok``; ``doubtful`` where a flag says why; ``empty`` where nothing was found."""
        return self.measurement.status

    @property
    def reason(self) -> str:
        """Why nothing was found, what speaks against what was, or why there are no millimetres."""
        doubts, ruler = meanings(measure_of(self.task), self.frame, self.flags), self.frame.ruler
        if ruler is not None and self.pixel_size is None:
            doubts.append(f"{ruler.reason}: lengths are in pixels")
        return self.measurement.reason or "; ".join(doubts)

    @property
    def figures(self) -> Mapping[str, float | None]:
        """Every figure of the task by its name, such as ``hc_mm`` or ``lesion_area_mm2``."""
        return self.measurement.figures

    @property
    def confidence(self) -> float:
        """How far the map and what was read off it agree, in [0, 1]; 0 where nothing was found."""
        return self.measurement.confidence

    @property
    def flags(self) -> tuple[str, ...]:
        """Reasons not to trust the measurement."""
        return self.measurement.flags

    @property
    def view(self) -> View:
        """The part of the image that was measured."""
        return self._look.view

    @property
    def maps(self) -> npt.NDArray[np.float32]:
        """The network's output on the `view`, shape (C, h, w), in [0, 1]."""
        return self._look.maps

    @property
    def presence(self) -> float | None:
        """Probability that what is measured is there at all; None if the model does not say."""
        return self._look.presence

    @property
    def probability(self) -> npt.NDArray[np.float32]:
        """`maps`, of one structure its only one: shape (h, w)."""
        return self.maps[0] if len(self.maps) == 1 else self.maps

    @property
    def threshold(self) -> float:
        """Probability from which a pixel belongs to a structure."""
        return self.metadata.threshold

    @property
    def ellipse(self) -> Ellipse | None:
        """Outline of the head in native pixels; None if no head was found."""
        return self.measurement.ellipse

    @property
    def hc_px(self) -> float | None:
        """Head circumference in pixels."""
        return self.figures.get("hc_px")

    @property
    def hc_mm(self) -> float | None:
        """Head circumference in millimetres."""
        return self.figures.get("hc_mm")

    @property
    def area_mm2(self) -> float | None:
        """Area of the head's ellipse in square millimetres."""
        return self.figures.get("area_mm2")

    @property
    def ga_weeks_hadlock(self) -> float | None:
        """Gestational age in weeks (Hadlock 1984); None outside its range."""
        return self.figures.get("ga_weeks_hadlock")

    @property
    def ga_weeks_intergrowth(self) -> float | None:
        """Gestational age in weeks (INTERGROWTH-21st); None outside its range."""
        return self.figures.get("ga_weeks_intergrowth")

    def to_dict(self) -> dict[str, Any]:
        """Return its row of ``results.csv`` as plain values: text, numbers, and None for no value.

        Numbers are not rounded. ``file`` is the frame's name; ``frame`` and ``decode_ms`` are None.
        """
        columns = measure_of(self.task).columns(self.task)
        values = {column.name: self.figures[column.name] for column in columns}
        size = self.pixel_size
        return {
            "file": self.frame.name,
            "frame": None,
            "status": self.status,
            "reason": self.reason,
            "flags": ";".join(self.flags),
            "confidence": float(self.confidence),
            **{name: None if value is None else float(value) for name, value in values.items()},
            "pixel_size_x_mm": size.x_mm if size else None,
            "pixel_size_y_mm": size.y_mm if size else None,
            "pixel_size_source": size.source if size else "",
            "decode_ms": None,
            **{f"{stage}_ms": float(ms) for stage, ms in self.times_ms._asdict().items()},
        }

    def mask(self) -> Mask:
        """Return the mask at native size, uint8.

        Of a head 0 or 255, and empty if none was found; of regions the class numbers.
        """
        return measure_of(self.task).mask(self._drawn, self.size, self.metadata)

    def overlay(self) -> npt.NDArray[np.uint8]:
        """Return the image with what was measured drawn on it: (H, W, 3), uint8, blue first."""
        return overlay.draw(self.frame, self._drawn, self.task)

    def overlay_jpeg(self, reference: Sequence[Stroke] = ()) -> bytes:
        """Return the same as a JPEG file's bytes, with a thumbnail in it.

        Outlines of what should have been measured, ``reference``, are drawn in pink beneath.

        Raises
        ------
        ImageDecodeError
            If a JPEG cannot hold an image of that size.
        """
        return overlay.draw_jpeg(self.frame, self._drawn, self.task, reference)

    def slim(self) -> Prediction:
        """Return it in less than 10 kB; `maps`, `mask` and overlays then raise a DataError."""
        frame = replace(self.frame, pixels=np.zeros((*self.size, 0), np.uint8))
        return replace(self, frame=frame, measurement=replace(self._drawn, look=None, mask=None))

    def __repr__(self) -> str:
        return f"<Prediction {self.frame.name!r}: {self.status}, {self.caption()}>"

    def _repr_png_(self) -> bytes | None:
        """Show itself in a notebook: the overlay."""
        return encode(".png", self.overlay()) if self.measurement.look else None

    def _repr_html_(self) -> str | None:
        """Show itself in a notebook: the overlay, what was measured, and what speaks against it."""
        if self.measurement.look is None:
            return None
        picture = base64.b64encode(self.overlay_jpeg()).decode("ascii")
        text = self.reason if self.status == "empty" else self.caption()
        lines = [f"<b>{escape(self.status)}</b>", *map(escape, text.split("; "))]
        if self.flags:
            lines += [escape(self.reason)]
        return (
            f'<figure><img alt="{escape(self.frame.name)}" style="max-width: 100%" '
            f'src="data:image/jpeg;base64,{picture}">'
            f"<figcaption>{'<br>'.join(lines)}</figcaption></figure>"
        )

    def caption(self) -> str:
        """Return the measurement in one line."""
        return measure_of(self.task).caption(self.measurement, self.task)

    @property
    def _look(self) -> Look:
        if self.measurement.look is None:
            raise DataError("slim() left out what this prediction was read off; keep the whole one")
        return self.measurement.look

    @property
    def _drawn(self) -> Measurement:
        return replace(self.measurement, look=self._look)
