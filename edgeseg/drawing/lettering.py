"""Letters on a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SIZE = 0.55  # of the letters on a picture of scale 1
_PLUS_OR_MINUS = "+/-"  # drawn as one sign, which OpenCV's older fonts do not have
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


class Line(NamedTuple):
    """A line of letters."""

    text: str  # In ASCII; ``+/-`` is drawn as one sign.
    left: float  # Where it begins and stands, in pixels.
    base: float
    colour: tuple[int, int, int] = _WHITE  # Blue, green, red.


def write(picture: npt.NDArray[np.uint8], lines: Sequence[Line], scale: float) -> None:
    """Write lines on a picture, (H, W, 3), in place, with a dark rim that shows on any ground."""
    # Bolder letters would be a rim too, but those of OpenCV 5 are wider as well.
    rim = max(1, round(scale))
    for line in lines:
        for shift, colour in ((-rim, _BLACK), (rim, _BLACK), (0, line.colour)):
            place = line.left + shift, line.base + shift
            _write_line(picture, line.text, place, scale, colour)


def wrap(text: str, width_px: float, scale: float) -> list[str]:
    """Break a sentence into lines that fit into a width; a word that does not stays whole."""
    most = max(1, int(width_px / (_SIZE * scale * 18)))  # a letter of this font is that wide
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > most:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines


def line_height(scale: float) -> float:
    """Return how far below each other lines stand, in pixels."""
    return 22 * scale


def _write_line(
    picture: npt.NDArray[np.uint8],
    text: str,
    place: tuple[float, float],
    scale: float,
    colour: tuple[int, int, int],
) -> None:
    (left, base), size, thickness = place, _SIZE * scale, max(1, round(scale))
    for i, part in enumerate(text.split(_PLUS_OR_MINUS)):
        if i:
            left += _write_sign(picture, (left, base), size, colour, thickness)
        at = round(left), round(base)
        cv2.putText(picture, part, at, _FONT, size, colour, thickness, cv2.LINE_AA)
        (width, _), _ = cv2.getTextSize(part, _FONT, size, thickness)
        left += width


def _write_sign(
    picture: npt.NDArray[np.uint8],
    place: tuple[float, float],
    size: float,
    colour: tuple[int, int, int],
    thickness: int,
) -> float:
    """Draw plus or minus, and return how wide it is."""
    (left, base), arm, gap = place, 5 * size, 4 * size
    middle, height = left + gap / 2 + arm, base - 12 * size
    for left, top, right, bottom in (
        (middle - arm, height, middle + arm, height),
        (middle, height - arm, middle, height + arm),
        (middle - arm, base - size, middle + arm, base - size),
    ):
        start, end = (round(left), round(top)), (round(right), round(bottom))
        cv2.line(picture, start, end, colour, thickness, cv2.LINE_AA)
    return 2 * arm + gap
