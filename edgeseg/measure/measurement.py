"""What a task measures, in a form for tables and overlays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edgeseg.measure.framing import View

if TYPE_CHECKING:
    from edgeseg.images.frame import Area, Frame
    from edgeseg.measure.ellipse import Ellipse, FloatArray, Mask
    from edgeseg.network.metadata import ModelMetadata
    from edgeseg.network.task import Task

Probability = npt.NDArray[np.float32]
Figures = Mapping[str, float | None]


class Look(NamedTuple):
    """A network's answer on a part of an image."""

    maps: Probability  # shape (C, h, w), float32 in [0, 1]
    view: View
    # That the view shows what the model is for; None if the model has no such output.
    presence: float | None = None


LookAt = Callable[[View], Look]
"""Runs the network on a part of the image that is being measured."""


class Column(NamedTuple):
    """A figure of a task."""

    name: str  # in tables; ends in its unit
    decimals: int
    title: str = ""  # on a page for people; empty where that page leaves it out
    # What people read of it, from all figures of an image; None: one decimal at most.
    read: Callable[[Figures], str] | None = None

    def text(self, figures: Figures) -> str:
        """Return what people read of it; empty where there is nothing."""
        if self.read is not None:
            return self.read(figures)
        value = figures.get(self.name)
        return "" if value is None else f"{value:.{min(self.decimals, 1)}f}"


class Stroke(NamedTuple):
    """A line of an overlay."""

    points: FloatArray  # shape (n, 2), (x, y) in pixels of the image
    structure: int = 1  # number of its class
    closed: bool = True  # an outline; otherwise calipers, a cross at each point


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What was measured in a frame."""

    figures: Figures = field(default_factory=dict)  # Of each of the task's columns, or None.
    confidence: float = 0.0  # In [0, 1]; 0 where nothing was found.
    flags: tuple[str, ...] = ()  # Reasons not to trust the measurement.
    reason: str = ""  # Why nothing was found; empty where something was.
    ellipse: Ellipse | None = None  # In pixels of the image, of tasks that measure one.
    look: Look | None = None  # The network's answer that was measured, if there is one.
    mask: Mask | None = None  # (height, width) of the image, class numbers, if it was computed.
    area: Area | None = None  # The scan on a screen that it was found in; None: the whole image.

    @property
    def status(self) -> str:
        """``ok``; ``doubtful`` where a flag says why; ``empty`` where nothing was found."""
        if self.reason:
            return "empty"
        return "doubtful" if self.flags else "ok"


class TaskMeasure(Protocol):
    """The interface of a module of this package that is a task; see `edgeseg.measure.tasks`."""

    FLAGS: Mapping[str, str]
    """Every flag with its meaning."""
    TERMS: Mapping[str, str]
    """What people read of a figure, such as ``HC``, with its meaning."""
    NOTHING: str
    """What images are called in which nothing was found, such as ``no head``."""

    def title(self, task: Task, /) -> str:
        """Return what it measures, as a page's title."""

    def columns(self, task: Task, /) -> tuple[Column, ...]:
        """Return the figures it measures, in the order of the table."""

    def main_columns(self, task: Task, /) -> tuple[Column, ...]:
        """Return the figures that stand for all in the summary of a film."""

    def given_columns(self, task: Task, /, *, ages: bool, calibrated: bool) -> tuple[Column, ...]:
        """Return the figures that end the table: those of ages and a calibration, if given."""

    def measure(self, frame: Frame, look: LookAt, metadata: ModelMetadata, /) -> Measurement:
        """Measure a frame, in as many looks as it takes; the first is at all of it."""

    def compare_with_second_scan(
        self, measurement: Measurement, other: Measurement, /
    ) -> Measurement:
        """Return a measurement, doubtful if another scan on the same screen contradicts it."""

    def mask(
        self, measurement: Measurement, size: tuple[int, int], metadata: ModelMetadata, /
    ) -> Mask:
        """Return the mask that is kept of it, shape ``size``, uint8."""

    def strokes(self, measurement: Measurement, /) -> list[Stroke]:
        """Return what an overlay draws of it."""

    def caption(self, measurement: Measurement, task: Task, /) -> str:
        """Return it in one line; ``; `` may part it."""
