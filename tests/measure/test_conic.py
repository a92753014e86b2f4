from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.measure import conic
from edgeseg.measure.ellipse import Ellipse


@given(st.floats(0.3, 0.97), st.floats(0, 3.1), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_distances_are_the_ellipse_s(ratio: float, angle: float, x: float, y: float) -> None:
    ellipse = Ellipse(x, y, 1.2, 1.2 * ratio, angle)
    powers = conic.powers(*ellipse.points(40).T)
    found = conic.direct_fit(powers @ powers.T)
    assert found is not None
    rays = np.exp(1j * np.linspace(0, 6, 30)) * np.geomspace(1e-3, 100, 30)
    points = x + rays.real, y + rays.imag
    np.testing.assert_allclose(
        found.signed_distance(conic.powers(*points)), ellipse.signed_distance(*points), rtol=1e-4
    )
    for r in (0.0, 1e-12, 1e-7, 1e-5):  # the centre is far inside, not at a rounding's mercy
        (distance,) = found.signed_distance(conic.powers(np.array([x + r]), np.array([y])))
        assert distance < -0.8 * ellipse.semi_minor_px


@pytest.mark.parametrize(
    "points",
    [np.stack([np.arange(30.0), 2 * np.arange(30.0)]), np.zeros((2, 30)), np.full((2, 30), np.nan)],
    ids=["line", "point", "NaN"],
)
def test_what_determines_no_ellipse_gives_none(points: np.ndarray) -> None:
    powers = conic.powers(*points)
    assert conic.direct_fit(powers @ powers.T) is None


def test_points_of_a_hyperbola_give_no_broken_ellipse() -> None:
    x = np.arange(-2.5, 2.5, 0.1)
    powers = conic.powers(x, np.hypot(1, x))
    found = conic.direct_fit(powers @ powers.T)
    assert found is None or math.isfinite(found.ellipse((0, 0), 1).circumference_px)
