"""One structure with an elliptic outline: its region of a map, its ellipse, and looks at it.

Coordinates are those of `edgeseg.measure.ellipse`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from edgeseg.measure.ellipse import Ellipse, FloatArray, Mask, fit_ellipse
from edgeseg.measure.framing import View, around
from edgeseg.measure.measurement import Stroke

if TYPE_CHECKING:
    from edgeseg.images.frame import Frame
    from edgeseg.measure.measurement import Look, LookAt, Measurement, Probability
    from edgeseg.network.metadata import ModelMetadata
    from edgeseg.network.task import Limits

# A smaller region is speckle, not a head: heads of HC18 fill at least 7 % of their image.
MIN_REGION_FRACTION = 0.002

_BLACK_ON_WHITE = 150  # mean gray value: ultrasound is dark, the brightest of HC18 has 83
_MORE_LOOKS = 2
# A view of so many images' width, or area where that is much, would be nearly all black.
_WIDEST, _LARGEST, _SMALL_PX = 4, 4, 1_000_000
_SHIFT = 4  # sub-pixel bits for cv2's polygon filling


class Region(NamedTuple):
    """The main connected region of a thresholded probability map."""

    mask: Mask  # shape (height, width), 0 or 255, holes filled
    area_px: int  # holes included
    other_area_px: int  # of all other regions together


def main_region(probability: Probability, threshold: float = 0.5) -> Region | None:
    """Return the largest 4-connected region of a map, (height, width), with holes filled.

    A pixel belongs to it from the threshold on; None if no pixel reaches that.
    """
    binary = (probability >= threshold).view(np.uint8)
    # Labelling is the most expensive step: restrict it to the bounding box of all regions.
    left, top, width, height = cv2.boundingRect(binary)
    if not width:
        return None
    part = binary[top : top + height, left : left + width]
    count, _ = cv2.connectedComponents(part, connectivity=4)
    other_area_px = 0
    if count > 2:  # background and several regions: only now are areas and boxes needed
        _, labels, stats, _ = cv2.connectedComponentsWithStats(part, connectivity=4)
        areas = stats[1:, cv2.CC_STAT_AREA]
        best = int(np.argmax(areas))
        other_area_px = int(areas.sum() - areas[best])
        # Work inside the region's own box: the rest of the image cannot hold a hole of it.
        x, y, width, height = (int(v) for v in stats[best + 1, : cv2.CC_STAT_AREA])
        part = (labels[y : y + height, x : x + width] == best + 1).view(np.uint8)
        left, top = left + x, top + y
    mask = np.zeros(probability.shape, dtype=np.uint8)
    outline, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mask[top : top + height, left : left + width], outline, -1, 255, cv2.FILLED)
    return Region(mask, cv2.countNonZero(mask), other_area_px)


def boundary_points(probability: Probability, region: Region, threshold: float = 0.5) -> FloatArray:
    """Return the points (x, y), shape (n, 2), where the map crosses the threshold around a region.

    Every horizontal or vertical pair of neighbours with one pixel inside and one outside gives one
    point by linear interpolation. There are no pairs across the image border, so that the edge of
    a cut head is not mistaken for skull.
    """
    # Crossings lie in the region's bounding box and the pixels around it.
    x, y, w, h = cv2.boundingRect(region.mask)
    left, top = max(x - 1, 0), max(y - 1, 0)
    box = (slice(top, y + h + 1), slice(left, x + w + 1))
    inside, probability = region.mask[box] > 0, probability[box]  # holes count as inside
    parts = []
    for axis in (0, 1):
        first = inside[:-1] if axis == 0 else inside[:, :-1]
        second = inside[1:] if axis == 0 else inside[:, 1:]
        rows, columns = np.nonzero(first != second)
        next_rows, next_columns = rows + (axis == 0), columns + (axis == 1)
        here = probability[rows, columns].astype(np.float64)
        there = probability[next_rows, next_columns].astype(np.float64)
        crossings = np.empty((len(rows), 2))
        crossings[:, 0], crossings[:, 1] = columns + left, rows + top
        step = (threshold - here) / (there - here)
        crossings[:, 1 - axis] += np.minimum(np.maximum(step, 0.0), 1.0)
        parts.append(crossings)
    return np.concatenate(parts)


def to_native(probability: Probability, size: tuple[int, int]) -> Probability:
    """Resize a map, (h, w), to its image's (height, width), by linear interpolation."""
    native = cv2.resize(probability, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(native, dtype=np.float32)


class EllipseFit(NamedTuple):
    """An ellipse and how well it fits the boundary."""

    ellipse: Ellipse  # in native pixels
    residual_px: float  # root mean square distance of the boundary points, outliers included
    arc_fraction: float  # share of 72 sectors of the ellipse with boundary points near it


class Outline(NamedTuple):
    """A region of a probability map that may be the structure."""

    region: Region  # in pixels of the map
    fit: EllipseFit  # in pixels of the view
    ellipse: Ellipse  # in pixels of the image
    confidence: float  # soft Dice between the map and the ellipse, in [0, 1]

    @property
    def other_share(self) -> float:
        """Area of the regions beside the main one, as a fraction of that."""
        return self.region.other_area_px / self.region.area_px


def fit_outline(
    probability: Probability, region: Region, size: tuple[int, int], threshold: float = 0.5
) -> EllipseFit | None:
    """Fit the head's ellipse to a probability map and express it in native pixels.

    The map, (h, w), is the network's output, ``region`` its main region, ``size`` the native
    (height, width) of the view that it covers, and ``threshold`` the probability that defines the
    outline. None if the boundary does not determine an ellipse.
    """
    points = boundary_points(probability, region, threshold)
    scale = np.array([size[1] / probability.shape[1], size[0] / probability.shape[0]])
    points = (points + 0.5) * scale - 0.5
    ellipse = fit_ellipse(points)
    if ellipse is None:
        return None
    distance = ellipse.signed_distance(points[:, 0], points[:, 1])
    near = points[np.abs(distance) < 0.1 * ellipse.semi_minor_px]
    u, v = ellipse.in_unit_circle(near[:, 0], near[:, 1])
    sectors = np.floor((np.arctan2(v, u) / (2 * math.pi) % 1.0) * 72).astype(np.intp) % 72
    arc_fraction = int(np.count_nonzero(np.bincount(sectors))) / 72
    return EllipseFit(ellipse, float(np.sqrt(np.mean(distance**2))), arc_fraction)


def see(look: Look, threshold: float = 0.5) -> Outline | str:
    """Find the structure in what the network answered; the reason, if there is none."""
    probability, view = look.maps[0], look.view
    region = main_region(probability, threshold)
    if region is None:
        return "nothing in the image looks like one"
    if region.area_px < MIN_REGION_FRACTION * probability.size:
        fraction = region.area_px / probability.size
        return f"the largest shape seen fills only {100 * fraction:.2f} % of the image"
    fit = fit_outline(probability, region, view.size, threshold)
    if fit is None:
        return "no ellipse fits the shape seen"
    on_map = fit.ellipse.resized(view.size, region.mask.shape)
    ellipse = fit.ellipse.moved(view.left_px, view.top_px)
    return Outline(region, fit, ellipse, agreement(probability, on_map))


def agreement(probability: Probability, ellipse: Ellipse) -> float:
    """Return the soft Dice of a probability map and an ellipse in its pixels, in [0, 1]."""
    inside = np.zeros(probability.shape, dtype=np.uint8)
    points = np.round(ellipse.points(128) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(inside, [points], 1, cv2.LINE_8, _SHIFT)
    both = cv2.mean(probability, inside)[0] * (area := cv2.countNonZero(inside))
    total = cv2.sumElems(probability)[0] + area
    return float(2 * both / total) if total else 0.0


class Facts(NamedTuple):
    """A structure as the last look shows it, and what flags are derived from."""

    outline: Outline
    look: Look  # the network's answer, the last one
    change: float  # of the circumference between the last two looks, relative
    other_share: float  # largest area of all other regions in any look, over the main one's
    frame: Frame
    limits: Limits


def look_closely(frame: Frame, look: LookAt, metadata: ModelMetadata) -> tuple[Look, Facts | str]:
    """Find the structure in a frame, in two looks or three.

    The first look, at the whole frame as it is, says where it is; the next, at an undistorted view
    around it, is measured. Where it differs from the one before, a third decides. Returns the last
    look and what it shows, or a sentence on what is there instead.
    """
    limits = metadata.limits
    inverted = cv2.mean(frame.pixels)[0] > _BLACK_ON_WHITE
    last = look(View.whole(frame.size, inverted=inverted))
    seen = see(last, metadata.threshold)
    if isinstance(seen, str):
        return last, seen
    change, others = 0.0, seen.other_share
    for _ in range(_MORE_LOOKS):
        input_size = last.maps.shape[1], last.maps.shape[2]
        view = around(seen.ellipse, limits.view_shares, input_size, frame.pixel_size)
        if _is_mostly_beyond(view, frame.size):
            break  # the outline is guessed from a short arc
        last = look(view._replace(inverted=inverted))
        before_px, seen = seen.ellipse.circumference_px, see(last, metadata.threshold)
        if isinstance(seen, str):
            return last, seen
        others = max(others, seen.other_share)
        change = abs(seen.ellipse.circumference_px - before_px) / before_px
        if change < limits.look_change / 2:
            break
    agreed = seen.confidence
    if agreed < limits.agreement:  # a second region does not mean that there is no head
        probability, mask = last.maps[0], seen.region.mask
        alone = np.where((mask > 0) | (probability < metadata.threshold), probability, 0)
        on_map = seen.fit.ellipse.resized(last.view.size, mask.shape)
        agreed = max(agreed, agreement(alone, on_map))
    if agreed < limits.agreement:
        return last, f"the shape seen is not an ellipse (agreement {agreed:.2f})"
    return last, Facts(seen, last, change, others, frame, limits)


def mask(measurement: Measurement, size: tuple[int, int], metadata: ModelMetadata, /) -> Mask:
    """Return the structure's pixels at native size, 0 or 255; empty if none was found.

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


def _is_mostly_beyond(view: View, size: tuple[int, int]) -> bool:
    """Return whether a view reaches so far beyond an image that it is not worth its memory."""
    height, width = view.size
    too_large = height * width > _LARGEST * max(size[0] * size[1], _SMALL_PX)
    return too_large or max(height, width) > _WIDEST * max(size)
