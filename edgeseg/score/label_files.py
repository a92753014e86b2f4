"""Labels as people draw them: class numbers, 0/1, 0/255, gray levels, palettes, colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError, EdgesegError
from edgeseg.measure.ellipse import Mask
from edgeseg.sources.header import png_palette
from edgeseg.sources.image_file import decode_pixels, read_bytes

# Values up to this are class numbers; above it, gray levels chosen for the eye.
_LARGEST_CLASS_NUMBER = 31
_MAX_LEVELS = 16
_LEAST_GAP = 8  # between levels that are meant to be told apart
# Lossy or smoothed masks have all levels, but nearly all of their pixels near two of them.
_NEAR_FRACTION = 0.1
_CLEAR_SHARE = 0.95

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelCode:
    """How the values of a data set's label files become class numbers.

    Attributes
    ----------
    classes
        Value -> class number; a value is a class number, a gray level, or a colour as 0xRRGGBB.
    smooth
        Whether the values are levels between 0 and the largest, to be cut at half of it.
    note
        What was understood, for a user to check; empty where there was no choice.
    """

    classes: Mapping[int, int]
    smooth: bool = False
    note: str = ""

    @property
    def n_classes(self) -> int:
        """Classes, the background among them."""
        return max(self.classes.values(), default=0) + 1

    def read(self, path: Path, size: tuple[int, int] | None = None) -> Mask:
        """Read a label file as class numbers, shape (height, width), uint8; 0 is background.

        Parameters
        ----------
        size
            (height, width) it must have, if any.

        Raises
        ------
        DataError
            If it has another size, or a value that the data set's other files do not have.
        """
        codes = read_codes(path)
        if size is not None and codes.shape != size:
            raise DataError(
                f"{path}: the mask is {codes.shape[1]}x{codes.shape[0]} pixels, its image "
                f"{size[1]}x{size[0]}; bring them to one size"
            )
        if self.smooth:
            return (codes > max(self.classes) / 2).astype(np.uint8)
        mask = np.zeros(codes.shape, dtype=np.uint8)
        for value, _ in _counted(codes):
            if value not in self.classes:
                raise DataError(
                    f"{path}: the value {_text(value)} belongs to no class; expected "
                    f"{', '.join(map(_text, self.classes))}"
                )
            mask[codes == value] = self.classes[value]
        return mask


def read_codes(path: Path) -> Codes:
    """Read a label file's own values, shape (height, width): numbers, levels, or 0xRRGGBB.

    The index of a palette image is its value, whatever its colour. An alpha channel is ignored.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    data = read_bytes(path)
    try:
        pixels = decode_pixels(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except EdgesegError as error:
        raise DataError(f"{path}: {error}") from None
    if pixels.ndim == 2:
        return pixels.astype(np.int64)
    blue, green, red = (pixels[..., i].astype(np.int64) for i in range(3))
    codes: Codes = (red << 16) | (green << 8) | blue
    if palette := png_palette(data):
        index = {code: number for number, code in reversed(list(enumerate(palette)))}
        values, places = np.unique(codes, return_inverse=True)
        if all(int(v) in index for v in values):
            numbers: Codes = np.array([index[int(v)] for v in values])[places]
            return numbers.reshape(codes.shape)
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return red
    return codes


def learn_code(paths: Iterable[Path], colours: Mapping[int, int] | None = None) -> LabelCode:
    """Find out what the values of a data set's label files mean, from all of them together.

    Parameters
    ----------
    paths
        Every label file.
    colours
        Value -> class number, where the data set says it.

    Raises
    ------
    DataError
        If the values are no classes.
    """
    if colours:
        return LabelCode(colours)
    counts: dict[int, int] = {}
    first = None
    for path in paths:
        first = first or path
        for value, number in _counted(read_codes(path)):
            counts[value] = counts.get(value, 0) + number
    found = sorted(counts)
    if not found or found == [0]:
        raise DataError(f"{first}: every mask of the data is empty; there is nothing to learn")
    largest = found[-1]
    if largest <= _LARGEST_CLASS_NUMBER:
        return LabelCode({number: number for number in range(largest + 1)})
    if largest > 0xFF:
        return _of_colours(counts)
    if found in ([largest], [0, largest]):
        return LabelCode({0: 0, largest: 1})
    apart = min(b - a for a, b in pairwise(found)) >= _LEAST_GAP
    near = sum(n for v, n in counts.items() if min(v, largest - v) <= _NEAR_FRACTION * largest)
    if not apart and near >= _CLEAR_SHARE * sum(counts.values()):
        note = f"masks have {len(found)} gray levels, as after JPEG: cut at {largest / 2:g}"
        return LabelCode({0: 0, largest: 1}, smooth=True, note=note)
    if not apart or len(found) > _MAX_LEVELS:
        raise DataError(
            f"{first}: the masks have {len(found)} gray levels; expected class numbers, 0 and 255, "
            f"or up to {_MAX_LEVELS} levels or colours. Masks must not be smoothed or saved as JPEG"
        )
    levels = found if found[0] == 0 else [0, *found]
    return LabelCode(
        {level: number for number, level in enumerate(levels)},
        note="gray levels taken as classes: "
        + ", ".join(f"{level} is {number}" for number, level in enumerate(levels)),
    )


def _counted(codes: Codes) -> list[tuple[int, int]]:
    """Return each value and how many pixels have it."""
    if codes.max() <= 0xFFFF:
        counts = np.bincount(codes.ravel())
        values = np.flatnonzero(counts)
        return list(zip(values.tolist(), counts[values].tolist(), strict=True))
    found, counts = np.unique(codes, return_counts=True)
    return list(zip(found.tolist(), counts.tolist(), strict=True))


def _of_colours(counts: Mapping[int, int]) -> LabelCode:
    """Give colours their numbers: black, or else the commonest, is the background."""
    if len(counts) > _MAX_LEVELS:
        raise DataError(
            f"the masks have {len(counts)} colours; expected up to {_MAX_LEVELS}. List those that "
            "are classes in classes.txt, a line 'name #rrggbb' each, or save masks without "
            "smoothing"
        )
    background = 0 if 0 in counts else max(counts, key=lambda code: counts[code])
    others = sorted(code for code in counts if code != background)
    classes = {background: 0} | {code: number for number, code in enumerate(others, start=1)}
    listed = ", ".join(f"{_text(code)} is {number}" for code, number in classes.items())
    return LabelCode(classes, note=f"colours taken as classes: {listed}")


def _text(value: int) -> str:
    return f"#{value:06x}" if value > 0xFF else str(value)
