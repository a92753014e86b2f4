"""The picture a person checks: the image with the outline that was measured on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.image import GrayImage
from edgeseg.prediction import Prediction

_OUTLINE_BGR = (80, 220, 60)
_FLAGGED_BGR = (0, 150, 255)
_TEXT_BGR = (255, 255, 255)
_SHIFT = 4  # sub-pixel bits of cv2's drawing
_TYPICAL_WIDTH_PX = 800

_prepared: list[ThreadPoolExecutor] = []  # threads that have the font and wait for a picture
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_prepared.clear)  # a child has no threads but its own


def draw(gray: GrayImage, prediction: Prediction) -> npt.NDArray[np.uint8]:
    """Draw the ellipse, its major axis and the measurement; orange instead of green if flagged.

    Parameters
    ----------
    gray
        Shape (H, W), the image that was measured.

    Returns
    -------
    ndarray, shape (H, W, 3), uint8, BGR
    """
    picture = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    scale = max(gray.shape[1] / _TYPICAL_WIDTH_PX, 0.5)
    width = _line_width(scale)
    ellipse = prediction.ellipse
    if ellipse:
        colour = _FLAGGED_BGR if prediction.flags else _OUTLINE_BGR
        outline = ellipse.points(180)
        ends = np.stack([outline[0], outline[90]])  # the parametrisation starts on the major axis
        for points, closed, thickness in ((outline, True, width), (ends, False, 1)):
            fixed = np.round(points * (1 << _SHIFT)).astype(np.int32)
            cv2.polylines(picture, [fixed], closed, colour, thickness, cv2.LINE_AA, _SHIFT)
    lines = [caption(prediction), ", ".join(prediction.flags)]
    try:
        writer = _prepared.pop()
    except IndexError:
        _write(picture, lines, scale)
    else:
        with writer:
            writer.submit(_write, picture, lines, scale).result()
    return picture


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Have the font unpacked while something else is going on; begins at once.

    OpenCV 5 unpacks it anew in every thread, which takes longer than an inference, so the thread
    that did it now will write on the next picture that is drawn. It ends with that picture, or
    with the context if there was none.
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


def caption(prediction: Prediction) -> str:
    """Return the measurement in one line of ASCII, which OpenCV's fonts can draw."""
    if prediction.hc_mm is not None:
        return f"HC {prediction.hc_mm:.1f} mm"
    if prediction.hc_px is not None:
        return f"HC {prediction.hc_px:.1f} px (no pixel size)"
    return "no head found"
