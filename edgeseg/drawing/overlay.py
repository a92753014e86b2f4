"""The picture a person checks: the image with the outline that was measured on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.drawing.encode import encode
from edgeseg.drawing.thumbnail import shrunk, with_thumbnail
from edgeseg.measure.measurement import Measurement, Stroke
from edgeseg.measure.tasks import measure_of
from edgeseg.network.task import Task
from edgeseg.sources.frame import Frame

# Of the structures in turn, chosen to be told apart by most colour-blind eyes (after Okabe and Ito
# 2008); the first is green, and a flagged prediction's orange.
COLOURS_BGR = (
    (80, 220, 60), (233, 180, 86), (66, 228, 240), (167, 121, 204), (178, 114, 0), (0, 94, 213),
)  # fmt: skip
_FLAGGED_BGR = (0, 150, 255)
_TEXT_BGR = (255, 255, 255)
_TINT = 0.25  # how much of its colour a class lays over its pixels
_SHIFT = 4  # sub-pixel bits of cv2's drawing
_TYPICAL_WIDTH_PX = 800
_JPEG_QUALITY = 88
_MARGIN = 0.01  # of the image's longer side, around what alone is shown

_prepared: list[ThreadPoolExecutor] = []  # threads that have the font and wait for a picture
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_prepared.clear)  # a child has no threads but its own


def draw(frame: Frame, measurement: Measurement, task: Task) -> npt.NDArray[np.uint8]:
    """Draw what was measured and its figures; orange instead of the first colour if flagged.

    Returns
    -------
    ndarray, shape (H, W, 3), uint8, BGR
    """
    picture = _drawn(frame, measurement, task)
    _caption(picture, frame, measurement, task)
    return picture


def draw_jpeg(frame: Frame, measurement: Measurement, task: Task) -> bytes:
    """Draw the same as a JPEG file's bytes, with a thumbnail in it that has no letters.

    Raises
    ------
    ImageDecodeError
        If a JPEG cannot hold an image of that size.
    """
    picture = _drawn(frame, measurement, task)
    small = shrunk(picture)
    _caption(picture, frame, measurement, task)
    return with_thumbnail(encode(".jpg", picture, _JPEG_QUALITY), small)


def _drawn(frame: Frame, measurement: Measurement, task: Task) -> npt.NDArray[np.uint8]:
    strokes = measure_of(task).strokes(measurement)
    gray = _shown(frame, strokes)
    picture = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if measurement.mask is not None:
        _tint(picture, measurement.mask)
    scale = _scale(picture)
    for stroke in strokes:
        colour = colour_bgr(stroke.structure)
        if measurement.flags and stroke.structure == 1:
            colour = _FLAGGED_BGR
        fixed = np.round(stroke.points * (1 << _SHIFT)).astype(np.int32)
        thickness = 1 if stroke.thin else _line_width(scale)
        cv2.polylines(picture, [fixed], stroke.closed, colour, thickness, cv2.LINE_AA, _SHIFT)
    return picture


def _caption(
    picture: npt.NDArray[np.uint8], frame: Frame, measurement: Measurement, task: Task
) -> None:
    pixel, scale = frame.pixel_size, _scale(picture)
    lines = [
        *measure_of(task).caption(measurement, task).split("; "),
        *([f"pixel {pixel.text()}"] if pixel else []),
        ", ".join(measurement.flags),
    ]
    try:
        writer = _prepared.pop()
    except IndexError:
        _write(picture, lines, scale)
    else:
        with writer:
            writer.submit(_write, picture, lines, scale).result()


def _scale(picture: npt.NDArray[np.uint8]) -> float:
    width: int = picture.shape[1]
    return max(width / _TYPICAL_WIDTH_PX, 0.5)


def _shown(frame: Frame, strokes: Sequence[Stroke]) -> npt.NDArray[np.uint8]:
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


def colour_bgr(structure: int) -> tuple[int, int, int]:
    """Return the colour of a structure, numbered from 1."""
    return COLOURS_BGR[(structure - 1) % len(COLOURS_BGR)]


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Have the font unpacked while something else is going on; begins at once.

    OpenCV 5 unpacks it anew in every thread, so the thread that did it now will write on the next
    picture that is drawn; for one image the whole command is measurably faster
    (benchmarks/README.md). The thread ends with that picture, or with the context if there was
    none.
    """
    writer = ThreadPoolExecutor(1, "edgeseg-text")
    writer.submit(_write, np.zeros((40, 40, 3), dtype=np.uint8), ["H"], 1.0)
    _prepared.append(writer)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # it has been taken
            _prepared.remove(writer)
        writer.shutdown(wait=False)


def _tint(picture: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> None:
    """Lay each class's colour over its pixels, in place."""
    palette = np.zeros((256, 3), dtype=np.float32)
    palette[1:] = [colour_bgr(number) for number in range(1, 256)]
    inside = mask > 0
    mixed = (1 - _TINT) * picture[inside] + _TINT * palette[mask[inside]]
    picture[inside] = np.round(mixed).astype(np.uint8)


def _write(picture: npt.NDArray[np.uint8], lines: Sequence[str], scale: float) -> None:
    width = _line_width(scale)
    for i, text in enumerate(lines):
        place = (round(10 * scale), round((24 + 22 * i) * scale))
        for tint, thickness in (((0, 0, 0), 3 * width), (_TEXT_BGR, width)):
            cv2.putText(
                picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6 * scale, tint, thickness,
                cv2.LINE_AA,
            )  # fmt: skip


def _line_width(scale: float) -> int:
    return max(1, round(1.5 * scale))
