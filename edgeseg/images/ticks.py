"""Finds the ruler that machines draw beside a scan: ticks at equal distances along one side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.images.frame import GrayImage

_TYPICAL_SIDE_PX = 1000  # to which larger images are reduced; ticks are at most so thick and long:
_THICK_PX, _LONG_PX = 5, 18
_MIN_PERIOD_PX = 6.0
_OUTER = 0.12  # of the scan's width, the band at each side in which a ruler may stand
_NEAR_PX, _MAX_RMS_PX = 0.9, 0.5  # from their places on the comb, each tick and all
_COLUMNS = 3  # in which most marks end, that are looked at closely
_MIN_COHERENCE = 0.6  # of the marks in line with a ruler, in its period
_MIN_TICKS = 5
_MIN_SEEN = 0.75  # of the ticks between the first and the last
_MAX_STRANGERS = 1 / 6  # marks where the ruler is that are none of its ticks, of these
_MIN_ALIKE = 0.8  # of the ticks, whose thickness differs by a pixel at most
_CROWDED = 1 / 8  # of a band's pixels, of which fewer stand out beside a ruler
_MIN_SPAN = {True: 0.5, False: 0.25}  # of the picture, by whether ticks are bright
# Gray levels by which ticks differ from what is around; dark ones are nearly black.
_CONTRASTS = {True: (80, 24), False: (30, 12, 5)}
_BLACKER = 1.5  # times its gray level, by which a dark tick is darker than what is around
_MARGIN_BLACK = 14  # gray level of a black margin, at most

Ints = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""


class Ticks(NamedTuple):
    """A ruler as it is drawn along one side of a scan."""

    side: str  # ``left``, ``right``, ``top`` or ``bottom``
    period_px: float  # From tick to tick.
    numbers: Ints  # Of the ticks that are seen, shape (n,), ascending; 0 lies anywhere.
    places_px: Floats  # Shape (n,), along the ruler.
    lengths_px: Floats  # Shape (n,), across it; NaN where that cannot be told.
    base_px: float  # Across, the end that all share.

    def enlarge(self, factor: int) -> Ticks:
        """Return the ruler as it lies in an image that is larger by a factor."""
        side, period_px, numbers, places_px, lengths_px, base_px = self
        shift = (factor - 1) / 2  # pixels have their place in the middle
        places_px, base_px = factor * places_px + shift, factor * base_px + shift
        return Ticks(side, factor * period_px, numbers, places_px, factor * lengths_px, base_px)


class _Marks(NamedTuple):
    """What may be ticks: small rectangles, in pixels of a band whose first axis is the ruler's."""

    starts: Ints  # Across the ruler: first pixel, and the first behind the last.
    ends: Ints
    places: Floats  # Along the ruler: middle; ascending.
    thicknesses: Ints

    def pick(self, chosen: npt.NDArray[np.generic]) -> _Marks:
        """Return some of them."""
        return _Marks(*(values[chosen] for values in self))


class _Comb(NamedTuple):
    """Equal distances that marks keep."""

    period: float
    first: float
    chosen: Ints  # Of the marks.
    numbers: Ints


def reduce_image(gray: GrayImage) -> tuple[GrayImage, int]:
    """Return an image as small as `find_ticks` needs it, and the factor by which it is smaller."""
    factor = max(1, round(max(gray.shape) / _TYPICAL_SIDE_PX))
    size = max(1, gray.shape[1] // factor), max(1, gray.shape[0] // factor)
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA) if factor > 1 else gray
    return np.asarray(small, dtype=np.uint8), factor


def find_ticks(gray: GrayImage, scan: Box, content: Box) -> list[Ticks]:
    """Return the rulers along the sides of a scan, the one with most ticks first.

    The image, (height, width), uint8, is as small as `reduce_image` makes it; ``scan`` is where in
    it a scan lies, ``content`` where all does that is not black. Ticks are small bright rectangles
    or dots, or dark cuts into the edge of the scan, which share one end and lie at equal distances:
    five at least, along half of the picture's content, of dark ones a quarter.
    """
    found = []
    for image, axis, sides in ((gray, 0, ("left", "right")), (gray.T, 1, ("top", "bottom"))):
        start, stop = scan[axis], scan[axis + 2]
        length, inner = content[3 - axis] - content[1 - axis], round(_OUTER * (stop - start))
        bands = (0, start + inner), (stop - inner, image.shape[1])
        for side, (low, high) in zip(sides, bands, strict=True):
            band = np.ascontiguousarray(image[:, low:high])
            for bright, share in _MIN_SPAN.items() if band.size else ():
                ticks = _find_in_band(band, share * length, bright=bright)
                if ticks is not None:
                    found.append(ticks._replace(side=side, base_px=ticks.base_px + low))
    return sorted(found, key=lambda ticks: -len(ticks.numbers))


def _find_in_band(band: GrayImage, min_span_px: float, *, bright: bool) -> Ticks | None:
    """Return the ruler in a band, whose first axis is along it; its side is not known here."""
    element = np.ones((_THICK_PX + 2, 1), np.uint8)
    kind = cv2.MORPH_TOPHAT if bright else cv2.MORPH_BLACKHAT
    hat = np.asarray(cv2.morphologyEx(band, kind, element), dtype=np.uint8)
    stands_out = hat if bright else hat * (hat > _BLACKER * band)
    # two black columns on either side stand for what is beyond the border
    around = cv2.copyMakeBorder(band, 0, 0, 2, 2, cv2.BORDER_CONSTANT)
    around = around if bright else cv2.blur(around, (1, 13))
    best: Ticks | None = None
    for contrast in _CONTRASTS[bright]:
        marks = _find_marks(stands_out > contrast)
        if marks is None:
            continue
        for at_start in (True, False):
            ends = marks.starts if at_start else marks.ends
            for at in _vote(ends):
                aligned = marks.pick((ends >= at) & (ends <= at + 1))
                if not bright:  # they are open to a black margin, or to the image's border
                    rows = aligned.places.astype(np.intp)
                    columns = aligned.starts if at_start else aligned.ends + 2
                    beside = np.maximum(around[rows, columns], around[rows, columns + 1])
                    aligned = aligned.pick(beside <= _MARGIN_BLACK)
                comb = _fit(aligned, marks, min_span_px)
                if comb and (best is None or len(comb.numbers) > len(best.numbers)):
                    ticks = aligned.pick(comb.chosen)
                    lengths = _measure_lengths(ticks, band, hat, at_start=at_start)
                    base = at if at_start else at - 1
                    best = Ticks("", comb.period, comb.numbers, ticks.places, lengths, base)
    return best


def _find_marks(stands_out: npt.NDArray[np.bool_]) -> _Marks | None:
    """Return the small rectangles that stand out, in and about columns in which ticks may end.

    Of that part alone, and without most of its empty rows, the components are found in a fraction
    of the time, and are the same. None if no ticks can end in any column.
    """
    places = np.flatnonzero(stands_out)
    if not _MIN_TICKS <= len(places) <= _CROWDED * stands_out.size:
        return None
    rows, columns = np.divmod(places, stands_out.shape[1])
    counts = np.bincount(columns, minlength=2)
    ends = np.flatnonzero(counts[1:] + counts[:-1] >= _MIN_TICKS)
    if not len(ends):
        return None
    low, high = max(int(ends[0]) - _LONG_PX - 1, 0), int(ends[-1]) + _LONG_PX + 3
    is_kept = np.bincount(rows, minlength=len(stands_out)) > 0
    is_kept[1:] |= is_kept[:-1]  # one empty row parts what stands out as well as many
    kept = np.flatnonzero(is_kept)
    image = stands_out[kept, low:high].view(np.uint8)
    how = (8, cv2.CV_32S, cv2.CCL_GRANA)  # of all the fastest where nearly nothing stands out
    _, _, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(image, *how)
    x, y, width, height, area = stats.T
    fits = (height <= _THICK_PX) & (width <= _LONG_PX) & (2 * width >= height)
    x, y, width, height = stats[fits & (area >= 0.6 * width * height), :4].T
    marks = _Marks(x + low, x + low + width, kept[y] + (height - 1) / 2, height)
    return marks.pick(np.argsort(marks.places, kind="stable"))


def _vote(ends: Ints) -> Iterator[int]:
    """Yield the columns in which most marks end, together with the next one."""
    counts = np.bincount(ends, minlength=1)
    counts[:-1] += counts[1:]
    for _ in range(_COLUMNS):
        at = int(np.argmax(counts))
        if counts[at] < _MIN_TICKS:
            return
        yield at
        counts[max(at - 1, 0) : at + 2] = 0


def _fit(marks: _Marks, others: _Marks, min_span_px: float) -> _Comb | None:
    """Return the comb of a ruler that marks in one line are; None if they are none.

    Where all its ticks are, there may be few ``others``: letters and speckle are no rulers, nor is
    every second or fifth tick of one.
    """
    places = marks.places
    if len(places) < _MIN_TICKS or np.ptp(places) < min_span_px:
        return None
    n_slots = min(len(places) / _MIN_SEEN, 2 * len(places) - _MIN_TICKS)
    for comb in _find_combs(places, (n_slots - 1) / min_span_px):
        period, first, chosen, numbers = comb
        n_ticks, n_slots = len(chosen), int(numbers[-1] - numbers[0]) + 1
        is_across = others.starts < marks.ends[chosen].min()
        is_across &= others.ends > marks.starts[chosen].max()
        is_between = (others.places >= places[chosen[0]]) & (others.places <= places[chosen[-1]])
        n_marks = max(int(chosen[-1] - chosen[0]) + 1, int((is_across & is_between).sum()))
        off = places[chosen] - first - period * numbers
        thick = np.bincount(marks.thicknesses[chosen], minlength=2)
        if (
            n_ticks >= _MIN_SEEN * n_slots
            and n_marks - n_ticks <= _MAX_STRANGERS * n_ticks
            and n_ticks - (n_slots - n_ticks) - (n_marks - n_ticks) >= _MIN_TICKS
            and period * (n_slots - 1) >= min_span_px
            and off @ off <= _MAX_RMS_PX**2 * n_ticks
            and (thick[1:] + thick[:-1]).max() >= _MIN_ALIKE * n_ticks
        ):
            return comb
    return None


def _find_combs(places: Floats, highest: float) -> Iterator[_Comb]:
    """Yield the combs on which most places lie, fitted by least squares; the widest first.

    ``highest`` is the largest of their frequencies, per pixel.
    """
    length = float(np.ptp(places))
    halves = (2 * (places - places[0])).astype(np.intp)  # places lie on pixels, or between two
    size = 1 << int(10 * length).bit_length()
    n = int(size / 2 * min(highest + 1 / length, 1 / _MIN_PERIOD_PX))
    sums = np.fft.rfft(np.bincount(halves), size)[:n].conj()
    height = np.abs(sums)
    is_peak = height[1:-1] >= np.maximum(height[:-2], height[2:])
    is_peak &= height[1:-1] >= _MIN_COHERENCE * len(places)
    is_peak[: int(size / length)] = False
    for at in (1 + np.flatnonzero(is_peak)).tolist():
        period = size / 2 / at
        comb = _refine(places, period, places[0] + np.angle(sums[at]) / (2 * np.pi) * period)
        if comb is not None:
            yield comb


def _refine(places: Floats, period: float, first: float) -> _Comb | None:
    """Return the comb near a period and a place, fitted to the marks on it."""
    for near in (0.3 * period, 1.5 * _NEAR_PX, _NEAR_PX):
        numbers = np.round((places - first) / period)
        is_near = np.abs(places - first - numbers * period) < near
        is_near[1:] &= ~(is_near[:-1] & (numbers[1:] == numbers[:-1]))
        chosen = np.flatnonzero(is_near)
        if len(chosen) < _MIN_TICKS:
            return None
        x, y = numbers[chosen], places[chosen]
        middle = x.sum() / len(x)
        off = x - middle
        period = float(off @ y / (off @ off))
        first = float(y.sum() / len(y) - period * middle)
        if period < _MIN_PERIOD_PX:
            return None
    return _Comb(period, first, chosen, numbers[chosen].astype(np.intp))


def _measure_lengths(ticks: _Marks, band: GrayImage, hat: GrayImage, *, at_start: bool) -> Floats:
    """Return how long ticks are, blurred ones too: their sum across the ruler over its peak.

    NaN where what lies behind a tick is too like it to tell where it ends.
    """
    lengths = []
    for start, end, place, thickness in zip(*ticks, strict=True):
        top = int(place - (thickness - 1) / 2)
        rows, own = slice(top, top + thickness), slice(start, end)
        across = hat[rows, max(start - 2, 0) : end + 2].sum(axis=0, dtype=float)
        behind = (
            band[rows, end + 1 : end + 4] if at_start else band[rows, max(start - 4, 0) : start]
        )
        contrast = hat[rows, own].max(axis=0).mean()
        is_seen = behind.size and abs(band[rows, own].mean() - behind.mean()) > contrast / 2
        lengths.append(across.sum() / across.max() if is_seen else np.nan)
    return np.array(lengths)
