"""The main region of a probability map and its boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from edgeseg.measure.ellipse import FloatArray, Mask
    from edgeseg.measure.measurement import Probability


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
