"""Whole screens of ultrasound machines, around a scan.

Sizes and rectangles are those that the machines' DICOM files state, as far as such files are
public; what is drawn in and around them is invented in their manner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from edgeseg.images.frame import GrayImage
from edgeseg.measure.framing import View

_BACKGROUND = 16
_NAME = "DOE^JANE  12-34-56  F  GA 20w1d"


class Region(NamedTuple):
    """A rectangle of tissue as DICOM states it: first and last column and row, both inside."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.y1 - self.y0 + 1, self.x1 - self.x0 + 1

    def of(self, gray: GrayImage) -> GrayImage:
        """Return its part of a screen."""
        return gray[self.y0 : self.y1 + 1, self.x0 : self.x1 + 1]

    def holds(self, x_px: float, y_px: float) -> bool:
        """Tell whether a point of the screen lies in it."""
        return self.x0 - 0.5 <= x_px <= self.x1 + 0.5 and self.y0 - 0.5 <= y_px <= self.y1 + 0.5


class Machine(NamedTuple):
    """How a machine's screen looks.

    Attributes
    ----------
    size
        (height, width) of the screen in pixels.
    regions
        Rectangles of tissue; the first one's scan is asked for.
    fill
        Share of a region's width or height, whichever is less room, that a scan takes.
    furnish
        Draws text, bars and ticks on the screen, given a scan for thumbnails.
    """

    size: tuple[int, int]
    regions: tuple[Region, ...]
    fill: float
    furnish: Callable[[GrayImage, GrayImage], None]


class Screen(NamedTuple):
    """A screen.

    Attributes
    ----------
    scales
        Of each region: its pixels' size as a multiple of its scan's, across and down.
    """

    gray: GrayImage
    scales: tuple[tuple[float, float], ...]


def shown(
    machine: Machine, scans: Sequence[GrayImage | None], beyond: tuple[float, float] = (0, 0)
) -> Screen:
    """Return a machine's screen with a scan in each region; None leaves it black.

    Parameters
    ----------
    beyond
        By how many of its own pixels each scan lies right of and below its region's middle.
    """
    canvas = np.full(machine.size, _BACKGROUND, np.uint8)
    scales = []
    for region, scan in zip(machine.regions, scans, strict=True):
        region.of(canvas)[:] = 0
        scales.append((1.0, 1.0))
        if scan is not None:
            factor = enlargement(machine, region, scan)
            scales[-1] = _lay(region.of(canvas), scan, factor, beyond)
    machine.furnish(canvas, next(scan for scan in scans if scan is not None))
    return Screen(canvas, tuple(scales))


def enlargement(machine: Machine, region: Region, scan: GrayImage) -> float:
    """Return how many times as large a scan is drawn, the same across and down."""
    height, width = region.size
    return machine.fill * min(width / scan.shape[1], height / scan.shape[0])


def _lay(
    place: GrayImage, scan: GrayImage, factor: float, beyond: tuple[float, float]
) -> tuple[float, float]:
    """Draw a scan into a black place; return the size of the drawn pixels, across and down."""
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    drawn = np.asarray(cv2.resize(scan, None, fx=factor, fy=factor, interpolation=how), np.uint8)
    (height, width), (h, w) = place.shape, drawn.shape
    left = (width - w) // 2 + round(beyond[0] * factor)
    top = (height - h) // 2 + round(beyond[1] * factor)
    seen = View(-left, -top, width, height).cut(drawn)
    np.copyto(place, seen)
    return scan.shape[1] / w, scan.shape[0] / h


def _text(canvas: GrayImage, x: int, y: int, lines: Sequence[str], scale: float = 0.5) -> None:
    for i, line in enumerate(lines):
        at = x, y + round(40 * scale * i)
        cv2.putText(canvas, line, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 210, 1, cv2.LINE_AA)


def _gray_bar(canvas: GrayImage, x: int, y0: int, y1: int, width: int = 14) -> None:
    canvas[y0:y1, x : x + width] = np.linspace(255, 0, y1 - y0, dtype=np.uint8)[:, None]


def _ticks(canvas: GrayImage, x: int, y0: int, y1: int, step: int) -> None:
    for i, y in enumerate(range(y0, y1, step)):
        cv2.line(canvas, (x, y), (x + (10 if i % 5 == 0 else 5), y), 200, 1)
        if i % 5 == 0:
            _text(canvas, x - 26, y + 5, [str(i)], 0.4)


def _gain_curve(canvas: GrayImage, x: int, y0: int, y1: int) -> None:
    y = np.arange(y0, y1)
    curve = np.stack([x + 12 * np.sin((y - y0) / (y1 - y0) * 4), y], axis=1)
    cv2.polylines(canvas, [np.round(curve).astype(np.int32)], False, 170, 1)


def _heartbeat(canvas: GrayImage, x0: int, x1: int, y: int) -> None:
    x = np.arange(x0, x1)
    beat = (x - x0) % 150
    wave = y - np.where(beat < 8, 5 * beat, np.where(beat < 16, 5 * (16 - beat), 0))
    cv2.polylines(canvas, [np.stack([x, wave], axis=1).astype(np.int32)], False, 230, 1)


def _thumbnails(canvas: GrayImage, scan: GrayImage, corners: Sequence[tuple[int, int]]) -> None:
    small = cv2.resize(scan, (120, 81), interpolation=cv2.INTER_AREA)
    for x, y in corners:
        canvas[y : y + 81, x : x + 120] = small
        cv2.rectangle(canvas, (x - 1, y - 1), (x + 120, y + 81), 120, 1)


def _ge(canvas: GrayImage, _scan: GrayImage) -> None:
    _text(canvas, 12, 24, [f"{_NAME}   GENERAL HOSPITAL", "RAB6-D/OB   MI 1.1  TIs 0.2"])
    _gray_bar(canvas, 16, 90, 330)
    _text(canvas, 40, 100, ["2nd Trim", "4.5cm / 1.2", "31Hz", "Gn 2", "C6 / M7", "FF1 / E2"])
    _ticks(canvas, 990, 110, 740, 42)
    _gain_curve(canvas, 960, 110, 740)
    _text(canvas, 840, 750, ["VOLUSON"], 0.8)


def _philips(canvas: GrayImage, _scan: GrayImage) -> None:
    canvas[:30] = 40
    _text(canvas, 10, 22, [f"{_NAME}    C5-1/OB General    MI 1.2  TIS 0.4"])
    _text(canvas, 22, 70, ["FR 33Hz", "16cm", "", "2D", " 62%", " C 56", " P Low", " HGen"])
    _gray_bar(canvas, 975, 60, 260, 18)
    _ticks(canvas, 990, 300, 750, 44)
    cv2.circle(canvas, (510, 48), 9, 220, 2)
    _text(canvas, 40, 764, ["* M3        26 Nov 2026  10:21:33"], 0.45)


def _sonosite(canvas: GrayImage, _scan: GrayImage) -> None:
    _text(canvas, 8, 20, [_NAME, "26Nov2026 10:21"], 0.4)
    _text(canvas, 4, 120, ["OB", "Gen", "MB", "C60x", "MI", "0.8", "TIS", "0.1"], 0.4)
    _gray_bar(canvas, 605, 40, 140, 10)
    _ticks(canvas, 580, 40, 410, 36)
    canvas[440:] = 60
    _text(canvas, 20, 465, ["THI Off    Dual    Guide    HC 17.2 cm    Page 1/2"], 0.45)


def _aloka(canvas: GrayImage, _scan: GrayImage) -> None:
    _text(canvas, 4, 14, [f"{_NAME}   ALOKA"], 0.4)
    _gray_bar(canvas, 4, 60, 260, 10)
    _ticks(canvas, 326, 30, 410, 30)
    _ticks(canvas, 628, 30, 410, 30)
    _text(canvas, 40, 440, ["R03 G70 C8 A3          3.5 MHz", "BPD 48.1 mm   HC 172 mm"], 0.4)


def _samsung(canvas: GrayImage, scan: GrayImage) -> None:
    canvas[:70] = 48
    _text(canvas, 20, 30, [_NAME, "WS80A   CA1-7A / Obstetrics   MI 0.9"], 0.6)
    _thumbnails(canvas, scan, [(20, 110 + 100 * i) for i in range(6)])
    _gray_bar(canvas, 1110, 100, 300)
    _text(canvas, 1120, 340, ["[2D]", "Gen.", "Gain 50", "DR 130", "FA 3", "P 90 %"], 0.5)
    _ticks(canvas, 1062, 110, 840, 46)
    _text(canvas, 200, 900, ["1 BPD 48.1 mm  20w4d", "  HC 172.0 mm  19w6d"], 0.6)


def _mindray(canvas: GrayImage, scan: GrayImage) -> None:
    canvas[:90] = 52
    canvas[1010:] = 44
    _text(canvas, 30, 40, [_NAME, "Resona 7   SC6-1U   Fetal   AP 98 %  MI 1.2"], 0.8)
    _text(canvas, 30, 150, ["B", "F H5.0", "D 14.7", "G 50", "FR 29", "DR 115", "iClear 4"], 0.7)
    _thumbnails(canvas, scan, [(1700, 130 + 110 * i) for i in range(7)])
    _gray_bar(canvas, 1630, 130, 480, 20)
    _ticks(canvas, 1580, 130, 980, 60)
    _gain_curve(canvas, 1545, 130, 980)
    _heartbeat(canvas, 330, 1610, 985)
    _text(canvas, 30, 1050, ["Freeze  Measure  Body Mark  Report  iStation  Setup"], 0.8)


_ALOKA_REGIONS = (Region(32, 24, 335, 415), Region(336, 24, 639, 415))
MACHINES = {
    "GE, nearly all of 1024x768": Machine((768, 1024), (Region(0, 56, 1023, 767),), 0.92, _ge),
    "Philips, 997x721 of 1024x768": Machine(
        (768, 1024), (Region(14, 38, 1010, 758),), 0.96, _philips
    ),
    "SonoSite, 512x384 of 640x480": Machine(
        (480, 640), (Region(84, 31, 595, 414),), 0.97, _sonosite
    ),
    "Samsung, 920x780 of 1280x960": Machine(
        (960, 1280), (Region(170, 90, 1089, 869),), 0.95, _samsung
    ),
    "Mindray, 1300x900 of 1920x1080": Machine(
        (1080, 1920), (Region(320, 100, 1619, 999),), 0.9, _mindray
    ),
    "Aloka, two of 304x392 of 640x480": Machine((480, 640), _ALOKA_REGIONS, 1.0, _aloka),
}
