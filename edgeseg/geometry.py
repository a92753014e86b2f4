"""From a probability map to an ellipse, to a fraction of a pixel.

Coordinates are those of `edgeseg.ellipse`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg import conic
from edgeseg.ellipse import Ellipse, FloatArray, Mask

_ROBUST_ROUNDS = 4
_MIN_BOUNDARY_POINTS = 12


class Region(NamedTuple):
    """The main connected region of a thresholded probability map.

    Attributes
    ----------
    mask
        Shape (height, width), 0 or 255, holes filled.
    area_px
        Its pixels, holes included.
    other_area_px
        Pixels above the threshold in all other regions together.
    """

    mask: Mask
    area_px: int
    other_area_px: int


class EllipseFit(NamedTuple):
    """An ellipse and how well the boundary follows it.

    Attributes
    ----------
    ellipse
        In the coordinates the fit was asked for.
    residual_px
        Root mean square distance of the boundary points from it, outliers included.
    arc_fraction
        Share of the ellipse's circumference (by angle, in [0, 1]) near which a boundary was seen.
    """

    ellipse: Ellipse
    residual_px: float
    arc_fraction: float


def main_region(probability: npt.NDArray[np.float32], threshold: float = 0.5) -> Region | None:
    """Return the largest 4-connected region at or above the threshold, with holes filled.

    Parameters
    ----------
    probability
        Shape (height, width), in [0, 1].
    threshold
        A pixel belongs to the head from this probability on.

    Returns
    -------
    Region or None
        None if no pixel reaches the threshold.
    """
    binary = (probability >= threshold).view(np.uint8)
    # Labelling is what costs most: only inside the box of all regions.
    left, top, width, height = cv2.boundingRect(binary)
    if not width:
        return None
    part = binary[top : top + height, left : left + width]
    count, _ = cv2.connectedComponents(part, connectivity=4)
    other_area_px = 0
    if count > 2:  # the background is one; areas and boxes of the others cost as much again
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


def boundary_points(
    probability: npt.NDArray[np.float32], region: Region, threshold: float = 0.5
) -> FloatArray:
    """Points where the probability crosses the threshold around a region, to sub-pixel.

    Every horizontal or vertical pair of neighbours with one pixel inside and one outside gives one
    point by linear interpolation. A region cut by the image border has no pair across it, so the
    cut is not mistaken for skull.

    Returns
    -------
    ndarray, shape (n, 2)
        Points (x, y) in pixels of the map.
    """
    # Only the region's box and the pixels around it can hold a crossing.
    x, y, w, h = cv2.boundingRect(region.mask)
    left, top = max(x - 1, 0), max(y - 1, 0)
    box = (slice(top, y + h + 1), slice(left, x + w + 1))
    inside, probability = region.mask[box] > 0, probability[box]  # a hole is inside
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


def fit_ellipse(points: FloatArray, outlier_px: float | None = None) -> Ellipse | None:
    """Fit an ellipse to points on its outline, robustly.

    Direct least squares (Halir and Flusser 1998), refined by rounds that weigh each point by its
    own distance from the last ellipse, so that a dent or a bulge does not pull the outline.

    Parameters
    ----------
    points
        Shape (n, 2), (x, y).
    outlier_px
        Distance from the outline at which a point stops counting in full; by default from the
        points' own spread.

    Returns
    -------
    Ellipse or None
        None if the points do not determine an ellipse.
    """
    if len(points) < _MIN_BOUNDARY_POINTS:
        return None
    count = len(points)
    origin = float(points[:, 0].sum()) / count, float(points[:, 1].sum()) / count
    x, y = points[:, 0] - origin[0], points[:, 1] - origin[1]
    unit = float(np.abs(x).sum() + np.abs(y).sum()) / (2 * count)
    if not unit > 0:
        return None
    powers = conic.powers(x / unit, y / unit)
    found = conic.direct_fit(powers @ powers.T)
    for _ in range(_ROBUST_ROUNDS):
        if found is None:
            return None
        distance = np.abs(found.signed_distance(powers))
        scale = (
            outlier_px / unit if outlier_px else max(2.0 * 1.4826 * _median(distance), 0.05 / unit)
        )
        weights = 1.0 / (1.0 + (distance / scale) ** 2)  # Cauchy
        found = conic.direct_fit((powers * weights) @ powers.T)
    return found.ellipse(origin, unit) if found else None


def fit(
    probability: npt.NDArray[np.float32],
    region: Region,
    size: tuple[int, int],
    threshold: float = 0.5,
) -> EllipseFit | None:
    """Fit the head's ellipse to a probability map and express it in native pixels.

    Parameters
    ----------
    probability
        Shape (h, w), the network's output.
    region
        Its main region.
    size
        Native (height, width) of the image the map was stretched from.
    threshold
        Probability at the outline.

    Returns
    -------
    EllipseFit or None
        None if the boundary does not determine an ellipse.
    """
    points = boundary_points(probability, region, threshold)
    scale = np.array([size[1] / probability.shape[1], size[0] / probability.shape[0]])
    points = (points + 0.5) * scale - 0.5
    ellipse = fit_ellipse(points)
    if ellipse is None:
        return None
    distance = ellipse.signed_distance(points[:, 0], points[:, 1])
    return EllipseFit(
        ellipse, float(np.sqrt(np.mean(distance**2))), _arc_fraction(ellipse, points, distance)
    )


def _median(values: FloatArray) -> float:
    """Median of an array, as `numpy.median` but for its looking for masked arrays and NaN."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    parted = np.partition(values, (low, high))
    return float((parted[low] + parted[high]) / 2)


def _arc_fraction(ellipse: Ellipse, points: FloatArray, distance: FloatArray) -> float:
    """Share of 72 sectors of the ellipse in which some boundary point lies near the outline."""
    near = points[np.abs(distance) < 0.1 * ellipse.semi_minor_px]
    u, v = ellipse.in_unit_circle(near[:, 0], near[:, 1])
    sectors = np.floor((np.arctan2(v, u) / (2 * math.pi) % 1.0) * 72).astype(np.intp) % 72
    return int(np.count_nonzero(np.bincount(sectors))) / 72
