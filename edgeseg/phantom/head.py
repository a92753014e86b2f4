"""Synthetic B-mode images of fetal heads with an exactly known ellipse.

They show that an installation works, not how accurate a model is on patients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeseg.measure.ellipse import Ellipse
from edgeseg.phantom.scan import Scan
from edgeseg.system.files import csv_text

if TYPE_CHECKING:
    from edgeseg.images.frame import GrayImage

HC_RANGE_MM = (70.0, 330.0)
PIXEL_SIZE_RANGE_MM = (0.05, 0.39)
_DEMO_HC_MM = (172.0, 71.0, 118.0, 148.0, 205.0, 262.0, 328.0, 186.0)
_CUT_FRACTION = 0.125  # of a cut head's outline outside the image


@dataclass(frozen=True, slots=True)
class Phantom:
    """A synthetic scan and its ground truth."""

    name: str  # of its file
    image: GrayImage  # shape (height, width), uint8
    ellipse: Ellipse  # the outer border of the skull, in the image's pixels
    pixel_size_mm: float

    @property
    def hc_mm(self) -> float:
        """True head circumference in millimetres."""
        return self.ellipse.circumference_px * self.pixel_size_mm


def make_phantom(
    seed: int,
    *,
    height: int = 540,
    width: int = 800,
    cut_by_border: bool = False,
    name: str | None = None,
    hc_mm: float | None = None,
) -> Phantom:
    """Draw a synthetic scan of (height, width) pixels; the same arguments give the same scan.

    ``seed`` is that of numpy's PCG64; the file's name is ``phantom_<seed>.png`` by default. With
    ``cut_by_border`` an eighth of the outline lies outside the image. The head circumference is
    random from 70 to 330 mm by default, and reduced if the pixel size would exceed 0.39 mm.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    ellipse = _draw_ellipse(rng, height, width)
    if cut_by_border:
        ellipse = _shift_out(ellipse, width)
    drawn_mm = math.exp(rng.uniform(math.log(HC_RANGE_MM[0]), math.log(HC_RANGE_MM[1])))
    pixel_size_mm = (drawn_mm if hc_mm is None else hc_mm) / ellipse.circumference_px
    pixel_size_mm = min(max(pixel_size_mm, PIXEL_SIZE_RANGE_MM[0]), PIXEL_SIZE_RANGE_MM[1])
    scan = Scan(rng, ellipse, (height, width), ellipse.circumference_px * pixel_size_mm)
    return Phantom(name or f"phantom_{seed}.png", scan.draw(), ellipse, pixel_size_mm)


def demo_phantoms() -> list[Phantom]:
    """Return the eight phantoms of the demo, 71 to 328 mm; the last is cut by the border."""
    return [
        make_phantom(80 + i, name=f"phantom_{i}.png", hc_mm=hc_mm, cut_by_border=i == 8)
        for i, hc_mm in enumerate(_DEMO_HC_MM, start=1)
    ]


def table(phantoms: Iterable[Phantom]) -> str:
    """Return the phantoms' pixel sizes and true HC as CSV with HC18's columns."""
    rows = [(p.name, repr(p.pixel_size_mm), f"{p.hc_mm:.4f}") for p in phantoms]
    return csv_text([("filename", "pixel size(mm)", "head circumference (mm)"), *rows])


def _draw_ellipse(rng: np.random.Generator, height: int, width: int) -> Ellipse:
    ratio = rng.uniform(0.74, 0.84)
    semi_minor = min(rng.uniform(0.29, 0.36) * height, rng.uniform(0.33, 0.39) * width * ratio)
    return Ellipse(
        width * rng.uniform(0.46, 0.54),
        height * rng.uniform(0.51, 0.56),
        semi_minor / ratio,
        semi_minor,
        math.radians(rng.uniform(-14, 14)) % math.pi,
    )


def _shift_out(ellipse: Ellipse, width: int) -> Ellipse:
    """Move an ellipse to the right until an eighth of its outline is outside the image."""
    low, high = 0.0, float(width)
    for _ in range(40):
        middle = (low + high) / 2
        outside = np.mean(ellipse.moved(middle, 0).points(3600)[:, 0] > width - 0.5)
        low, high = (low, middle) if outside >= _CUT_FRACTION else (middle, high)
    return ellipse.moved(high, 0)
