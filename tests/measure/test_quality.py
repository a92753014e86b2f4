from __future__ import annotations

import numpy as np
import pytest

from edgeseg.measure import quality
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.outline import fit_outline
from edgeseg.measure.region import main_region

SIZE = (540, 800)
NETWORK = (192, 288)
HEAD = Ellipse(400.0, 270.0, 200.0, 155.0, 0.2)
GOOD = {"confidence": 0.98, "pixel_size_mm": 0.15, "range": (0.05, 0.35)}


def facts(probability: np.ndarray, **changes) -> quality.Facts:
    region = main_region(probability)
    assert region is not None
    fit = fit_outline(probability, region, SIZE)
    assert fit is not None
    values = GOOD | changes
    pixel_size_mm = values["pixel_size_mm"]
    hc_mm = fit.ellipse.circumference_px * pixel_size_mm if pixel_size_mm else None
    return quality.Facts(
        fit, region, SIZE, values["confidence"], pixel_size_mm, hc_mm, values["range"]
    )


def coverage(ellipse: Ellipse = HEAD) -> np.ndarray:
    return ellipse.resized(SIZE, NETWORK).coverage(*NETWORK)


def test_a_good_head_raises_nothing() -> None:
    assert quality.flags(facts(coverage())) == ()
    assert quality.solidity(facts(coverage())) > 0.99


def test_every_flag_is_explained() -> None:
    assert all(len(text.split()) > 4 for text in quality.FLAGS.values())


@pytest.mark.parametrize("x", [150.0, 650.0])
def test_a_cut_head_touches_the_border(x: float) -> None:
    raised = quality.flags(facts(coverage(Ellipse(x, 270, 200, 155, 0))))
    assert "touches_border" in raised
    assert "irregular_outline" not in raised


@pytest.mark.parametrize("edge", [np.s_[0, 90], np.s_[-1, 90], np.s_[60, 0], np.s_[60, -1]])
def test_a_region_that_reaches_any_edge_is_told(edge: tuple[int, int]) -> None:
    good = facts(coverage())
    mask = good.region.mask.copy()
    mask[edge] = 255
    assert not quality.touches_border(good)
    assert quality.touches_border(good._replace(region=good.region._replace(mask=mask)))


def test_a_head_inside_by_two_pixels_does_not_touch() -> None:
    # 2.5 network pixels are 7 of the image's: the region's own edge row stays free
    assert "touches_border" not in quality.flags(facts(coverage(Ellipse(208, 270, 200, 155, 0))))


def test_a_dented_region_is_irregular() -> None:
    probability = coverage()
    probability[60:130, 160:215] = 0.0
    assert "irregular_outline" in quality.flags(facts(probability))


def test_a_half_head_is_not_trusted() -> None:
    probability = coverage()
    probability[96:] = 0.0
    raised = quality.flags(facts(probability))
    assert {"irregular_outline", "incomplete_outline", "unusual_shape"} & set(raised)


def test_an_outline_seen_in_part_is_incomplete() -> None:
    good = facts(coverage())
    seen = good.fit._replace(arc_fraction=quality.MIN_ARC_FRACTION - 0.01)
    assert quality.flags(good._replace(fit=seen)) == ("incomplete_outline",)


@pytest.mark.parametrize(
    ("share", "flags"), [(0.94, ("irregular_outline",)), (0.97, ()), (1.02, ()),
                         (1.07, ("irregular_outline",))]
)  # fmt: skip
def test_how_much_of_its_ellipse_a_region_must_fill(share: float, flags: tuple[str, ...]) -> None:
    good = facts(coverage())
    of_ellipse_px = good.fit.ellipse.area_px * (NETWORK[0] / SIZE[0]) * (NETWORK[1] / SIZE[1])
    region = good.region._replace(area_px=round(share * of_ellipse_px))
    assert quality.flags(good._replace(region=region)) == flags


@pytest.mark.parametrize(("share", "flags"), [(0.029, ()), (0.032, ("irregular_outline",))])
def test_how_far_an_outline_may_be_from_its_ellipse(share: float, flags: tuple[str, ...]) -> None:
    good = facts(coverage())
    fit = good.fit._replace(residual_px=share * good.fit.ellipse.semi_minor_px)
    assert quality.flags(good._replace(fit=fit)) == flags


@pytest.mark.parametrize(
    ("center", "flagged"),
    [
        *[((200.2, 270.0), True), ((201.2, 270.0), False)],
        *[((598.8, 270.0), True), ((597.8, 270.0), False)],
        *[((400.0, 155.2), True), ((400.0, 156.2), False)],
        *[((400.0, 383.8), True), ((400.0, 382.8), False)],
    ],
)
def test_an_ellipse_that_reaches_the_border_is_told(
    center: tuple[float, float], flagged: bool
) -> None:
    """To a pixel, also where the region seen ends before the border."""
    good = facts(coverage())
    fit = good.fit._replace(ellipse=Ellipse(*center, 200.0, 155.0, 0.0))
    assert quality.touches_border(good._replace(fit=fit)) == flagged


def test_a_second_region_is_told() -> None:
    probability = coverage()
    probability[2:50, 2:45] = 1.0
    assert quality.flags(facts(probability)) == ("several_regions",)
    speck = coverage()
    speck[2:8, 2:8] = 1.0
    assert quality.flags(facts(speck)) == ()


@pytest.mark.parametrize("minor", [199.0, 110.0])
def test_a_shape_that_is_no_heads(minor: float) -> None:
    raised = quality.flags(facts(coverage(Ellipse(400, 270, 200, minor, 0))))
    assert raised == ("unusual_shape",)


@pytest.mark.parametrize(
    ("pixel_size_mm", "expected"),
    [
        (0.03, {"hc_out_of_range", "pixel_size_out_of_range"}),
        (0.045, {"pixel_size_out_of_range"}),
        (0.05, set()),
        (0.35, set()),
        (0.36, {"pixel_size_out_of_range", "hc_out_of_range"}),
        (None, set()),
    ],
)
def test_sizes_out_of_range(pixel_size_mm: float | None, expected: set[str]) -> None:
    found = facts(coverage(), pixel_size_mm=pixel_size_mm)
    hc_mm = found.hc_mm
    if hc_mm is not None:
        assert ("hc_out_of_range" in expected) == (not 40 <= hc_mm <= 400)
    assert set(quality.flags(found)) == expected


def test_low_confidence() -> None:
    assert quality.flags(facts(coverage(), confidence=0.95)) == ("low_confidence",)


def test_flags_come_in_the_order_of_the_list() -> None:
    raised = quality.flags(facts(coverage(Ellipse(100, 270, 200, 100, 0)), confidence=0.1))
    order = list(quality.FLAGS)
    assert len(raised) >= 3
    assert [order.index(name) for name in raised] == sorted(order.index(n) for n in raised)
