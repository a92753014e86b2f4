from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.outline import EllipseFit, fit_ellipse, fit_outline
from edgeseg.measure.region import boundary_points, main_region
from tests.measure.ellipses import assert_same, ellipses, floats


def fitted(probability: np.ndarray, size: tuple[int, int]) -> EllipseFit | None:
    region = main_region(probability)
    assert region is not None
    return fit_outline(probability, region, size)


@given(ellipses(0.6, 0.9), floats(0.45, 1.0), floats(0, 1))
def test_fit_recovers_an_ellipse_from_an_arc(ellipse: Ellipse, arc: float, start: float) -> None:
    points = np.roll(ellipse.points(400), int(400 * start), axis=0)[: int(400 * arc)]
    found = fit_ellipse(points)
    assert found is not None
    assert_same(found, ellipse, rel=1e-5)


@settings(max_examples=40)
@given(ellipses(0.65, 0.9), st.integers(0, 2**32 - 1))
def test_fit_is_unmoved_by_a_dent(ellipse: Ellipse, seed: int) -> None:
    """An eighth of the outline is dented by a tenth: moments would read 1 % low or more."""
    random = np.random.default_rng(seed)
    points = ellipse.points(400)
    dent = np.roll(np.arange(400) < 50, int(random.integers(400)))
    points[dent] = ellipse.center + 0.9 * (points[dent] - ellipse.center)
    points += random.normal(0, 0.002 * ellipse.semi_minor_px, points.shape)
    found = fit_ellipse(points)
    assert found is not None
    assert found.circumference_px == pytest.approx(ellipse.circumference_px, rel=3e-3)


@pytest.mark.parametrize(
    "points",
    [np.zeros((0, 2)), np.zeros((50, 2)), Ellipse(0, 0, 20, 10, 0).points(11)],
    ids=["none", "one place", "too few"],
)
def test_points_that_determine_no_ellipse(points: np.ndarray) -> None:
    assert fit_ellipse(points) is None


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
    fit = fitted(probability, (540, 800))
    assert fit is not None
    assert fit.ellipse.circumference_px == pytest.approx(ellipse.circumference_px, rel=1e-3)
    assert fit.ellipse.center == pytest.approx(ellipse.center, abs=0.3)
    assert fit.residual_px < 1.0
    touches = probability[[0, -1]].max() >= 0.5
    assert touches or fit.arc_fraction == 1.0


def test_arc_fraction_tells_how_much_was_seen() -> None:
    ellipse = Ellipse(100, 96, 90, 70, 0)
    probability = ellipse.coverage(192, 288)
    probability[:, 100:] = 0.0  # the right half is lost; the cut is a straight edge inside
    fit = fitted(probability, probability.shape)
    assert fit is not None
    assert fit.arc_fraction < 0.7
    assert fit.residual_px > 3


def test_a_map_that_is_head_throughout_has_no_boundary() -> None:
    full = np.ones((192, 288), np.float32)
    region = main_region(full)
    assert region is not None
    assert len(boundary_points(full, region)) == 0
    assert fitted(full, full.shape) is None
