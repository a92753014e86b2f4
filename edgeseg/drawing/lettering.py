"""Letters on a picture."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SIZE = 0.55  # of the letters on a picture of scale 1
_PLUS_OR_MINUS = "+/-"  # drawn as one sign, which OpenCV's older fonts do not have
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)

_prepared: list[ThreadPoolExecutor] = []  # threads that have the font and wait for a picture
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_prepared.clear)  # a child has no threads but its own


class Line(NamedTuple):
    """A line of letters.

    Attributes
    ----------
    text
        In ASCII; ``+/-`` is drawn as one sign.
    left, base
        Where it begins and stands, in pixels.
    colour
        Blue, green, red.
    """

    text: str
    left: float
    base: float
    colour: tuple[int, int, int] = _WHITE


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Have the font unpacked while something else is going on; begins at once.

    OpenCV 5 unpacks it anew in every thread, so the thread that did it now will write on the next
    picture that is drawn; for one image the whole command is measurably faster
    (benchmarks/README.md). The thread ends with that picture, or with the context if there was
    none.
    """
    writer = ThreadPoolExecutor(1, "edgeseg-text")
    writer.submit(_write, np.zeros((40, 40, 3), dtype=np.uint8), [Line("H", 10, 30)], 1.0)
    _prepared.append(writer)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # it has been taken
            _prepared.remove(writer)
        writer.shutdown(wait=False)


def write(picture: npt.NDArray[np.uint8], lines: Sequence[Line], scale: float) -> None:
    """Write lines on a picture, (H, W, 3), in place, with a dark rim that shows on any ground."""
    try:
        writer = _prepared.pop()
    except IndexError:
        _write(picture, lines, scale)
    else:
        with writer:
            writer.submit(_write, picture, lines, scale).result()


def wrapped(text: str, width_px: float, scale: float) -> list[str]:
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


def _write(picture: npt.NDArray[np.uint8], lines: Sequence[Line], scale: float) -> None:
    # Bolder letters would be a rim too, but those of OpenCV 5 are wider as well.
    rim = max(1, round(scale))
    for line in lines:
        for shift, colour in ((-rim, _BLACK), (rim, _BLACK), (0, line.colour)):
            place = line.left + shift, line.base + shift
            _write_line(picture, line.text, place, scale, colour)


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
