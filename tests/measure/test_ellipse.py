from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.measure.ellipse import Ellipse


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
    assert first.center == pytest.approx(second.center, abs=rel * (size + 1000))
    assert first.semi_major_px == pytest.approx(size, rel=rel)
    assert first.semi_minor_px == pytest.approx(second.semi_minor_px, rel=rel)
    turn = abs(first.angle_rad - second.angle_rad) % math.pi
    assert min(turn, math.pi - turn) < 1000 * rel
    assert 0 <= first.angle_rad < math.pi


@given(ellipses())
def test_circumference_is_the_length_of_the_outline(ellipse: Ellipse) -> None:
    assert Ellipse(0, 0, 10, 10, 0).circumference_px == pytest.approx(20 * math.pi, rel=1e-12)
    # a polygon of n points is short by about (pi / n)^2 * 2 / 3 of its length: 3e-8 here
    points = ellipse.points(8000)
    length = np.hypot(*(np.roll(points, -1, axis=0) - points).T).sum()
    assert ellipse.circumference_px == pytest.approx(length, rel=3e-7)


def test_angles_turn_from_x_to_y_down_and_resizing_keeps_corners() -> None:
    assert Ellipse(3, 4, 20, 10, 1).signed_distance(3, 4) == -10  # finite at the centre
    tip = Ellipse(100, 50, 20, 10, math.pi / 4).points(4)[0]
    assert tip == pytest.approx([100 + 20 / math.sqrt(2), 50 + 20 / math.sqrt(2)])
    # a circle filling the image fills it at any size; the corner is at -0.5
    circle = Ellipse(49.5, 49.5, 50, 50, 0)
    assert_same(circle.resized((100, 100), (10, 10)), Ellipse(4.5, 4.5, 5, 5, 0))


@given(ellipses(), floats(0.3, 3), floats(0.3, 3), floats(-1, 1))
def test_points_are_transformed_alike(ellipse: Ellipse, sx: float, sy: float, shear: float) -> None:
    matrix = np.array([[sx, shear, 7.0], [0.0, sy, -3.0]])
    moved = ellipse.points(40) @ matrix[:, :2].T + matrix[:, 2]
    distance = ellipse.transformed(matrix).signed_distance(moved[:, 0], moved[:, 1])
    assert np.abs(distance).max() < 1e-6


def test_coverage_sums_to_the_area_and_mask_agrees() -> None:
    ellipse = Ellipse(99.3, 70.8, 60.2, 45.1, 0.4)
    coverage = ellipse.coverage(150, 200)
    assert coverage.dtype == np.float32
    assert coverage.sum() == pytest.approx(ellipse.area_px, rel=1e-3)
    mask = ellipse.mask(150, 200)
    assert set(np.unique(mask)) == {0, 255}
    assert np.count_nonzero(mask) == pytest.approx(ellipse.area_px, rel=3e-3)
