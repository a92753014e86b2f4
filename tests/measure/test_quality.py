from __future__ import annotations

import numpy as np
import pytest

from edgeseg.images.frame import Frame, PixelSize, as_pixel_size
from edgeseg.measure import quality
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Look
from edgeseg.measure.outline import Outline, fit_outline
from edgeseg.measure.quality import Looked
from edgeseg.measure.region import main_region
from edgeseg.network.limits import Limits

SIZE = (540, 800)
NETWORK = (192, 288)
HEAD = Ellipse(400.0, 270.0, 200.0, 155.0, 0.2)
SQUARE = PixelSize(0.15, 0.15, "option")
NOTHING_ELSE, LIMITS = Looked(0.0, 0.0), Limits()


def facts(
    probability: np.ndarray,
    *,
    pixel_size_mm: float | None = 0.15,
    looked: Looked = NOTHING_ELSE,
    presence: float | None = None,
    size: tuple[int, int] = SIZE,
    limits: Limits = LIMITS,
) -> quality.Facts:
    region = main_region(probability)
    assert region is not None
    fit = fit_outline(probability, region, SIZE)
    assert fit is not None
    look = Look(probability[None], View.whole(SIZE), presence)
    pixel_size = as_pixel_size(pixel_size_mm)
    frame = Frame(np.zeros(size, np.uint8), pixel_size)
    outline = Outline(region, fit, 0.98)
    return quality.Facts(outline, fit.ellipse, look, looked, frame, limits)


def altered(facts: quality.Facts, **changes: object) -> quality.Facts:
    return facts._replace(outline=facts.outline._replace(**changes))


def coverage(ellipse: Ellipse = HEAD) -> np.ndarray:
    return ellipse.resized(SIZE, NETWORK).coverage(*NETWORK)


def test_a_cut_head_touches_the_border() -> None:
    raised = quality.flags(facts(coverage(Ellipse(150.0, 270, 200, 155, 0))))
    assert "touches_border" in raised
    assert "irregular_outline" not in raised


def test_a_dented_head_is_not_trusted() -> None:
    probability = coverage()
    probability[60:130, 160:215] = 0.0
    assert "irregular_outline" in quality.flags(facts(probability))


@pytest.mark.parametrize(
    ("name", "good", "bad", "flag"),
    [
        ("confidence", 0.97, 0.95, "low_confidence"),
        ("presence", 0.81, 0.79, "unlike_a_head"),
        ("between_looks", 0.029, 0.031, "looks_differ"),
        ("elsewhere", 0.04, 0.06, "several_regions"),
        ("arc", quality.MIN_ARC_FRACTION, quality.MIN_ARC_FRACTION - 0.01, "incomplete_outline"),
        ("residual", 0.029, 0.032, "irregular_outline"),
        ("share", 0.97, 0.94, "irregular_outline"),  # of its ellipse that a region fills
        ("share", 1.02, 1.07, "irregular_outline"),
        ("center", 170.0, 150.0, "touches_border"),  # outside by 15 and 23 % of its outline
        ("minor", 175.0, 199.0, "unusual_shape"),
        ("minor", 130.0, 110.0, "unusual_shape"),
    ],
)
def test_how_much_is_let_pass(name: str, good: float, bad: float, flag: str) -> None:
    limits = Limits(presence_refused=0.3, presence_doubted=0.8)
    plain = facts(coverage(), limits=limits)
    fit, region = plain.outline.fit, plain.outline.region
    filled_px = plain.ellipse.area_px * (NETWORK[0] / SIZE[0]) * (NETWORK[1] / SIZE[1])
    for value, flags in ((good, ()), (bad, (flag,))):
        seen = {
            "confidence": lambda x: altered(plain, confidence=x),
            "presence": lambda x: facts(coverage(), presence=x, limits=limits),
            "between_looks": lambda x: plain._replace(looked=Looked(x, 0.0)),
            "elsewhere": lambda x: plain._replace(looked=Looked(0.0, x)),
            "arc": lambda x: altered(plain, fit=fit._replace(arc_fraction=x)),
            "share": lambda x: altered(plain, region=region._replace(area_px=round(x * filled_px))),
            "center": lambda x: plain._replace(ellipse=Ellipse(x, 270.0, 200.0, 155.0, 0.0)),
            "minor": lambda x: plain._replace(ellipse=Ellipse(400.0, 270.0, 200.0, x, 0.0)),
            "residual": lambda x: altered(
                plain, fit=fit._replace(residual_px=x * plain.ellipse.semi_minor_px)
            ),
        }[name](value)
        assert quality.flags(seen) == flags


def squared(*, bars: int = 0, across: bool = False, size_mm: PixelSize | None = None) -> Frame:
    pixels = np.random.default_rng(0).integers(0, 256, (400, 400), dtype=np.uint8)
    if bars:
        pixels[:bars] = pixels[-bars:] = 3
    return Frame(pixels.T if across else pixels, size_mm)


@pytest.mark.parametrize(
    ("frame", "is_flagged"),
    [
        (squared(size_mm=SQUARE), True),
        (squared(size_mm=PixelSize(0.15, 0.20, "option")), False),
        (squared(), False),
        (squared(bars=30, size_mm=SQUARE), False),
        (squared(bars=30, across=True, size_mm=SQUARE), False),
        (squared(bars=5, size_mm=SQUARE), True),
    ],
    ids=["square", "stretched", "no size", "letterboxed", "pillarboxed", "a frame line"],
)
def test_a_square_image_may_be_stretched(frame: Frame, is_flagged: bool) -> None:
    flags = quality.flags(facts(coverage(Ellipse(200, 200, 100, 80, 0)))._replace(frame=frame))
    assert ("square_image" in flags) == is_flagged


@pytest.mark.parametrize(
    ("pixel_size_mm", "expected"),
    [
        (0.03, {"hc_out_of_range", "field_of_view_out_of_range"}),
        (0.051, set()),
        (0.355, {"field_of_view_out_of_range"}),
        (None, set()),
    ],
)
def test_sizes_out_of_range(pixel_size_mm: float | None, expected: set[str]) -> None:
    assert set(quality.flags(facts(coverage(), pixel_size_mm=pixel_size_mm))) == expected
