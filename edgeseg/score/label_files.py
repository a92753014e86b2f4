"""Labels as people draw them: class numbers, 0/1, 0/255, gray levels, palettes, colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError, EdgesegError
from edgeseg.images.formats.base import decode_numbers
from edgeseg.images.image_file import decode_as_stored, read_bytes
from edgeseg.measure.ellipse import Mask
from edgeseg.score.folds import IGNORED, read_each

# Values up to this are class numbers; above it, gray levels chosen for the eye.
_LARGEST_CLASS_NUMBER = 31
_MAX_LEVELS = 16
_LEAST_GAP = 8  # between levels that are meant to be told apart
# Lossy or smoothed masks have all levels, but nearly all of their pixels near two of them, and
# what lies between is spread over many.
_NEAR_FRACTION = 0.1
_CLEAR_SHARE = 0.95
_LARGEST_BETWEEN_SHARE = 0.003
# Of a level that smoothing made, so many pixels lie between a lower and a higher one.
_BETWEEN_SHARE = 0.8

Codes = npt.NDArray[np.int64]


class LabelImage(NamedTuple):
    """A label file's pixels in each way they can be meant, and the colours of its palette.

    The codes are by what a value is, shape (height, width) each: ``colour`` (0xRRGGBB; of 16-bit
    gray files the gray values), ``gray`` unless some pixel has a colour, and ``palette`` (the
    number of a colour) of a file with one.
    """

    codes: Mapping[str, Codes]
    palette: bytes = b""


@dataclass(frozen=True, slots=True)
class LabelCode:
    """How the values of a data set's label files become class numbers."""

    classes: Mapping[int, int]  # value -> class number
    kind: str = "gray"  # of value; see `LabelImage`
    ranked: bool = False  # whether the numbers follow from the order of the values alone
    smooth: bool = False  # whether values are levels up to the largest, to be cut at half of it
    note: str = ""  # what was understood, for a user to check; empty where there was no choice

    @property
    def n_classes(self) -> int:
        """Classes, the background among them."""
        return max((n for n in self.classes.values() if n != IGNORED), default=0) + 1

    def ignoring(self, numbers: Collection[int]) -> LabelCode:
        """Return the code with some classes ignored, and the later ones numbered anew."""
        kept = [n for n in range(self.n_classes) if n not in numbers]
        anew = {number: place for place, number in enumerate(kept)}
        classes = {value: anew.get(number, IGNORED) for value, number in self.classes.items()}
        return replace(self, classes=classes)

    def read(self, path: Path) -> Mask:
        """Read a label file as class numbers, or `IGNORED`, (height, width), uint8.

        Raises `DataError` if it has a value that the data set's other files do not have.
        """
        found = read_label(path).codes
        codes = found.get(self.kind, found["colour"])
        if self.smooth:
            largest = max(value for value, number in self.classes.items() if number != IGNORED)
            return (codes > largest / 2).astype(np.uint8)
        mask = np.zeros(codes.shape, dtype=np.uint8)
        for value in _count_values(codes):
            if value not in self.classes:
                text = "#{:06x}" if self.kind == "colour" else "{}"
                raise DataError(
                    f"{path}: the value {text.format(value)} belongs to no class; expected "
                    f"{', '.join(map(text.format, self.classes))}"
                )
            mask[codes == value] = self.classes[value]
        return mask


def read_label(path: Path) -> LabelImage:
    """Read a label file's own values.

    Raises `DataError` if it cannot be read, is partly transparent, or has colours of 16 bits.
    """
    data = read_bytes(path)
    try:
        pixels = decode_as_stored(data)
    except EdgesegError as error:
        raise DataError(f"{path}: {error}") from None
    if pixels.ndim == 2:
        gray = pixels.astype(np.int64)
        return LabelImage({"gray": gray, "colour": gray * (1 if pixels.itemsize > 1 else 0x10101)})
    if pixels.dtype != np.uint8:
        raise DataError(f"{path}: colours of 16 bits are no classes; save the mask as 8 bits")
    if pixels.shape[2] == 4 and pixels[..., 3].min() < pixels[..., 3].max():
        raise DataError(
            f"{path}: parts of the mask are transparent, so its values are not defined; flatten it"
        )
    blue, green, red = (pixels[..., i].astype(np.int64) for i in range(3))
    codes = {"colour": (red << 16) | (green << 8) | blue}
    if np.array_equal(red, green) and np.array_equal(red, blue):
        codes["gray"] = red
    if (numbered := decode_numbers(data)) is None:
        return LabelImage(codes)
    codes["palette"] = numbered[0].astype(np.int64)
    return LabelImage(codes, numbered[1])


def learn_code(
    paths: Sequence[Path],
    colours: Mapping[int, int] | None = None,
    n_named: int = 0,
    ignored: Collection[int] = (),
) -> LabelCode:
    """Find out what the values of a data set's label files mean, from all of them together.

    The data set may say the class number of each colour, and name classes, ``n_named`` with the
    background; pixels of the values ``ignored`` are left out. Raises `DataError` if the values are
    no classes, or cannot be told apart.
    """
    if colours:
        return LabelCode(colours, "colour")
    counts: dict[str, Counter[int]] = {kind: Counter() for kind in ("palette", "gray", "colour")}
    palettes, kinds = set(), set(counts)
    blurred = _Blurred(Counter(), Counter())
    for label in read_each(read_label, paths):
        palettes.add(label.palette)
        kinds &= label.codes.keys()
        for kind in kinds:
            counts[kind].update(_count_values(label.codes[kind]))
        if "gray" in kinds:
            blurred.add(label.codes["gray"])
    try:
        if "palette" in kinds and len(palettes) == 1:
            return _learn_with_ignored(counts["palette"], n_named, "palette", ignored, blurred)
        if "gray" in kinds:
            return _learn_with_ignored(counts["gray"], n_named, "gray", ignored, blurred)
        return _learn_colours(counts["colour"], n_named)
    except DataError as error:
        raise DataError(f"{paths[0].parent}: {error}") from None


def _learn_with_ignored(
    counts: Counter[int],
    n_named: int,
    kind: str,
    ignored: Collection[int],
    blurred: _Blurred,
) -> LabelCode:
    """Understand values, of which some are ignored: in palettes 255 beside other numbers, too."""
    ignored, note = {*ignored} & counts.keys(), ""
    if kind == "palette" and not ignored and IGNORED in counts and len(counts) > 2:
        ignored, note = {IGNORED}, "255 in palettes is 'ignore': neither trained on nor scored"
    used = Counter({value: n for value, n in counts.items() if value not in ignored})
    code = _learn_gray(used, n_named, kind, blurred)
    classes = {**code.classes, **dict.fromkeys(ignored, IGNORED)}
    return replace(code, classes=classes, note="; ".join(filter(None, (code.note, note))))


def _learn_gray(counts: Counter[int], n_named: int, kind: str, blurred: _Blurred) -> LabelCode:
    """Understand class numbers, of a palette too, and gray levels."""
    found = sorted(counts)
    if found == [0]:
        raise DataError("every mask of the data is empty; there is nothing to learn")
    largest = found[-1]
    if largest <= _LARGEST_CLASS_NUMBER or kind == "palette":
        return _learn_numbers(found, n_named, kind)
    if found in ([largest], [0, largest]):
        return LabelCode({0: 0, largest: 1})
    if found[-2] <= _LARGEST_CLASS_NUMBER:
        raise DataError(
            f"the masks have class numbers up to {found[-2]} and the value {largest}, which looks "
            f"like 'ignore'; say so with --ignore-index {largest}, or give those pixels a class"
        )
    between, at_edge = blurred
    smoothed = {v for v in found if between[v] >= _BETWEEN_SHARE * counts[v]} - {found[0], largest}
    n_smoothed = sum(counts[v] for v in smoothed)
    is_edge = sum(at_edge[v] for v in smoothed) >= _BETWEEN_SHARE * n_smoothed
    if smoothed and is_edge and {*found} - smoothed == {0, largest}:
        note = f"masks have {len(found)} gray levels, as after shrinking: cut at {largest / 2:g}"
        return LabelCode({0: 0, largest: 1}, smooth=True, note=note)
    apart = min(b - a for a, b in pairwise(found)) >= _LEAST_GAP
    middle = {v: n for v, n in counts.items() if min(v, largest - v) > _NEAR_FRACTION * largest}
    foreground = sum(n for value, n in counts.items() if value > largest / 2)
    spread = max(middle.values(), default=0) <= _LARGEST_BETWEEN_SHARE * foreground
    clear = sum(middle.values()) <= (1 - _CLEAR_SHARE) * sum(counts.values())
    if not apart and clear and spread:
        note = f"masks have {len(found)} gray levels, as after JPEG: cut at {largest / 2:g}"
        return LabelCode({0: 0, largest: 1}, smooth=True, note=note)
    if not apart or len(found) > _MAX_LEVELS or smoothed:
        raise DataError(
            f"the masks have {len(found)} gray levels; expected class numbers, 0 and 255, or up "
            f"to {_MAX_LEVELS} levels or colours. Masks must not be smoothed or saved as JPEG"
        )
    classes = {level: i for i, level in enumerate(found if found[0] == 0 else [0, *found])}
    listed = ", ".join(f"{level} is {number}" for level, number in classes.items())
    return LabelCode(classes, ranked=True, note=f"gray levels taken as classes: {listed}")


def _learn_numbers(found: list[int], n_named: int, kind: str) -> LabelCode:
    """Understand class numbers; without names, a single one is the foreground whatever it is."""
    present = [number for number in found if number]
    if n_named <= 2 and len(present) == 1:
        note = f"masks have the one number {present[0]}: it is the foreground"
        return LabelCode({0: 0, present[0]: 1}, kind, note=note if present[0] > 1 else "")
    note = ""
    if not n_named and len(present) < found[-1]:
        note = f"class numbers 1 to {found[-1]}, of which {', '.join(map(str, present))} occur"
    return LabelCode({number: number for number in range(found[-1] + 1)}, kind, note=note)


def _learn_colours(counts: Counter[int], n_named: int) -> LabelCode:
    """Give colours their numbers: black, or else the commonest, is the background."""
    background = 0 if 0 in counts else max(counts, key=lambda code: counts[code])
    others = sorted(code for code in counts if code != background)
    if len(counts) > _MAX_LEVELS or (n_named and len(others) > 1):
        raise DataError(
            f"the masks have {len(counts)} colours, such as #{others[0]:06x}; expected up to "
            f"{_MAX_LEVELS}, without smoothing, and in classes.txt a line 'name #rrggbb' for each "
            "that is a class"
        )
    classes = {background: 0} | {code: number for number, code in enumerate(others, start=1)}
    listed = ", ".join(f"#{value:06x} is {number}" for value, number in classes.items())
    return LabelCode(classes, "colour", ranked=True, note=f"colours taken as classes: {listed}")


class _Blurred(NamedTuple):
    """Of each gray value, how many pixels look as if smoothing had made them."""

    between: Counter[int]  # beside a lower and a higher value
    at_edge: Counter[int]  # within two pixels of both the lowest and the highest

    def add(self, gray: Codes) -> None:
        """Count the pixels of a file that has 0 and a higher value."""
        values, largest = gray.astype(np.float32), float(gray.max())
        near, far = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)
        between = (cv2.erode(values, near) < values) & (values < cv2.dilate(values, near))
        at_edge = between & (cv2.erode(values, far) <= _NEAR_FRACTION * largest)
        at_edge &= cv2.dilate(values, far) >= (1 - _NEAR_FRACTION) * largest
        for counter, found in ((self.between, between), (self.at_edge, at_edge)):
            counter.update(_count_values(gray[found]) if found.any() else {})


def _count_values(codes: Codes) -> dict[int, int]:
    """Return each value, in order, and how many pixels have it."""
    if codes.max() <= 0xFFFF:  # a tenth of the time
        counts = np.bincount(codes.ravel())
        values = np.flatnonzero(counts)
        return dict(zip(values.tolist(), counts[values].tolist(), strict=True))
    found, counts = np.unique(codes, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
