from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.outline import fit_ellipse, fit_outline
from edgeseg.measure.region import boundary_points, main_region
from tests.measure.ellipses import assert_same, ellipses, floats


@given(ellipses(), st.integers(30, 400))
def test_fit_recovers_an_ellipse(ellipse: Ellipse, count: int) -> None:
    fitted = fit_ellipse(ellipse.points(count))
    assert fitted is not None
    assert_same(fitted, ellipse, rel=1e-6)


@given(ellipses(0.6, 0.9), floats(0.45, 0.95), floats(0, 1))
def test_fit_recovers_an_ellipse_from_an_arc(ellipse: Ellipse, arc: float, start: float) -> None:
    points = np.roll(ellipse.points(400), int(400 * start), axis=0)[: int(400 * arc)]
    fitted = fit_ellipse(points)
    assert fitted is not None
    assert_same(fitted, ellipse, rel=1e-5)


@settings(max_examples=40)
@given(ellipses(0.65, 0.9), st.integers(0, 2**32 - 1))
def test_fit_is_unmoved_by_a_dent(ellipse: Ellipse, seed: int) -> None:
    """An eighth of the outline is dented by a tenth: moments would read 1 % low or more."""
    random = np.random.default_rng(seed)
    points = ellipse.points(400)
    centre = np.array([ellipse.center_x_px, ellipse.center_y_px])
    dent = np.roll(np.arange(400) < 50, int(random.integers(400)))
    points[dent] = centre + 0.9 * (points[dent] - centre)
    points += random.normal(0, 0.002 * ellipse.semi_minor_px, points.shape)
    fitted = fit_ellipse(points)
    assert fitted is not None
    assert fitted.circumference_px == pytest.approx(ellipse.circumference_px, rel=3e-3)


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 2)),
        np.zeros((50, 2)),
        Ellipse(0, 0, 20, 10, 0).points(11),
        np.stack([np.arange(50.0), 2 * np.arange(50.0)], axis=1),
    ],
    ids=["none", "one place", "too few", "a line"],
)
def test_points_that_determine_no_ellipse(points: np.ndarray) -> None:
    assert fit_ellipse(points) is None


def test_points_of_a_hyperbola_give_no_broken_ellipse() -> None:
    x = np.arange(-25.0, 25.0)
    fitted = fit_ellipse(np.stack([x, np.hypot(1, x)], axis=1))
    assert fitted is None or (
        math.isfinite(fitted.circumference_px) and fitted.semi_major_px >= fitted.semi_minor_px > 0
    )


@settings(max_examples=40)
@given(
    floats(0.3, 0.7),
    floats(0.35, 0.65),
    floats(0.25, 0.33),
    floats(0.65, 0.95),
    floats(0, math.pi - 1e-3),
)
def test_map_to_ellipse_to_a_fraction_of_a_pixel(
    x: float, y: float, size: float, ratio: float, angle: float
) -> None:
    ellipse = Ellipse(800 * x, 540 * y, 540 * size, 540 * size * ratio, angle)
    probability = ellipse.resized((540, 800), (192, 288)).coverage(192, 288)
    region = main_region(probability)
    assert region is not None
    fit = fit_outline(probability, region, (540, 800))
    assert fit is not None
    assert fit.ellipse.circumference_px == pytest.approx(ellipse.circumference_px, rel=1e-3)
    assert fit.ellipse.center_x_px == pytest.approx(ellipse.center_x_px, abs=0.3)
    assert fit.ellipse.center_y_px == pytest.approx(ellipse.center_y_px, abs=0.3)
    assert fit.residual_px < 1.0
    touches = any(edge.any() for edge in (region.mask[0], region.mask[-1]))
    assert touches or fit.arc_fraction == 1.0


def test_arc_fraction_tells_how_much_was_seen() -> None:
    ellipse = Ellipse(100, 96, 90, 70, 0)
    probability = ellipse.coverage(192, 288)
    probability[:, 100:] = 0.0  # the right half is lost; the cut is a straight edge inside
    region = main_region(probability)
    assert region is not None
    fit = fit_outline(probability, region, probability.shape)
    assert fit is not None
    assert fit.arc_fraction < 0.7
    assert fit.residual_px > 3
    full = np.ones_like(probability)
    region = main_region(full)
    assert region is not None
    assert len(boundary_points(full, region)) == 0
    assert fit_outline(full, region, full.shape) is None
