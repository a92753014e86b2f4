"""The picture a person checks: the image with the outline that was measured on it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.drawing.encode import encode
from edgeseg.drawing.thumbnail import add_thumbnail, shrink
from edgeseg.images.frame import Frame, GrayImage
from edgeseg.measure.ellipse import FloatArray
from edgeseg.measure.measurement import Measurement, Stroke
from edgeseg.measure.screen import meanings
from edgeseg.measure.tasks import measure_of
from edgeseg.network.task import Task

# Of classes in turn, chosen to be told apart by most colour-blind eyes (after Okabe and Ito 2008);
# the first is green, and a doubtful head's orange.
COLOURS_BGR = (
    (80, 220, 60), (233, 180, 86), (66, 228, 240), (167, 121, 204), (178, 114, 0), (0, 94, 213),
)  # fmt: skip
_DOUBTFUL_BGR = (0, 150, 255)
_REFERENCE_BGR = (255, 80, 255)  # pink, which no structure has
_WHITE_BGR = (255, 255, 255)
_TINT = 0.25  # how much of its colour a class lays over its pixels
_SHIFT = 4  # sub-pixel bits of cv2's drawing
_TYPICAL_WIDTH_PX = 800
_MARGIN = 0.01  # of the image's longer side, around what alone is shown
_DASH_PX, _CALIPER_PX, _EDGE_PX = 9.0, 6.0, 12.0  # on an image of typical width
_MOST_DOUBTS = 2
_BARS_MM = (1, 2, 5, 10, 20, 50, 100, 200)
_LONGEST_BAR = 0.25  # of the image's width
_JPEG_QUALITY = 88
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LETTERS = 0.55  # size on a picture of scale 1
_LINE_HEIGHT_PX = 22  # on one of scale 1

Picture = npt.NDArray[np.uint8]
"""Shape (H, W, 3), blue first."""


class Line(NamedTuple):
    """A line of letters."""

    text: str  # In ASCII; ``+/-`` is drawn as one sign.
    left: float  # Where it begins and stands, in pixels.
    base: float
    colour: tuple[int, int, int]  # Blue, green, red.


def colour_bgr(structure: int) -> tuple[int, int, int]:
    """Return the colour of a structure, numbered from 1."""
    return COLOURS_BGR[(structure - 1) % len(COLOURS_BGR)]


def draw(frame: Frame, measurement: Measurement, task: Task) -> Picture:
    """Draw what was measured, its figures and a scale bar; what is doubtful dashed, and why."""
    strokes = measure_of(task).strokes(measurement)
    picture = _draw_lines(_hide_letters(frame, strokes), strokes, measurement)
    _write_figures(picture, frame, measurement, task)
    return picture


def draw_jpeg(
    frame: Frame, measurement: Measurement, task: Task, reference: Sequence[Stroke] = ()
) -> bytes:
    """Draw the same as a JPEG file's bytes, with a thumbnail in it that has no letters.

    Beneath lies in a colour of its own what should have been measured, the ``reference``.

    Raises ImageDecodeError if a JPEG cannot hold an image of that size.
    """
    strokes = measure_of(task).strokes(measurement)
    gray = _hide_letters(frame, strokes)
    picture, small = _draw_lines(gray, strokes, measurement, reference), shrink(gray)
    _write_figures(picture, frame, measurement, task)
    # drawn anew, for a line of one pixel would fade with those around it
    mine, theirs = ([*_scale_strokes(each, gray, small)] for each in (strokes, reference))
    thumbnail = _draw_lines(small, mine, measurement, theirs)
    return add_thumbnail(encode(".jpg", picture, _JPEG_QUALITY), thumbnail)


def _draw_lines(
    gray: GrayImage,
    strokes: Sequence[Stroke],
    measurement: Measurement,
    reference: Sequence[Stroke] = (),
) -> Picture:
    """Return an image, of the frame's size or less, with all lines on it, and no letters."""
    picture = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if (mask := measurement.mask) is not None:
        size = gray.shape[1], gray.shape[0]
        _tint(picture, np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)))
    scale = _scale(picture)
    for stroke in reference:
        _polylines(
            picture, [stroke.points], _REFERENCE_BGR, max(1, round(scale)), closed=stroke.closed
        )
    for stroke in strokes:
        colour = colour_bgr(stroke.structure)
        if measurement.flags and measurement.ellipse is not None:
            colour = _DOUBTFUL_BGR
        width = 1 if stroke.thin else max(1, round(scale))
        if measurement.flags and stroke.closed:
            _polylines(picture, _cut_dashes(stroke.points, _DASH_PX * scale), colour, width)
        else:
            _polylines(picture, [stroke.points], colour, width, closed=stroke.closed)
        if stroke.thin:
            _polylines(picture, _make_calipers(stroke.points, _CALIPER_PX * scale), colour, width)
    return picture


def _write_figures(picture: Picture, frame: Frame, measurement: Measurement, task: Task) -> None:
    """Write figures and doubts, and a scale bar where the size of pixels is known."""
    scale, pixel = _scale(picture), frame.pixel_size
    height, width = frame.size
    left, step = _EDGE_PX * scale, _LINE_HEIGHT_PX * scale
    texts = [] if measurement.reason else measure_of(task).caption(measurement, task).split("; ")
    if pixel:
        texts.append(f"pixel {pixel.text()}")
    why = wrap(_explain(frame, measurement, task), width - 2 * left, scale)
    coloured = [(text, _WHITE_BGR) for text in texts] + [(text, _DOUBTFUL_BGR) for text in why]
    lines = [Line(t, left, (i + 1) * step, colour) for i, (t, colour) in enumerate(coloured)]
    longest_mm = _LONGEST_BAR * width * pixel.x_mm if pixel else 0.0
    if pixel and (fitting := [length for length in _BARS_MM if length <= longest_mm]):
        base = height - left
        _draw_bar(picture, (left, base), fitting[-1] / pixel.x_mm, scale)
        lines.append(Line(f"{fitting[-1]} mm", left, base - 9 * scale, _WHITE_BGR))
    write_lines(picture, lines, scale)


def _explain(frame: Frame, measurement: Measurement, task: Task) -> str:
    """Return why nothing was found, or the first doubts: all of them would hide the image."""
    doubts = meanings(measure_of(task), frame, measurement.flags)
    if measurement.reason:
        doubts = [measurement.reason]
    more = len(doubts) - _MOST_DOUBTS
    text = "; ".join(doubts[:_MOST_DOUBTS]) + (f"; and {more} more" if more > 0 else "")
    return text.encode("ascii", "replace").decode()  # letters that every font here has


def _hide_letters(frame: Frame, strokes: Sequence[Stroke]) -> GrayImage:
    """Return the pixels that may be shown: where letters may name the patient, what was measured.

    What the network looked at is no measure of that: around a large head it is the whole screen.
    """
    if frame.screen is None or not frame.screen.may_name_patient:
        return frame.pixels
    near = np.zeros_like(frame.pixels)
    margin = max(3, round(_MARGIN * max(frame.size)))
    for stroke in strokes:
        if stroke.closed:
            outline = [np.round(stroke.points).astype(np.int32)]
            cv2.fillPoly(near, outline, 1)
            cv2.polylines(near, outline, True, 1, 2 * margin)
    return np.asarray(frame.pixels * near, dtype=np.uint8)


def _scale_strokes(
    strokes: Sequence[Stroke], large: GrayImage, small: GrayImage
) -> Iterator[Stroke]:
    """Yield strokes on an image as they lie on its smaller copy."""
    factors = np.array([small.shape[1] / large.shape[1], small.shape[0] / large.shape[0]])
    for stroke in strokes:
        yield stroke._replace(points=(stroke.points + 0.5) * factors - 0.5)


def _tint(picture: Picture, mask: npt.NDArray[np.uint8]) -> None:
    """Lay each class's colour over its pixels, in place."""
    palette = np.zeros((256, 3), dtype=np.float32)
    palette[1:] = [colour_bgr(number) for number in range(1, 256)]
    inside = mask > 0
    mixed = (1 - _TINT) * picture[inside] + _TINT * palette[mask[inside]]
    picture[inside] = np.round(mixed).astype(np.uint8)


def _polylines(
    picture: Picture,
    lines: Sequence[FloatArray],
    colour: tuple[int, int, int],
    width: int,
    *,
    closed: bool = False,
) -> None:
    fixed = [np.round(points * (1 << _SHIFT)).astype(np.int32) for points in lines]
    cv2.polylines(picture, fixed, closed, colour, width, cv2.LINE_AA, _SHIFT)


def _cut_dashes(points: FloatArray, length_px: float) -> list[FloatArray]:
    """Cut a closed outline into dashes of five points, about as long as they are far apart."""
    ring = np.concatenate([points, points[:1]])
    along = np.concatenate([[0.0], np.hypot(*np.diff(ring, axis=0).T).cumsum()])
    count = max(1, round(along[-1] / (2 * length_px)))
    places = (np.arange(count)[:, None] + np.linspace(0.0, 0.5, 5)) * (along[-1] / count)
    x, y = (np.interp(places, along, ring[:, axis]) for axis in (0, 1))
    return list(np.stack([x, y], axis=2))


def _make_calipers(points: FloatArray, arm_px: float) -> list[FloatArray]:
    """Return an upright cross at each end of a line, as sonographers set them."""
    across, down = np.array([[-arm_px, 0], [arm_px, 0]]), np.array([[0, -arm_px], [0, arm_px]])
    return [end + arm for end in points[[0, -1]] for arm in (across, down)]


def _draw_bar(picture: Picture, start: tuple[float, float], length_px: float, scale: float) -> None:
    """Draw a scale bar across the image, with an upright at each end, on a dark rim."""
    (x, y), tick = start, 4 * scale
    lines = [((x, y), (x + length_px, y))]
    lines += [((end, y - tick), (end, y + tick)) for end in (x, x + length_px)]
    width = max(1, round(scale))
    for colour, thickness in (((0, 0, 0), width + 2), (_WHITE_BGR, width)):
        _polylines(picture, [np.array(line) for line in lines], colour, thickness)


def _scale(picture: Picture) -> float:
    width: int = picture.shape[1]
    return max(width / _TYPICAL_WIDTH_PX, 0.5)


def write_lines(picture: npt.NDArray[np.uint8], lines: Sequence[Line], scale: float) -> None:
    """Write lines on a picture, (H, W, 3), in place, with a dark rim that shows on any ground."""
    # Bolder letters would be a rim too, but those of OpenCV 5 are wider as well.
    rim = max(1, round(scale))
    for line in lines:
        for shift, colour in ((-rim, (0, 0, 0)), (rim, (0, 0, 0)), (0, line.colour)):
            place = line._replace(left=line.left + shift, base=line.base + shift, colour=colour)
            _write_line(picture, place, scale)


def wrap(text: str, width_px: float, scale: float) -> list[str]:
    """Break a sentence into lines that fit into a width; a word that does not stays whole."""
    most = max(1, int(width_px / (_LETTERS * scale * 18)))  # a letter of this font is that wide
    return textwrap.wrap(text, most, break_long_words=False, break_on_hyphens=False)


def _write_line(picture: npt.NDArray[np.uint8], line: Line, scale: float) -> None:
    """Write a line; plus or minus is drawn, as OpenCV's older fonts do not have it."""
    (text, left, base, colour), size, thickness = line, _LETTERS * scale, max(1, round(scale))
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
