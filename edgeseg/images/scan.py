"""Where a scan lies in a picture of a machine's screen, and the shape of a convex probe's."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.images.frame import GrayImage

_BLACK = 6  # gray value, at most
_COARSE_SIDE_PX = 250
_MIN_EDGE_PX, _MIN_STRAIGHT = 15, 0.7  # rows of an edge on the coarse copy, share that is straight
_MIN_SLOPE, _SYMMETRY, _ROUND = 0.2, 0.2, 0.12  # of a sector's edges; of its arc


Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""


def find_scan(gray: GrayImage) -> tuple[Box, Box]:
    """Return the box of the largest region that is not black, and that of all that is not."""
    small, light, step = _find_light(gray)
    boxes = []
    for mask in (light, (small > _BLACK).astype(np.uint8)):
        x, y, width, height = cv2.boundingRect(mask)
        boxes.append((x * step, y * step, (x + width) * step, (y + height) * step))
    return boxes[0], boxes[1]


def find_face_radius(gray: GrayImage) -> float | None:
    """Return the radius of a convex probe's face in pixels; None if the sector is not all seen.

    Its straight edges meet where the face has its centre.
    """
    _, light, step = _find_light(gray)
    rows = np.flatnonzero(light.any(axis=1))
    if len(rows) < 2 * _MIN_EDGE_PX or rows[0] < 2:  # cut by the image's border
        return None
    light = light[rows[0] : rows[-1] + 1]
    left, right = _fit_edge(light), _fit_edge(light[:, ::-1])
    if left is None or right is None:
        return None
    (a, b), (c, d) = left, (-right[0], light.shape[1] - 1 - right[1])
    if -a < _MIN_SLOPE or c < _MIN_SLOPE or abs(a + c) > _SYMMETRY * (c - a):
        return None
    y = (b - d) / (c - a)  # of the centre, from the sector's first row
    x = a * y + b
    middle = int(np.clip(round(x), 0, light.shape[1] - 1))
    radii = [float(np.argmax(light[:, middle])) - y, np.hypot(b - x, y), np.hypot(d - x, y)]
    if min(radii) <= 0 or max(radii) > (1 + _ROUND) * min(radii):
        return None
    return float(np.mean(radii)) * step


def _find_light(gray: GrayImage) -> tuple[GrayImage, GrayImage, int]:
    """Return a copy smaller by a factor, the largest region on it that is not black, and that."""
    step = max(1, max(gray.shape) // _COARSE_SIDE_PX)
    height, width = (max(1, side // step) for side in gray.shape)
    whole = gray[: height * step, : width * step]  # by whole numbers it is reduced faster
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    is_light = (small > _BLACK).astype(np.uint8)
    light = cv2.morphologyEx(is_light, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(light)
    largest = 1 + int(np.argmax(stats[1:, 4])) if len(stats) > 1 else -1
    return np.asarray(small, dtype=np.uint8), (labels == largest).astype(np.uint8), step


def _fit_edge(light: npt.NDArray[np.uint8]) -> tuple[float, float] | None:
    """Return slope and start of a sector's left edge, columns by rows; None if it is not straight.

    From its first row it runs to where it meets the arc at the bottom, or the image's border.
    """
    edge = np.argmax(light, axis=1).astype(float)
    edge = edge[: int(np.argmin(edge)) + 1]
    half = len(edge) // 2
    if len(edge) < _MIN_EDGE_PX:
        return None
    rows = np.arange(len(edge))
    slope = float(np.median(edge[half : 2 * half] - edge[:half])) / half
    start = float(np.median(edge - slope * rows))
    is_straight = np.abs(edge - slope * rows - start) < 2
    return (slope, start) if is_straight.mean() >= _MIN_STRAIGHT else None
