from __future__ import annotations

import math

import pytest

from edgeseg.errors import DataError
from edgeseg.measure import biometry

FUNCTIONS = (
    biometry.ga_weeks_hadlock,
    biometry.ga_weeks_hadlock_two_sd,
    biometry.ga_weeks_intergrowth,
    lambda hc_mm: biometry.hc_centile_intergrowth(hc_mm, 20.0),
)


@pytest.mark.parametrize(
    ("hc_mm", "weeks"),
    # by hand: 8.96 + 0.540 * 17.5 + 0.0003 * 17.5**3 and so on
    [(80.0, 13.4336), (175.0, 20.0178125), (300.0, 33.26)],
)
def test_hadlock_known_answers(hc_mm: float, weeks: float) -> None:
    assert biometry.ga_weeks_hadlock(hc_mm) == pytest.approx(weeks, abs=1e-9)


@pytest.mark.parametrize(("hc_mm", "inside"), [(67.9, 0), (68.0, 1), (360.0, 1), (360.1, 0)])
def test_hadlock_is_silent_outside_its_range(hc_mm: float, inside: int) -> None:
    assert (biometry.ga_weeks_hadlock(hc_mm) is not None) == bool(inside)
    assert (biometry.ga_weeks_hadlock_two_sd(hc_mm) is not None) == bool(inside)


@pytest.mark.parametrize(
    ("hc_mm", "two_sd"),
    [
        *[(68, 1.19), (144, 1.19), (151, 1.48), (219, 1.48), (224, 2.06), (280, 2.06)],
        *[(284, 2.98), (325, 2.98), (328, 3.2), (360, 3.2)],
    ],
)
def test_hadlock_two_sd_known_answers(hc_mm: float, two_sd: float) -> None:
    assert biometry.ga_weeks_hadlock_two_sd(hc_mm) == two_sd


def test_intergrowth_known_answer() -> None:
    # exp(0.05970 ln(172.5)^2 + 6.409e-9 172.5^3 + 3.3258) / 7, by hand: 20 weeks less a day
    assert biometry.ga_weeks_intergrowth(172.5) == pytest.approx(19.99, abs=0.15)
    days = math.exp(0.05970 * math.log(250) ** 2 + 6.409e-9 * 250**3 + 3.3258)
    assert biometry.ga_weeks_intergrowth(250.0) == pytest.approx(days / 7, rel=1e-12)


def test_intergrowth_is_silent_outside_14_to_40_weeks() -> None:
    weeks = [biometry.ga_weeks_intergrowth(float(hc)) for hc in range(50, 500)]
    known = [w for w in weeks if w is not None]
    assert weeks[0] is None
    assert weeks[-1] is None
    assert 14.0 <= min(known) < 14.2
    assert 39.8 < max(known) <= 40.0
    assert known == sorted(known)
    assert biometry.ga_weeks_intergrowth(1e9) is None


def test_intergrowth_is_silent_where_its_formula_turns_back() -> None:
    assert all(biometry.ga_weeks_intergrowth(hc_mm) is None for hc_mm in (1e-9, 0.002, 0.007, 1.0))


def test_the_two_charts_agree_in_the_middle() -> None:
    for hc_mm in (120.0, 170.0, 220.0, 270.0):
        hadlock = biometry.ga_weeks_hadlock(hc_mm)
        intergrowth = biometry.ga_weeks_intergrowth(hc_mm)
        assert hadlock is not None
        assert intergrowth is not None
        assert abs(hadlock - intergrowth) < 1.2


def test_centile_at_20_weeks() -> None:
    # the chart's own row: 172.5 mm, SD 7.4 mm
    assert biometry.hc_centile_intergrowth(172.5, 20.0) == pytest.approx(50, abs=0.5)
    assert biometry.hc_centile_intergrowth(172.5 + 7.4, 20.0) == pytest.approx(84.13, abs=0.7)
    assert biometry.hc_centile_intergrowth(172.5 - 7.4, 20.0) == pytest.approx(15.87, abs=0.7)


@pytest.mark.parametrize(("ga_weeks", "known"), [(13.9, 0), (14.0, 1), (40.0, 1), (40.1, 0)])
def test_centile_is_silent_outside_14_to_40_weeks(ga_weeks: float, known: int) -> None:
    assert (biometry.hc_centile_intergrowth(200.0, ga_weeks) is not None) == bool(known)
    assert biometry.hc_centile_intergrowth(200.0, math.nan) is None


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("hc_mm", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_nonsense_is_refused(function, hc_mm: float) -> None:
    with pytest.raises(DataError, match="expected a positive number of mm"):
        function(hc_mm)
