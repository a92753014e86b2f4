from __future__ import annotations

import numpy as np
import pytest

from edgeseg.images.frame import Frame, PixelSize, as_pixel_size
from edgeseg.measure import quality
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Look
from edgeseg.measure.outline import EllipseFit, Facts, Outline, Region
from edgeseg.network.task import Limits

SIZE, NETWORK = (540, 800), (192, 288)
LIMITS = Limits(presence_refused=0.3, presence_doubted=0.8)
NOISE = np.random.default_rng(0).integers(0, 256, (400, 400), dtype=np.uint8)
SQUARE = PixelSize(0.15, 0.15, "option")


def flags(
    *,
    x: float = 400.0,
    semi_minor: float = 155.0,
    filled: float = 1.0,  # by the region, of its ellipse
    residual: float = 0.0,  # over the semi-minor axis
    arc: float = 1.0,
    confidence: float = 0.98,
    presence: float | None = None,
    change: float = 0.0,
    others: float = 0.0,
    pixel_mm: float | None = 0.15,
    frame: Frame | None = None,
) -> tuple[str, ...]:
    ellipse = Ellipse(x, 270.0, 200.0, semi_minor, 0.2)
    filled_px = ellipse.area_px * (NETWORK[0] / SIZE[0]) * (NETWORK[1] / SIZE[1])
    region = Region(np.zeros(NETWORK, np.uint8), round(filled * filled_px), 0)
    fit = EllipseFit(ellipse, residual * semi_minor, arc)
    outline = Outline(region, fit, ellipse, confidence)
    look = Look(np.zeros((1, *NETWORK), np.float32), View.whole(SIZE), presence)
    frame = frame or Frame(np.zeros(SIZE, np.uint8), as_pixel_size(pixel_mm))
    return quality.flags(Facts(outline, look, change, others, frame, LIMITS))


@pytest.mark.parametrize(
    ("name", "good", "bad", "flag"),
    [
        ("confidence", 0.97, 0.95, "low_confidence"),
        ("presence", 0.81, 0.79, "unlike_a_head"),
        ("change", 0.029, 0.031, "looks_differ"),
        ("others", 0.04, 0.06, "several_regions"),
        ("arc", 0.75, 0.74, "incomplete_outline"),
        ("residual", 0.029, 0.032, "irregular_outline"),
        ("filled", 0.97, 0.94, "irregular_outline"),
        ("filled", 1.02, 1.07, "irregular_outline"),
        ("x", 170.0, 150.0, "touches_border"),
        ("semi_minor", 175.0, 199.0, "unusual_shape"),
        ("semi_minor", 130.0, 110.0, "unusual_shape"),
        ("pixel_mm", 0.34, 0.355, "field_of_view_out_of_range"),
        ("pixel_mm", 0.051, 0.049, "field_of_view_out_of_range"),
    ],
)
def test_how_much_is_let_pass(name: str, good: float, bad: float, flag: str) -> None:
    assert flags(**{name: good}) == ()
    assert flags(**{name: bad}) == (flag,)


def test_a_cut_head_may_fill_less_and_without_a_pixel_size_none_is_too_small() -> None:
    assert flags(x=150.0, filled=0.8) == ("touches_border",)
    assert flags(pixel_mm=0.03) == ("hc_out_of_range", "field_of_view_out_of_range")
    assert flags(pixel_mm=None) == ()


def squared(bars: int, size_mm: PixelSize | None = SQUARE, turn: int = 0) -> Frame:
    pixels = NOISE.copy()
    if bars:
        pixels[:bars] = pixels[-bars:] = 3
    return Frame(np.rot90(pixels, turn), size_mm)


def test_a_square_image_may_be_stretched() -> None:
    for frame in (squared(0), squared(5)):  # the latter with a line around it
        assert "square_image" in flags(frame=frame)
    stretched = squared(0, PixelSize(0.15, 0.20, "option"))
    for frame in (stretched, squared(0, None), squared(30), squared(30, turn=1)):
        assert "square_image" not in flags(frame=frame)
