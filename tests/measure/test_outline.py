"""From a map to its main region, the points around it, and the ellipse through them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.measure.ellipse import Ellipse, fit_ellipse
from edgeseg.measure.outline import EllipseFit, boundary_points, fit_outline, main_region
from tests.measure.test_ellipse import assert_same, ellipses, floats


def test_main_region_fills_holes_and_counts_the_rest() -> None:
    probability = np.zeros((60, 80), dtype=np.float32)
    probability[10:40, 10:50] = 0.9
    probability[20:25, 20:25] = 0.1  # a hole
    probability[50:55, 60:70] = 0.5  # at the threshold counts as head
    probability[40:44, 50:54] = 1.0  # meets the head at a corner
    region = main_region(probability)
    expected = np.zeros((60, 80), np.uint8)
    expected[10:40, 10:50] = 255
    assert np.array_equal(region.mask, expected)
    assert (region.area_px, region.other_area_px) == (30 * 40, 50 + 16)
    assert main_region(probability * 0.4) is None


def test_boundary_lies_where_the_probability_crosses() -> None:
    row = np.array([1.0, 1.0, 0.7, 0.2, 0.0], dtype=np.float32)
    probability = np.repeat(row[None], 6, axis=0)
    points = boundary_points(probability, main_region(probability))
    assert points[:, 0] == pytest.approx(2 + (0.7 - 0.5) / (0.7 - 0.2))
    assert sorted(points[:, 1]) == list(range(6))


def test_points_that_determine_no_ellipse() -> None:
    line = np.stack([np.arange(30.0), 2 * np.arange(30.0)], axis=1)
    few = Ellipse(0, 0, 20, 10, 0).points(11)
    for points in (np.zeros((0, 2)), np.zeros((50, 2)), few, line, line * np.nan):
        assert fit_ellipse(points) is None


@given(ellipses(0.6, 0.9), floats(0.45, 1.0), floats(0, 1))
def test_fit_recovers_an_ellipse_from_an_arc(ellipse: Ellipse, arc: float, start: float) -> None:
    points = np.roll(ellipse.points(400), int(400 * start), axis=0)[: int(400 * arc)]
    assert_same(fit_ellipse(points), ellipse, rel=1e-5)


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
    assert found.circumference_px == pytest.approx(ellipse.circumference_px, rel=3e-3)


def fitted(probability: np.ndarray, size: tuple[int, int]) -> EllipseFit | None:
    return fit_outline(probability, main_region(probability), size)


@settings(max_examples=40)
@given(
    *(floats(0.3, 0.7), floats(0.35, 0.65), floats(0.25, 0.33)),
    *(floats(0.65, 0.95), floats(0, 3.14)),
)
def test_map_to_ellipse(x: float, y: float, size: float, ratio: float, angle: float) -> None:
    ellipse = Ellipse(800 * x, 540 * y, 540 * size, 540 * size * ratio, angle)
    probability = ellipse.resized((540, 800), (192, 288)).coverage(192, 288)
    fit = fitted(probability, (540, 800))
    assert fit.ellipse.circumference_px == pytest.approx(ellipse.circumference_px, rel=1e-3)
    assert fit.ellipse.center == pytest.approx(ellipse.center, abs=0.3)
    assert fit.residual_px < 1.0
    assert fit.arc_fraction == 1.0 or probability[[0, -1]].max() >= 0.5


def test_arc_fraction_tells_how_much_was_seen() -> None:
    probability = Ellipse(100, 96, 90, 70, 0).coverage(192, 288)
    probability[:, 100:] = 0.0  # the right half is lost; the cut is a straight edge inside
    fit = fitted(probability, probability.shape)
    assert fit.arc_fraction < 0.7 and fit.residual_px > 3
    assert fitted(np.ones((192, 288), np.float32), (192, 288)) is None  # without a boundary
