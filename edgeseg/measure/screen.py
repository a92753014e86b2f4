"""A machine's screen: each scan on it is measured as an image of its own, the surest counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgeseg.measure.framing import View

if TYPE_CHECKING:
    from edgeseg.images.frame import Area, Frame
    from edgeseg.measure.measurement import Look, LookAt, Measurement, TaskMeasure
    from edgeseg.network.metadata import ModelMetadata

FLAGS = {
    "no_pixel_size": "the file's pixel size is missing or cannot be trusted",
    "coloured": "the scan is in colour, unlike B-mode",
    "ruler_differs": "the ruler in the picture shows another pixel size: check which is right",
}
"""Flags raised by a machine's file or picture, with their meaning."""
_SURE = {"ok": 2, "doubtful": 1, "empty": 0}


def measure(task: TaskMeasure, frame: Frame, look: LookAt, metadata: ModelMetadata) -> Measurement:
    """Measure a frame.

    On a screen that says where its scans are nothing else is looked at. Of several scans the one
    counts in which the task finds most surely what it measures.
    """
    areas = frame.screen.areas if frame.screen else ()
    if not areas:
        return task.measure(frame, look, metadata)
    found = [_measure_scan(task, frame, area, look, metadata) for area in areas]
    best, *others = sorted(found, key=_sureness, reverse=True)
    for other in others:
        best = task.compare_with_second_scan(best, other)
    return best


def flags(frame: Frame) -> tuple[str, ...]:
    """Return the flags that a frame's file and picture raise."""
    screen, ruler, pixel_size = frame.screen, frame.ruler, frame.pixel_size
    raised = {
        "no_pixel_size": screen is not None and screen.refused and pixel_size is None,
        "coloured": screen is not None and screen.coloured,
        "ruler_differs": ruler is not None and ruler.differs_from(pixel_size),
    }
    return tuple(name for name in FLAGS if raised[name])


def meanings(task: TaskMeasure, frame: Frame, flags: Sequence[str]) -> list[str]:
    """Return the meaning of each flag of a frame's measurement."""
    known = {**task.FLAGS}
    if frame.screen is not None and frame.screen.refused:
        known["no_pixel_size"] = frame.screen.refused
    return [known[flag] for flag in flags]


def _measure_scan(
    task: TaskMeasure, frame: Frame, area: Area, look: LookAt, metadata: ModelMetadata
) -> Measurement:
    """Measure one scan, and return its measurement in the pixels of the screen."""

    def look_at_scan(view: View) -> Look:
        return look(view.of_scan(area))._replace(view=view)

    found = task.measure(frame.scan(area), look_at_scan, metadata)
    figures = {**found.figures}
    for name, offset in (("center_x_px", area.left_px), ("center_y_px", area.top_px)):
        if (value := figures.get(name)) is not None:
            figures[name] = value + offset
    ellipse = found.ellipse and found.ellipse.moved(area.left_px, area.top_px)
    look_on_screen = found.look and found.look._replace(view=found.look.view.of_scan(area))
    mask = found.mask
    if mask is not None:
        mask = View.whole(area.size).of_scan(area).paste(mask, frame.size)
    return replace(
        found, figures=figures, ellipse=ellipse, mask=mask, look=look_on_screen, area=area
    )


def _sureness(measurement: Measurement) -> tuple[float, ...]:
    presence = measurement.look.presence if measurement.look else None
    return _SURE[measurement.status], presence or 0.0, measurement.confidence


def compare_with_second_scan(measurement: Measurement, _other: Measurement, /) -> Measurement:
    """Return a measurement as it is: two scans on one screen may well show different things."""
    return measurement
