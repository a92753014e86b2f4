"""Any ellipse that a head may have, and whether two are the same."""

from __future__ import annotations

import math

import pytest
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
    assert first.center_x_px == pytest.approx(second.center_x_px, abs=rel * (size + 1000))
    assert first.center_y_px == pytest.approx(second.center_y_px, abs=rel * (size + 1000))
    assert first.semi_major_px == pytest.approx(second.semi_major_px, rel=rel)
    assert first.semi_minor_px == pytest.approx(second.semi_minor_px, rel=rel)
    turn = abs(first.angle_rad - second.angle_rad) % math.pi
    assert min(turn, math.pi - turn) < 1000 * rel
    assert 0 <= first.angle_rad < math.pi
