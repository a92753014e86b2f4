"""The picture a person checks: the image with the outline that was measured on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.drawing.encode import add_thumbnail, encode, shrink
from edgeseg.drawing.letters import BOTTOM_LEFT, Colour, Lettering, Picture
from edgeseg.images.frame import RULER, Frame, GrayImage
from edgeseg.images.ticks import Ticks
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
_RULER_BGR = (0, 255, 255)
_TINT = 0.25  # how much of its colour a class lays over its pixels
_SHIFT = 4  # sub-pixel bits of cv2's drawing
_TYPICAL_SIDE_PX = 657  # of a square with as many pixels as 800x540
_MARGIN = 0.01  # of the image's longer side, around what alone is shown
_DASH_PX, _CALIPER_PX, _EDGE_PX, _TICK_PX, _LETTERS_PX = 9.0, 6.0, 8.0, 4.0, 16.0  # at scale 1
_SMALLEST_LETTERS_PX = 11.0  # that can be read
_MOST_DOUBTS = 2
_BARS_MM = (1, 2, 5, 10, 20, 50, 100, 200)
_LONGEST_BAR = 0.25  # of the image's width
_JPEG_QUALITY = 88


HIDDEN = "black where it may name the patient (--keep-ids shows all)"
"""Why an overlay does not show the whole image."""


def colour_bgr(structure: int) -> Colour:
    """Return the colour of a structure, numbered from 1."""
    return COLOURS_BGR[(structure - 1) % len(COLOURS_BGR)]


def draw(frame: Frame, measurement: Measurement, task: Task) -> Picture:
    """Draw what was measured, its figures and a scale bar; what is doubtful dashed, and why."""
    strokes = measure_of(task).strokes(measurement)
    picture = _draw_lines(_hide_letters(frame, strokes), strokes, measurement)
    _write_figures(picture, frame, measurement, task, strokes)
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
    _write_figures(picture, frame, measurement, task, [*strokes, *reference])
    # drawn anew, for a line of one pixel would fade with those around it
    mine, theirs = ([*_scale_strokes(each, gray, small)] for each in (strokes, reference))
    thumbnail = _draw_lines(small, mine, measurement, theirs)
    return add_thumbnail(encode(".jpg", picture, _JPEG_QUALITY), thumbnail)


def draw_ticks(gray: GrayImage, ticks: Ticks | None) -> Picture:
    """Draw an image with a mark beside each tick of its ruler."""
    picture = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if ticks is not None:
        _mark_ticks(picture, ticks)
    return picture


def _mark_ticks(picture: Picture, ticks: Ticks) -> None:
    scale, inwards = _scale(picture), -1 if ticks.side in ("right", "bottom") else 1
    start = ticks.base_px + inwards * (np.nan_to_num(ticks.lengths_px).max() + _TICK_PX * scale)
    ends = np.array([start, start + 2 * inwards * _TICK_PX * scale])
    lines = [np.stack([ends, np.full(2, place)], axis=1) for place in ticks.places_px]
    if ticks.side in ("top", "bottom"):
        lines = [line[:, ::-1] for line in lines]
    _polylines(picture, lines, _RULER_BGR)


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
    _polylines(picture, [stroke.points for stroke in reference], _REFERENCE_BGR, closed=True)
    for stroke in strokes:
        colour, lines = colour_bgr(stroke.structure), [stroke.points]
        if measurement.flags and measurement.ellipse is not None:
            colour = _DOUBTFUL_BGR
        if not stroke.closed:
            lines = _make_calipers(stroke.points, _CALIPER_PX * scale)
        elif measurement.flags:
            lines = _cut_dashes(stroke.points, _DASH_PX * scale)
        _polylines(picture, lines, colour, closed=stroke.closed and not measurement.flags)
    return picture


def _write_figures(
    picture: Picture, frame: Frame, measurement: Measurement, task: Task, strokes: Sequence[Stroke]
) -> None:
    """Write figures and doubts, a scale bar where the size of pixels is known, and its ruler."""
    scale, pixel = _scale(picture), frame.pixel_size
    if pixel and pixel.source == RULER and frame.ruler and frame.ruler.ticks:
        _mark_ticks(picture, frame.ruler.ticks)
    height, width = frame.size
    size_px, edge = max(_LETTERS_PX * scale, _SMALLEST_LETTERS_PX), _EDGE_PX * scale
    outlines = [stroke.points for stroke in strokes if stroke.closed]
    longest_mm = _LONGEST_BAR * width * pixel.x_mm if pixel else 0.0
    fitting = [length for length in _BARS_MM if length <= longest_mm]
    if pixel and fitting:
        ends = edge, edge + fitting[-1] / pixel.x_mm
        bar = np.array([[end, height - edge] for end in ends])
        _draw_bar(picture, bar, scale)
        outlines.append(bar)
    lettering = Lettering(picture, size_px, edge + _TICK_PX * scale, outlines)
    if fitting:
        lettering.write([f"{fitting[-1]} mm"], _WHITE_BGR, [BOTTOM_LEFT])
    texts = [] if measurement.reason else measure_of(task).caption(measurement, task).split("; ")
    if pixel:
        texts.append(f"pixel {pixel.text()}")
    if frame.screen is not None and frame.screen.may_name_patient:
        texts.append(HIDDEN)
    if texts:
        lettering.write(texts, _WHITE_BGR)
    if doubts := _explain(frame, measurement, task):
        lettering.write([doubts], _DOUBTFUL_BGR)


def _explain(frame: Frame, measurement: Measurement, task: Task) -> str:
    """Return why nothing was found, or the first doubts: all of them would hide the image."""
    if measurement.reason:
        return measurement.reason
    doubts = meanings(measure_of(task), frame, measurement.flags)
    if (more := len(doubts) - _MOST_DOUBTS) > 0:
        doubts = [*doubts[:_MOST_DOUBTS], f"and {more} more"]
    return "; ".join(doubts)


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
    colour: Colour,
    rim_px: int = 0,
    *,
    closed: bool = False,
) -> None:
    """Draw lines as wide as the picture asks for, and a rim."""
    fixed = [np.round(points * (1 << _SHIFT)).astype(np.int32) for points in lines]
    width = max(1, round(_scale(picture))) + 2 * rim_px
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
    """Return an upright cross at each point, as sonographers set them."""
    across, down = np.array([[-arm_px, 0], [arm_px, 0]]), np.array([[0, -arm_px], [0, arm_px]])
    return [end + arm for end in points for arm in (across, down)]


def _draw_bar(picture: Picture, bar: FloatArray, scale: float) -> None:
    """Draw a scale bar, a line of two points, with an upright at each end, on a dark rim."""
    upright = np.array([[0.0, -1.0], [0.0, 1.0]]) * _TICK_PX * scale
    for colour, rim_px in (((0, 0, 0), 1), (_WHITE_BGR, 0)):
        _polylines(picture, [bar, *(end + upright for end in bar)], colour, rim_px)


def _scale(picture: Picture) -> float:
    """Return how large lines and letters are, 1 on a picture of 800x540 pixels."""
    height, width = picture.shape[:2]
    return max(math.sqrt(height * width) / _TYPICAL_SIDE_PX, 0.5)
