"""Letters on a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SIZE = 0.55  # of the letters on a picture of scale 1
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
            place = line._replace(left=line.left + shift, base=line.base + shift, colour=colour)
            _write_line(picture, place, scale)


def wrap(text: str, width_px: float, scale: float) -> list[str]:
    """Break a sentence into lines that fit into a width; a word that does not stays whole."""
    most = max(1, int(width_px / (_SIZE * scale * 18)))  # a letter of this font is that wide
    return textwrap.wrap(text, most, break_long_words=False, break_on_hyphens=False)


def line_height(scale: float) -> float:
    """Return how far below each other lines stand, in pixels."""
    return 22 * scale


def _write_line(picture: npt.NDArray[np.uint8], line: Line, scale: float) -> None:
    """Write a line; plus or minus is drawn, as OpenCV's older fonts do not have it."""
    (text, left, base, colour), size, thickness = line, _SIZE * scale, max(1, round(scale))
    arm, gap = 5 * size, 4 * size
    for i, part in enumerate(text.split("+/-")):
        if i:
            middle, height = left + gap / 2 + arm, base - 12 * size
            for x, y, dx, dy in (
                (middle, height, arm, 0), (middle, height, 0, arm), (middle, base - size, arm, 0),
            ):  # fmt: skip
                ends = (round(x - dx), round(y - dy)), (round(x + dx), round(y + dy))
                cv2.line(picture, *ends, colour, thickness, cv2.LINE_AA)
            left += 2 * arm + gap
        at = round(left), round(base)
        cv2.putText(picture, part, at, _FONT, size, colour, thickness, cv2.LINE_AA)
        (width, _), _ = cv2.getTextSize(part, _FONT, size, thickness)
        left += width
