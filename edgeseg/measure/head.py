"""A fetal head: the region that is one, its ellipse, and the figures clinicians read off it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from edgeseg.measure import figures, quality
from edgeseg.measure.framing import View, around
from edgeseg.measure.measurement import Measurement, Stroke
from edgeseg.measure.outline import best_agreement, find
from edgeseg.measure.quality import Looked
from edgeseg.measure.region import main_region, to_native

if TYPE_CHECKING:
    from edgeseg.images.frame import Frame
    from edgeseg.measure.ellipse import Ellipse, Mask
    from edgeseg.measure.measurement import Column, Look, LookAt
    from edgeseg.measure.outline import Outline
    from edgeseg.network.metadata import ModelMetadata
    from edgeseg.network.task import Task

_BLACK_ON_WHITE = 150  # mean gray value: ultrasound is dark, the brightest of HC18 has 83
_MORE_LOOKS = 2
_SAME_HEAD = 0.05  # of its circumference may two scans of one head differ
# A view of so many images' width, or area where that is much, would be nearly all black.
_WIDEST, _LARGEST, _SMALL_PX = 4, 4, 1_000_000

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
    """Measure the head in a frame, in two looks or three.

    The first look, at the whole frame as it is, says where the head is; the next, at an undistorted
    view around it, is measured. Where it differs from the one before, a third decides.
    """
    limits = metadata.limits
    inverted = cv2.mean(frame.pixels)[0] > _BLACK_ON_WHITE
    last = look(View.whole(frame.size, inverted=inverted))
    seen = see(last, metadata.threshold)
    if isinstance(seen, str):
        return _nothing(seen, last, frame)
    change, others = 0.0, seen.other_share
    for _ in range(_MORE_LOOKS):
        input_size = last.maps.shape[1], last.maps.shape[2]
        view = around(seen.ellipse, limits.view_shares, input_size, frame.pixel_size)
        if _is_mostly_beyond(view, frame.size):
            break  # the outline is guessed from a short arc
        last = look(view._replace(inverted=inverted))
        before_px, seen = seen.ellipse.circumference_px, see(last, metadata.threshold)
        if isinstance(seen, str):
            return _nothing(seen, last, frame)
        others = max(others, seen.other_share)
        change = abs(seen.ellipse.circumference_px - before_px) / before_px
        if change < limits.look_change / 2:
            break
    return _judge(seen, last, Looked(change, others), frame, metadata)


class Seen(NamedTuple):
    """A head as one look shows it."""

    outline: Outline  # in pixels of the view
    ellipse: Ellipse  # in pixels of the image

    @property
    def other_share(self) -> float:
        """Area of the regions beside the main one, as a fraction of that."""
        return self.outline.region.other_area_px / self.outline.region.area_px


def see(look: Look, threshold: float) -> Seen | str:
    """Find the head in what the network answered; a sentence on what is there instead if none."""
    outline, view = find(look.maps[0], look.view.size, threshold), look.view
    if isinstance(outline, str):
        return outline
    return Seen(outline, outline.fit.ellipse.moved(view.left_px, view.top_px))


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


def mask(measurement: Measurement, size: tuple[int, int], metadata: ModelMetadata, /) -> Mask:
    """Return the head's pixels at native size, 0 or 255; empty if no head was found.

    The main region of the probability map, thresholded at native size: what the network saw, not
    the fitted ellipse, and so cut where the image is.
    """
    look = measurement.look
    if measurement.ellipse is not None and look is not None:
        region = main_region(to_native(look.maps[0], look.view.size), metadata.threshold)
        if region is not None:
            return look.view.paste(region.mask, size)
    return np.zeros(size, dtype=np.uint8)


def strokes(measurement: Measurement, /) -> list[Stroke]:
    """Return the ellipse, and calipers at the ends of its axes."""
    if measurement.ellipse is None:
        return []
    points = measurement.ellipse.points(180)  # they start on the major axis
    return [Stroke(points), Stroke(points[::45], closed=False)]


def caption(measurement: Measurement, _task: Task, /) -> str:
    """Return head circumference, age and centiles in one line."""
    if measurement.reason:
        return "no head found"
    return "; ".join(figures.caption_lines(measurement.figures))


def _judge(
    seen: Seen, look: Look, looked: Looked, frame: Frame, metadata: ModelMetadata
) -> Measurement:
    """Decide whether what the last look shows is a head, and what tells against its figures."""
    limits, outline = metadata.limits, seen.outline
    if outline.confidence < limits.agreement:
        agreed = best_agreement(look.maps[0], outline, look.view.size, metadata.threshold)
        if agreed < limits.agreement:
            reason = f"the shape seen is not an ellipse (agreement {agreed:.2f})"
            return _nothing(reason, look, frame)
    found = figures.measure(seen.ellipse, outline.confidence, frame, metadata)
    hc_mm = found["hc_mm"]
    is_rare = hc_mm is not None and hc_mm < limits.rare_hc_mm
    if look.presence is not None and look.presence < limits.presence_refused and not is_rare:
        return _nothing("the shape seen does not look like a fetal head", look, frame)
    flags = quality.flags(quality.Facts(outline, seen.ellipse, look, looked, frame, limits))
    if flags:
        found = figures.drop_ages(found)
    return Measurement(found, outline.confidence, flags, ellipse=seen.ellipse, look=look)


def _nothing(seen: str, look: Look, frame: Frame) -> Measurement:
    """Return the measurement of an image without a head, and what was seen instead."""
    return Measurement(figures.empty_figures(frame), reason=f"no head found: {seen}", look=look)


def _is_mostly_beyond(view: View, size: tuple[int, int]) -> bool:
    """Return whether a view reaches so far beyond an image that it is not worth its memory."""
    height, width = view.size
    too_large = height * width > _LARGEST * max(size[0] * size[1], _SMALL_PX)
    return too_large or max(height, width) > _WIDEST * max(size)
