"""One structure with an elliptic outline: looks at it, and its ellipse to parts of a pixel.

Coordinates are those of `edgeseg.measure.ellipse`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from edgeseg.measure.ellipse import Ellipse, direct_fit, powers
from edgeseg.measure.framing import View, around
from edgeseg.measure.measurement import Stroke
from edgeseg.measure.region import boundary_points, main_region, to_native

if TYPE_CHECKING:
    from edgeseg.images.frame import Frame
    from edgeseg.measure.ellipse import FloatArray, Mask
    from edgeseg.measure.measurement import Look, LookAt, Measurement, Probability
    from edgeseg.measure.region import Region
    from edgeseg.network.metadata import ModelMetadata
    from edgeseg.network.task import Limits

# A smaller region is speckle, not a head: heads of HC18 fill at least 7 % of their image.
MIN_REGION_FRACTION = 0.002

_BLACK_ON_WHITE = 150  # mean gray value: ultrasound is dark, the brightest of HC18 has 83
_MORE_LOOKS = 2
# A view of so many images' width, or area where that is much, would be nearly all black.
_WIDEST, _LARGEST, _SMALL_PX = 4, 4, 1_000_000
_SHIFT = 4  # sub-pixel bits for cv2's polygon filling
_ROBUST_ROUNDS = 4
_MIN_BOUNDARY_POINTS = 12


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


def fit_ellipse(points: FloatArray) -> Ellipse | None:
    """Fit an ellipse to points on its outline, (n, 2), robustly; None if they determine none.

    Direct least squares (Halir and Flusser 1998), refined by rounds that weight each point by its
    distance from the previous ellipse, so that a dent or a bulge does not distort the outline.
    """
    count = len(points)
    if count < _MIN_BOUNDARY_POINTS:
        return None
    origin = float(points[:, 0].sum()) / count, float(points[:, 1].sum()) / count
    x, y = points[:, 0] - origin[0], points[:, 1] - origin[1]
    unit = float(np.abs(x).sum() + np.abs(y).sum()) / (2 * count)
    if not unit > 0:
        return None
    x, y = x / unit, y / unit
    of_points = powers(x, y)
    found = direct_fit(of_points @ of_points.T)
    for _ in range(_ROBUST_ROUNDS):
        if found is None:
            return None
        distance = np.abs(found.signed_distance(x, y))
        scale = max(2.0 * 1.4826 * _median(distance), 0.05 / unit)
        weights = 1.0 / (1.0 + (distance / scale) ** 2)  # Cauchy
        found = direct_fit((of_points * weights) @ of_points.T)
    return found.scaled(unit, unit).moved(*origin) if found else None


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


def best_agreement(look: Look, outline: Outline, threshold: float) -> float:
    """Return the agreement of a map with its outline, without other regions if that is higher.

    A second region makes a measurement doubtful, but it does not mean that there is no head.
    """
    probability, mask = look.maps[0], outline.region.mask
    alone = np.where((mask > 0) | (probability < threshold), probability, 0)
    on_map = outline.fit.ellipse.resized(look.view.size, mask.shape)
    return max(outline.confidence, agreement(alone, on_map))


def _median(values: FloatArray) -> float:
    """Return the median, as `numpy.median` does, without its checks for masked arrays and NaN."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    parted = np.partition(values, (low, high))
    return float((parted[low] + parted[high]) / 2)


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
    if agreed < limits.agreement:
        agreed = best_agreement(last, seen, metadata.threshold)
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
