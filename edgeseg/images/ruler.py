"""Millimetres from the ruler in a picture: what its ticks mean, and whether the scan agrees."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError
from edgeseg.images.frame import Frame, GrayImage, PixelSize
from edgeseg.images.ticks import Floats, Ints, Ticks, find_ticks, reduce_image

AUTO = "auto"
RulerOption = float | str | None
"""What neighbouring ticks are apart in mm; `AUTO`: the ruler must say so; None: none is read."""

# What neighbouring ticks may be apart in mm, by how many of them lie from one longer tick to the
# next. The first is what makers use whose long ticks are 50 mm apart, or whose short and medium
# ticks are 5 mm apart; rulers of another pattern decide nothing.
_BY_STEPS: dict[tuple[int, ...], tuple[float, ...]] = {
    (2,): (5.0, 10.0, 2.5, 1.0),
    (2, 10): (5.0, 10.0, 1.0),
    (10,): (5.0, 1.0),
    (5,): (10.0, 2.0, 1.0),
}
_ANY_MM = (10.0, 5.0, 2.5, 2.0, 1.0)
_TICK_RANGE_MM = (0.1, 100.0)
# Steps from one longer tick to the next, and how many times as long as others these are at least.
_LONGER = {2: 1.3, 4: 1.5, 5: 1.5, 10: 1.5}
_ORDERED, _MARGIN = 0.95, 1.1  # of pairs of a longer tick and another, in which it is longer
_ALIKE = 1.2  # times as long as others are ticks of one kind at most
# Radius of the face of probes for the abdomen, and how far it is measured off at most. A distance
# of ticks that gives such a radius speaks against one that gives none.
_FACE_MM, _FACE_ERROR = (40.0, 65.0), 1.15
_DEEPEST_MM = 280.0
_SAME = 0.01  # relative difference between the scales of two rulers
# Of the periods of two rulers with the same scale; two is how squeezed pictures differ.
_RATIOS = (1.0, 5.0, 10.0, 0.2, 0.1)
_DIFFERENT = 0.02  # from a given pixel size, relative
_BLACK = 6  # gray value, at most
_COARSE_SIDE_PX = 250
_MIN_EDGE_PX, _MIN_STRAIGHT = 15, 0.7  # rows of an edge on the coarse copy, share that is straight
_MIN_SLOPE, _SYMMETRY, _ROUND = 0.2, 0.2, 0.12  # of a sector's edges; of its arc


class Ruler(NamedTuple):
    """The ruler in a picture, and what it says."""

    ticks: Ticks | None = None  # None if there is none beyond doubt.
    candidates_mm: tuple[float, ...] = ()  # What neighbouring ticks may be apart; likeliest first.
    decided_mm: float | None = None  # What they are apart; None if that is not sure.
    witnesses: tuple[str, ...] = ()  # What was seen that tells.
    reason: str = ""  # Why there are no millimetres; empty if there are.

    @property
    def pixel_size_mm(self) -> float | None:
        """Millimetres per pixel, which are square; None if they are not sure."""
        if self.ticks is None or self.decided_mm is None:
            return None
        return self.decided_mm / self.ticks.period_px

    def differs_from(self, pixel_size: PixelSize | None) -> bool:
        """Return whether the ruler contradicts a pixel size by more than 2 %, along itself."""
        size_mm = self.pixel_size_mm
        if pixel_size is None or self.ticks is None or size_mm is None:
            return False
        is_upright = self.ticks.side in ("left", "right")
        given_mm = pixel_size.y_mm if is_upright else pixel_size.x_mm
        return abs(size_mm / given_mm - 1) > _DIFFERENT


def parse_ruler(text: str) -> float | str:
    """Read ``auto`` or a distance of neighbouring ticks in mm, or raise a DataError."""
    if text == AUTO:
        return AUTO
    try:
        tick_mm = float(text)
    except ValueError:
        tick_mm = 0.0
    low, high = _TICK_RANGE_MM
    if not low <= tick_mm <= high:
        raise DataError(
            f"ruler is {text!r}; expected {AUTO}, or the distance of neighbouring ticks in mm, "
            f"{low:g} to {high:g}, such as 10"
        )
    return tick_mm


def read_ruler(frame: Frame, option: float | str = AUTO) -> Ruler:
    """Find the ruler in a picture of square pixels, and decide what its ticks mean."""
    if frame.screen is not None and len(frame.screen.areas) > 1:
        return Ruler(reason="several scans on one screen, of which a ruler shows one")
    gray, factor = reduce_image(frame.pixels)
    is_light, light, step = _find_light(gray)
    content, scan = (
        (x * step, y * step, (x + width) * step, (y + height) * step)
        for x, y, width, height in map(cv2.boundingRect, (is_light, light))
    )
    found = find_ticks(gray, scan, content) if is_light.any() else []
    if not found:
        return Ruler(reason="no ruler found in the picture")
    ticks, *others = found
    steps = find_steps(ticks.numbers, ticks.lengths_px)
    candidates, witnesses = _BY_STEPS.get(steps, _ANY_MM), [_describe(steps)]
    reason = ""
    for other in others:
        ratios: tuple[float, ...] = _RATIOS
        ratio = other.period_px / ticks.period_px
        its_steps = find_steps(other.numbers, other.lengths_px)
        if steps in _BY_STEPS and its_steps in _BY_STEPS:
            ratios = (_BY_STEPS[its_steps][0] / candidates[0],)
        if any(abs(ratio / each - 1) <= _SAME for each in ratios):
            witnesses.append(f"a ruler on the {other.side} has the same scale")
        else:
            reason = f"the rulers on the {ticks.side} and the {other.side} differ in scale"
    if option != AUTO:
        candidates = (float(option),)
    elif steps not in _BY_STEPS:
        reason = reason or "a ruler was found, but not what its ticks are apart; give their mm"
    else:
        reason = reason or _contradict(candidates, ticks, _find_face_radius(light, step), witnesses)
    decided_mm = None if reason else candidates[0]
    return Ruler(ticks.enlarge(factor), candidates, decided_mm, tuple(witnesses), reason)


def find_steps(numbers: Ints, lengths_px: Floats) -> tuple[int, ...]:
    """Return at how many ticks from each other longer ones stand: each step that is seen.

    Both arguments have shape (n,): the ticks' numbers, ascending, and how long they are, or NaN.
    """
    is_known = np.isfinite(lengths_px)
    numbers, lengths_px = numbers[is_known], lengths_px[is_known]
    found: list[tuple[int, int]] = []
    for step, longer in _LONGER.items():
        for rest in range(step):
            # Every tenth may be longer still than every second: with those it is compared.
            is_rival = np.ones(len(numbers), dtype=bool)
            for smaller, its_rest in found:
                if step % smaller == 0:
                    is_rival &= numbers % smaller == its_rest
            is_of_step = numbers % step == rest
            a, b = lengths_px[is_of_step], lengths_px[is_rival & ~is_of_step]
            if (
                len(a) >= max(2, 6 // step)
                and step in np.diff(numbers[is_of_step])
                and len(b) >= 3
                and median(a) >= longer * median(b)
                and (a[:, None] > _MARGIN * b).mean() >= _ORDERED
            ):
                found.append((step, rest))
    steps = tuple(step for step, _ in found)
    if steps == (10,):
        halfway = lengths_px[numbers % 10 == (found[0][1] + 5) % 10]
        short = lengths_px[numbers % 5 != found[0][1] % 5]
        if len(halfway) < 2 or median(halfway) > _ALIKE * median(short):
            return ()  # every fifth may be longer too
    if steps in ((2,), (5,)):  # every second of the longer ones may be longer still
        twice, rest = 2 * steps[0], found[0][1]
        turns = [lengths_px[numbers % twice == at % twice] for at in (rest, rest + steps[0])]
        turns = [np.sort(turn) for turn in turns if len(turn)]
        # of two in the middle the lower one
        low = max(turn[(len(turn) - 1) // 2] for turn in turns)
        if low > _ALIKE * min(turn[len(turn) // 2] for turn in turns):
            return (*steps, twice)
    return steps


def _describe(steps: tuple[int, ...]) -> str:
    """Return the pattern of short and long ticks in words."""
    if not steps:
        return "no pattern of longer ticks"
    if steps == (2,):
        return "short and longer ticks alternate"
    return "longer ticks at every " + ", ".join(f"{step}th" for step in steps if step > 2)


def _contradict(
    candidates: tuple[float, ...], ticks: Ticks, radius_px: float | None, witnesses: list[str]
) -> str:
    """Return what speaks against the first candidate, empty if nothing; adds to the witnesses."""
    likeliest = candidates[0]
    length_mm = likeliest * (ticks.places_px[-1] - ticks.places_px[0]) / ticks.period_px
    if length_mm > _DEEPEST_MM:
        return f"the ruler would be {length_mm:.0f} mm long: give the mm between its ticks"
    if radius_px is None:
        return ""
    radii_mm = [candidate * radius_px / ticks.period_px for candidate in candidates]
    witnesses.append(f"radius of the probe's face {radii_mm[0]:.0f} mm")
    low_mm, high_mm = _FACE_MM
    is_possible = low_mm / _FACE_ERROR <= radii_mm[0] <= high_mm * _FACE_ERROR
    if is_possible or not any(low_mm <= radius_mm <= high_mm for radius_mm in radii_mm):
        return ""
    return "the shape of the scan contradicts the ruler: give the mm between its ticks"


def _find_face_radius(light: GrayImage, step: int) -> float | None:
    """Return the radius of a convex probe's face in pixels; None if the sector is not all seen.

    Its straight edges meet where the face has its centre.
    """
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
    """Return what is not black on a smaller copy, its largest region, and the factor."""
    step = max(1, max(gray.shape) // _COARSE_SIDE_PX)
    height, width = (max(1, side // step) for side in gray.shape)
    whole = gray[: height * step, : width * step]  # by whole numbers it is reduced faster
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    is_light = (small > _BLACK).astype(np.uint8)
    opened = cv2.morphologyEx(is_light, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    largest = 1 + int(np.argmax(stats[1:, 4])) if len(stats) > 1 else -1
    return is_light, (labels == largest).astype(np.uint8), step


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
