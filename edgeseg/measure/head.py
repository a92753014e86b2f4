"""A fetal head: the region that is one, its ellipse, and the figures clinicians read off it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from edgeseg.measure import figures, quality
from edgeseg.measure.measurement import Measurement
from edgeseg.measure.outline import look_closely
from edgeseg.measure.outline import mask as mask
from edgeseg.measure.outline import strokes as strokes

if TYPE_CHECKING:
    from edgeseg.images.frame import Frame
    from edgeseg.measure.measurement import Column, Look, LookAt
    from edgeseg.network.metadata import ModelMetadata
    from edgeseg.network.task import Task

_SAME_HEAD = 0.05  # of its circumference may two scans of one head differ

FLAGS: Mapping[str, str] = quality.FLAGS
TERMS: Mapping[str, str] = {
    "HC": "head circumference: that of an ellipse around the outer edge of the skull",
    "BPD": "biparietal diameter: the shorter axis of that ellipse, outer to outer",
    "OFD": "occipitofrontal diameter: its longer axis, outer to outer",
    "GA": "gestational age in weeks and days, read off HC: 20w3d",
    "±": "half a 90 % interval: it held the expert's HC in 90 % of held-out heads; behind an age "
    "that interval together with two standard deviations of Hadlock's method",
    "centile": "how many of 100 healthy fetuses of the age given are smaller (INTERGROWTH-21st)",
}
NOTHING = "no head"


def title(_task: Task, /) -> str:
    """Return what is measured."""
    return "Head circumference"


def columns(_task: Task, /) -> tuple[Column, ...]:
    """Return the figures of a head; the interval's are empty where the model's file gives none."""
    return figures.COLUMNS


def main_columns(_task: Task, /) -> tuple[Column, ...]:
    """Return the circumference, in mm and in pixels."""
    return tuple(column for column in figures.COLUMNS if column.name in ("hc_mm", "hc_px"))


def given_columns(_task: Task, /, *, ages: bool, calibrated: bool) -> tuple[Column, ...]:
    """Return centiles for ages that were given, and what calibrated the figures in mm."""
    of_ages = figures.AGE_COLUMNS if ages else ()
    return (*of_ages, *(figures.CALIBRATION_COLUMNS if calibrated else ()))


def measure(frame: Frame, look: LookAt, metadata: ModelMetadata, /) -> Measurement:
    """Measure the head in a frame, if what is seen is one; see `look_closely`."""
    last, seen = look_closely(frame, look, metadata)
    if isinstance(seen, str):
        return _nothing(seen, last, frame)
    limits, confidence = metadata.limits, seen.outline.confidence
    found = figures.measure(seen.outline.ellipse, confidence, frame, metadata)
    hc_mm = found["hc_mm"]
    is_rare = hc_mm is not None and hc_mm < limits.rare_hc_mm
    if last.presence is not None and last.presence < limits.presence_refused and not is_rare:
        return _nothing("the shape seen does not look like a fetal head", last, frame)
    if flags := quality.flags(seen):
        found = figures.drop_ages(found)
    return Measurement(found, confidence, flags, ellipse=seen.outline.ellipse, look=last)


def compare_with_second_scan(measurement: Measurement, other: Measurement, /) -> Measurement:
    """Return a head's measurement, in doubt if another scan on the screen shows another head."""
    own, its = measurement.figures, other.figures
    name = "hc_px" if None in (own.get("hc_mm"), its.get("hc_mm")) else "hc_mm"
    one, two = own.get(name), its.get(name)
    if one is None or two is None or other.status != "ok" or abs(one - two) <= _SAME_HEAD * one:
        return measurement
    raised = {*measurement.flags, "several_regions"}
    flags = tuple(name for name in FLAGS if name in raised)
    return replace(measurement, flags=flags, figures=figures.drop_ages(own))


def caption(measurement: Measurement, _task: Task, /) -> str:
    """Return head circumference, age and centiles in one line."""
    if measurement.reason:
        return "no head found"
    return "; ".join(figures.caption_lines(measurement.figures))


def _nothing(seen: str, look: Look, frame: Frame) -> Measurement:
    """Return the measurement of an image without a head, and what was seen instead."""
    return Measurement(figures.empty_figures(frame), reason=f"no head found: {seen}", look=look)
