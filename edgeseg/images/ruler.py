"""Millimetres from the ruler in a picture: what its ticks mean, where that can be told."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

import numpy as np

from edgeseg.errors import DataError
from edgeseg.images.frame import Frame, GrayImage, PixelSize
from edgeseg.images.scan import find_face_radius
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
    found = find_ticks(gray)
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
        reason = reason or _contradict(candidates, ticks, gray, witnesses)
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
        low = max(
            turn[(len(turn) - 1) // 2] for turn in turns
        )  # the lower one of two in the middle
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
    candidates: tuple[float, ...], ticks: Ticks, gray: GrayImage, witnesses: list[str]
) -> str:
    """Return what speaks against the first candidate, empty if nothing; adds to the witnesses."""
    likeliest = candidates[0]
    length_mm = likeliest * (ticks.places_px[-1] - ticks.places_px[0]) / ticks.period_px
    if length_mm > _DEEPEST_MM:
        return f"the ruler would be {length_mm:.0f} mm long: give the mm between its ticks"
    radius_px = find_face_radius(gray)
    if radius_px is None:
        return ""
    radii_mm = [candidate * radius_px / ticks.period_px for candidate in candidates]
    witnesses.append(f"radius of the probe's face {radii_mm[0]:.0f} mm")
    low_mm, high_mm = _FACE_MM
    is_possible = low_mm / _FACE_ERROR <= radii_mm[0] <= high_mm * _FACE_ERROR
    if is_possible or not any(low_mm <= radius_mm <= high_mm for radius_mm in radii_mm):
        return ""
    return "the shape of the scan contradicts the ruler: give the mm between its ticks"
