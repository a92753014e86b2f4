"""Letters on pictures: one font on every machine, with a dark rim, where they hide least."""

from __future__ import annotations

import functools
import itertools
import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.measure.ellipse import FloatArray

Picture = npt.NDArray[np.uint8]
"""Shape (H, W, 3), blue first."""
Colour = tuple[int, int, int]
"""Blue, green, red."""
_Ink = tuple[npt.NDArray[np.uint8], int]
"""Letters and their rim, shape (2, line height, W), and the distance to the next ones in pixels."""

BOTTOM_LEFT = (False, True)  # a corner: whether it is at the right, and at the bottom
_CORNERS = ((False, False), BOTTOM_LEFT, (True, False), (True, True))
_SHARES = (1.0, 0.7, 0.5, 0.35)  # of a picture's width that a block may take
_SMALLER = (1.0, 0.8, 0.6, 0.4)  # what is tried where letters do not fit
_LINE = 1.25  # from line to line, in sizes of letters
_RIM = 0.07  # likewise
_CELL_PX = 4  # of the grid that says what should not be hidden
_TAKEN, _CUT = 255, 1_000_000_000  # how bad it is to hide a cell of other letters, and to be cut


class Lettering:
    """Writes blocks of lines into the corners of a picture, (H, W, 3), uint8, in place.

    Letters are of ``size_px`` and stand ``margin_px`` from the edges; what they should not hide are
    ``outlines``, closed lines of points (n, 2), (x, y) in pixels.
    """

    def __init__(
        self, picture: Picture, size_px: float, margin_px: float, outlines: Iterable[FloatArray]
    ) -> None:
        self._picture, self._size_px, self._margin_px = picture, size_px, round(margin_px)
        self._used_px = dict.fromkeys(_CORNERS, self._margin_px)  # of each corner's height
        self._grid = np.zeros([side // _CELL_PX + 1 for side in picture.shape[:2]], np.uint8)
        for points in outlines:
            cells = np.round(points / _CELL_PX).astype(np.int32)
            cv2.polylines(self._grid, [cells], True, 1)

    def write(
        self, texts: Sequence[str], colour: Colour, corners: Sequence[tuple[bool, bool]] = _CORNERS
    ) -> None:
        """Write lines, broken or smaller if they must be, in the corner where they hide least."""
        (height, width), margin = self._picture.shape[:2], self._margin_px
        words = tuple(tuple(_replace_accents(text).split()) for text in texts)
        for smaller in _SMALLER:
            size_px, least = max(1, round(smaller * self._size_px)), math.inf
            for corner, share in itertools.product(corners, _SHARES):
                lines = _wrap(words, share * (width - 2 * margin), size_px)
                wide = max((_measure(line, size_px) for line in lines), default=0)
                high, used = len(lines) * _line_height(size_px), self._used_px[corner]
                left = max(width - margin - wide, 0) if corner[0] else margin
                top = max(height - used - high, 0) if corner[1] else used
                right, bottom = left + wide, top + high
                cells = _cells(top, bottom), _cells(left, right)
                is_cut = right > width or bottom > height
                hidden = int(self._grid[cells].sum()) + _CUT * is_cut
                if hidden < least:
                    least, best = hidden, (corner, lines, left, top, bottom, cells)
                if not least:
                    break
            if least < _CUT:
                break
        corner, lines, left, top, bottom, cells = best
        _draw(self._picture[top:, left:], lines, size_px, colour)
        self._grid[cells] = _TAKEN
        self._used_px[corner] += bottom - top


def _cells(start_px: int, stop_px: int) -> slice:
    return slice(start_px // _CELL_PX, stop_px // _CELL_PX)


def _line_height(size_px: int) -> int:
    """Return how far lines of letters are apart, in pixels."""
    return round(_LINE * size_px) + 2 * _rim(size_px)


@functools.lru_cache(maxsize=1024)
def _measure(words: tuple[str, ...], size_px: int) -> int:
    """Return how wide a line is, in pixels."""
    ends = [_render(word, size_px)[1] for word in words]
    return sum(ends) + max(0, len(words) - 1) * _glyph(" ", size_px)[1] + 2 * _rim(size_px)


@functools.lru_cache(maxsize=64)
def _wrap(
    texts: tuple[tuple[str, ...], ...], width_px: float, size_px: int
) -> list[tuple[str, ...]]:
    """Break texts into lines that fit into a width, all of words; a longer word stays whole."""
    lines: list[tuple[str, ...]] = []
    for text in texts:
        line: tuple[str, ...] = ()
        for word in text:
            if line and _measure((*line, word), size_px) > width_px:
                lines.append(line)
                line = ()
            line = *line, word
        if line:
            lines.append(line)
    return lines


def _replace_accents(text: str) -> str:
    """Return a text without accents, which the font lacks."""
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text)
    return "".join(part for part in parts if not unicodedata.combining(part))


def _draw(picture: Picture, lines: Sequence[tuple[str, ...]], size_px: int, colour: Colour) -> None:
    """Draw lines of words from a picture's top left corner, in place."""
    high, space = _line_height(size_px), _glyph(" ", size_px)[1]
    wide = max((_measure(line, size_px) for line in lines), default=0)
    layers = np.zeros((2, len(lines) * high, wide), dtype=np.uint8)
    for i, line in enumerate(lines):
        left = 0
        for word in line:
            left += _lay(layers[:, i * high :, left:], _render(word, size_px)) + space
    region = picture[: layers.shape[1], : layers.shape[2]]
    if region.size:  # of a picture smaller than a letter
        light, shade = layers[:, : region.shape[0], : region.shape[1]]
        ground = cv2.merge([255 - shade] * 3)
        coloured = cv2.merge([cv2.convertScaleAbs(light, alpha=part / 255) for part in colour])
        region[:] = cv2.add(cv2.multiply(region, ground, scale=1 / 255), coloured)


def _lay(layers: npt.NDArray[np.uint8], ink: _Ink) -> int:
    """Lay ink over what lies there, from the top left corner; return how far the next one is."""
    part = layers[:, : ink[0].shape[1], : ink[0].shape[2]]
    np.maximum(part, ink[0], out=part)
    return ink[1]


@functools.lru_cache(maxsize=1024)
def _render(word: str, size_px: int) -> _Ink:
    """Return a word's ink."""
    glyphs = [_glyph(letter, size_px) for letter in word]
    advance = sum(glyph[1] for glyph in glyphs)
    layers = np.zeros((2, _line_height(size_px), advance + 2 * _rim(size_px)), dtype=np.uint8)
    left = 0
    for glyph in glyphs:
        left += _lay(layers[..., left:], glyph)
    return layers, advance


@functools.lru_cache(maxsize=4096)
def _glyph(letter: str, size_px: int) -> _Ink:
    """Return a letter's ink."""
    from PIL import Image, ImageDraw, ImageFont  # take long to import

    font: Any = ImageFont.load_default(size_px)  # part of Pillow, the same with every version
    rim = _rim(size_px)
    advance = round(font.getlength(letter))
    image = Image.new("L", (advance + 2 * rim, _line_height(size_px)))
    ImageDraw.Draw(image).text((rim, rim + size_px), letter, 255, font, anchor="ls")
    light = np.asarray(image)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    return np.stack([light, cv2.dilate(light, disc)]), advance


def _rim(size_px: int) -> int:
    return max(1, round(_RIM * size_px))
