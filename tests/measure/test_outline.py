from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.outline import fit_ellipse, fit_outline
from edgeseg.measure.region import boundary_points, main_region


def floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


@st.composite
def ellipses(draw: st.DrawFn, least_ratio: float = 0.5, most_ratio: float = 0.97) -> Ellipse:
    semi_major = draw(floats(20, 300))
    return Ellipse(
        draw(floats(-50, 900)),
        draw(floats(-50, 600)),
        semi_major,
        semi_major * draw(floats(least_ratio, most_ratio)),
        draw(floats(0, math.pi - 1e-3)),
    )


def assert_same(first: Ellipse, second: Ellipse, rel: float = 1e-9) -> None:
    size = second.semi_major_px
    assert first.center_x_px == pytest.approx(second.center_x_px, abs=rel * (size + 1000))
    assert first.center_y_px == pytest.approx(second.center_y_px, abs=rel * (size + 1000))
    assert first.semi_major_px == pytest.approx(second.semi_major_px, rel=rel)
    assert first.semi_minor_px == pytest.approx(second.semi_minor_px, rel=rel)
    turn = abs(first.angle_rad - second.angle_rad) % math.pi
    assert min(turn, math.pi - turn) < 1000 * rel
    assert 0 <= first.angle_rad < math.pi


@given(ellipses())
def test_circumference_is_the_length_of_the_outline(ellipse: Ellipse) -> None:
    # a polygon of n points is short by about (pi / n)^2 * 2 / 3 of its length: 3e-8 here
    points = ellipse.points(8000)
    length = np.hypot(*(np.roll(points, -1, axis=0) - points).T).sum()
    assert ellipse.circumference_px == pytest.approx(length, rel=3e-7)


def test_circle() -> None:
    circle = Ellipse(0, 0, 10, 10, 0)
    assert circle.circumference_px == pytest.approx(20 * math.pi, rel=1e-12)
    assert circle.area_px == pytest.approx(100 * math.pi, rel=1e-12)


def test_angle_turns_from_x_to_y_down() -> None:
    tip = Ellipse(100, 50, 20, 10, math.pi / 4).points(4)[0]
    assert tip == pytest.approx([100 + 20 / math.sqrt(2), 50 + 20 / math.sqrt(2)])


@given(ellipses(), floats(-3, 3), floats(0.3, 3), floats(0.3, 3), floats(-200, 200))
def test_transforming_back_gives_the_same_ellipse(
    ellipse: Ellipse, turn: float, sx: float, sy: float, shift: float
) -> None:
    cos, sin = math.cos(turn), math.sin(turn)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([sx, sy])
    there = np.column_stack([linear, [shift, -shift]])
    inverse = np.linalg.inv(linear)
    back = np.column_stack([inverse, -inverse @ there[:, 2]])
    assert_same(ellipse.transformed(there).transformed(back), ellipse, rel=1e-7)


@given(ellipses(), floats(0.3, 3), floats(0.3, 3), floats(-1, 1))
def test_a_transformed_ellipse_holds_the_transformed_points(
    ellipse: Ellipse, sx: float, sy: float, shear: float
) -> None:
    matrix = np.array([[sx, shear, 7.0], [0.0, sy, -3.0]])
    moved = ellipse.points(40) @ matrix[:, :2].T + matrix[:, 2]
    distance = ellipse.transformed(matrix).signed_distance(moved[:, 0], moved[:, 1])
    assert np.abs(distance).max() < 1e-6


@given(ellipses(), st.integers(32, 1000), st.integers(32, 1000))
def test_resizing_there_and_back(ellipse: Ellipse, height: int, width: int) -> None:
    small = ellipse.resized((540, 800), (height, width))
    assert_same(small.resized((height, width), (540, 800)), ellipse, rel=1e-7)


def test_resizing_keeps_pixel_corners_not_centres() -> None:
    # A circle filling the image fills it at any size; the corner is at -0.5.
    circle = Ellipse(49.5, 49.5, 50, 50, 0)
    assert_same(circle.resized((100, 100), (10, 10)), Ellipse(4.5, 4.5, 5, 5, 0))


@given(ellipses(), floats(-0.08, 0.08), st.integers(0, 7))
def test_signed_distance_near_the_outline(ellipse: Ellipse, away: float, index: int) -> None:
    point = ellipse.points(8)[index]
    x, y = point - (ellipse.center_x_px, ellipse.center_y_px)
    inverse = np.linalg.inv(ellipse.shape_matrix())
    normal = inverse.T @ inverse @ [x, y]
    normal /= np.hypot(*normal)
    step = away * ellipse.semi_minor_px
    distance = ellipse.signed_distance(*(point + step * normal))
    # to first order: a few percent within a tenth of the axis, most where the outline is curved
    assert float(distance) == pytest.approx(step, abs=0.2 * abs(step) + 1e-9)


def test_signed_distance_at_the_centre_is_finite() -> None:
    assert Ellipse(3, 4, 20, 10, 1).signed_distance(3, 4) == -10


def test_coverage_sums_to_the_area_and_mask_agrees() -> None:
    ellipse = Ellipse(99.3, 70.8, 60.2, 45.1, 0.4)
    coverage = ellipse.coverage(150, 200)
    assert coverage.dtype == np.float32
    assert coverage.sum() == pytest.approx(ellipse.area_px, rel=1e-3)
    mask = ellipse.mask(150, 200)
    assert set(np.unique(mask)) == {0, 255}
    assert np.count_nonzero(mask) == pytest.approx(ellipse.area_px, rel=3e-3)


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


def test_main_region_fills_holes_and_counts_the_rest() -> None:
    probability = np.zeros((60, 80), dtype=np.float32)
    probability[10:40, 10:50] = 0.9
    probability[20:25, 20:25] = 0.1  # a hole
    probability[50:55, 60:70] = 0.5  # at the threshold counts as head
    region = main_region(probability)
    assert region is not None
    assert region.area_px == 30 * 40
    assert region.other_area_px == 50
    assert np.count_nonzero(region.mask) == 30 * 40
    assert set(np.unique(region.mask)) == {0, 255}
    assert region.mask[22, 22] == 255
    assert region.mask[52, 65] == 0


def test_regions_that_meet_at_a_corner_are_two() -> None:
    probability = np.zeros((40, 40), dtype=np.float32)
    probability[:20, :20] = 1
    probability[20:30, 20:30] = 1
    region = main_region(probability)
    assert region is not None
    assert (region.area_px, region.other_area_px) == (400, 100)


@pytest.mark.parametrize("level", [0.0, 0.012, 0.49])
def test_an_empty_map_has_no_region(level: float) -> None:
    assert main_region(np.full((192, 288), level, dtype=np.float32)) is None


def test_a_full_map_has_no_outline() -> None:
    probability = np.ones((192, 288), dtype=np.float32)
    region = main_region(probability)
    assert region is not None
    assert len(boundary_points(probability, region)) == 0
    assert fit_outline(probability, region, (540, 800)) is None


def test_boundary_lies_where_the_probability_crosses() -> None:
    row = np.array([1.0, 1.0, 0.7, 0.2, 0.0], dtype=np.float32)
    probability = np.repeat(row[None], 6, axis=0)
    region = main_region(probability)
    assert region is not None
    points = boundary_points(probability, region)
    assert points[:, 0] == pytest.approx(2 + (0.7 - 0.5) / (0.7 - 0.2))
    assert sorted(points[:, 1]) == list(range(6))


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
