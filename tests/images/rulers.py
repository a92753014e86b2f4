"""Rulers of known truth, drawn into scans as machines of several makers do."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from edgeseg.images.frame import GrayImage


class Style(NamedTuple):
    """How a maker draws its ruler: what ticks are apart, and the lengths of those in turn."""

    tick_mm: float
    lengths_px: tuple[int, ...]  # Of neighbours; they repeat.
    level: int = 230  # Gray value; 0 cuts into the edge of the scan.
    thick_px: int = 2


STYLES = {
    "dashes": Style(5, (10, 2, 4, 2, 4, 2, 4, 2, 4, 2)),
    "thin": Style(5, (9, 3, 4, 3, 4, 3, 4, 3, 4, 3), 170, 1),
    "deep": Style(10, (9, 3, 3, 3, 3)),
    "ten": Style(5, (9, *[3] * 9)),
    "cuts": Style(5, (6, 3), 0, 1),
    "deep cuts": Style(10, (6, 3, 3, 3, 3), 0, 2),
    "alike": Style(10, (4,)),
    "halves": Style(2.5, (10, 4, 7, 4)),  # and every fourth is longer still
    "fine": Style(1, (9, 3, 3, 3, 3, 6, 3, 3, 3, 3)),
}


def draw_ruler(
    gray: GrayImage, pixel_size_mm: float, style: Style, side: str = "left", inset_px: int = 22
) -> GrayImage:
    """Return a scan with a ruler along a side; bright ones stand ``inset_px`` from its border."""
    turns = {"left": 0, "top": 1, "right": 2, "bottom": 3}[side]
    image = np.rot90(gray, turns).copy()
    height = image.shape[0]
    period = style.tick_mm / pixel_size_mm
    start = 0 if style.level == 0 else inset_px
    for number, place in enumerate(np.arange(0.3 * period, height - 4, period)):
        y, x1 = round(float(place)), start + style.lengths_px[number % len(style.lengths_px)]
        image[y : y + style.thick_px, start:x1] = style.level
    return np.rot90(image, -turns).copy()


def draw_decoys(gray: GrayImage) -> GrayImage:
    """Return a scan with what stands beside rulers: letters, a gray bar, a focus mark, calipers."""
    image = gray.copy()
    height, width = image.shape
    image[20 : height // 3, 2:10] = np.linspace(255, 0, height // 3 - 20)[:, None]
    for line, text in enumerate(("60/27Hz", "3.Trim.", "HM PI 6.80", "AO 98%", "Gn -5", "C5/M7")):
        place = (width - 90, 30 + 14 * line)
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 200, 1)
    cv2.fillPoly(image, [np.array([[40, 200], [40, 208], [46, 204]])], 255)
    for step in range(40):  # between two calipers
        x, y = width // 3 + 6 * step, height // 3 + 3 * step
        image[y : y + 2, x : x + 2] = 255
    return image
