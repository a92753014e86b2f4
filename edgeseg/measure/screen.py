"""The scans on a machine's screen: each is measured as an image of its own, the surest counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgeseg.images.frame import Area, Frame, GrayImage, Screen
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Look, Looks, Measurement, TaskMeasure
from edgeseg.network.metadata import ModelMetadata

FLAGS = {
    "no_pixel_size": "the file's pixel size is missing or cannot be trusted",
    "coloured": "the scan is coloured, as B-mode is not",
}
"""Flags that a machine's file gives cause for, with what they mean."""
_SURE = {"ok": 2, "doubtful": 1, "empty": 0}
_ANYWHERE = Screen()


def examine(task: TaskMeasure, frame: Frame, metadata: ModelMetadata) -> Looks:
    """Measure a frame; see `edgeseg.measure.measurement`.

    On a screen that says where its scans are nothing else is looked at. Of several scans the one
    counts in which the task finds most surely what it measures.
    """
    areas = (frame.screen or _ANYWHERE).areas
    if not areas:
        return (yield from task.examine(frame, metadata))
    found = []
    for area in areas:
        found.append((yield from _examine_scan(task, frame, area, metadata)))
    found.sort(key=_sureness, reverse=True)
    best, *others = found
    for other in others:
        best = task.beside(best, other)
    return best


def placed(frame: Frame, measurement: Measurement) -> Frame:
    """Return a frame with the size of the pixels that it has where it was measured."""
    area = measurement.area
    return frame if area is None else replace(frame, pixel_size=frame.scan(area).pixel_size)


def flags(frame: Frame) -> tuple[str, ...]:
    """Return what the file that a frame comes from says against its measurement."""
    screen = frame.screen or _ANYWHERE
    raised = {
        "no_pixel_size": bool(screen.refused) and frame.pixel_size is None,
        "coloured": screen.coloured,
    }
    return tuple(name for name in FLAGS if raised[name])


def meanings(task: TaskMeasure, frame: Frame, flags: Sequence[str]) -> list[str]:
    """Return what flags of a frame's measurement mean, each a sentence."""
    known = {**task.FLAGS}
    if frame.screen is not None and frame.screen.refused:
        known["no_pixel_size"] = frame.screen.refused
    return [known[flag] for flag in flags]


def _examine_scan(task: TaskMeasure, frame: Frame, area: Area, metadata: ModelMetadata) -> Looks:
    """Measure one scan, and say it in the pixels of the screen."""
    study = task.examine(frame.scan(area), metadata)
    view = next(study)
    while True:
        look = yield view.of_scan(area)
        try:
            view = study.send(look._replace(view=view))
        except StopIteration as end:
            return _on_screen(end.value, area, frame.size, look)


def _on_screen(
    measurement: Measurement, area: Area, size: tuple[int, int], look: Look
) -> Measurement:
    figures = {**measurement.figures}
    for name, offset in (("center_x_px", area.left_px), ("center_y_px", area.top_px)):
        if (value := figures.get(name)) is not None:
            figures[name] = value + offset
    ellipse = measurement.ellipse
    if ellipse is not None:
        ellipse = ellipse.moved(area.left_px, area.top_px)
    mask: GrayImage | None = measurement.mask
    if mask is not None:
        height, width = area.size
        whole = View(area.left_px, area.top_px, width, height, within=area)
        mask = whole.paste(mask, size)
    return replace(measurement, figures=figures, ellipse=ellipse, mask=mask, look=look, area=area)


def _sureness(measurement: Measurement) -> tuple[float, ...]:
    presence = measurement.look.presence if measurement.look else None
    return _SURE[measurement.status], presence or 0.0, measurement.confidence
