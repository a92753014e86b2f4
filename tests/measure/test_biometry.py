from __future__ import annotations

import math

import pytest

from edgeseg.errors import DataError
from edgeseg.measure import biometry

FUNCTIONS = (
    biometry.ga_weeks_hadlock,
    biometry.ga_weeks_hadlock_two_sd,
    biometry.ga_weeks_intergrowth,
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
        # between two bands the wider holds
        *[(144.1, 1.48), (150.9, 1.48), (219.1, 2.06), (280.1, 2.98), (325.1, 3.2)],
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
    for hc_mm in (1e-9, 0.002, 0.007, 1.0, 1e9):  # where the formula turns back, and far away
        assert biometry.ga_weeks_intergrowth(hc_mm) is None


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("hc_mm", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_nonsense_is_refused(function, hc_mm: float) -> None:
    with pytest.raises(DataError, match="expected a positive number of mm"):
        function(hc_mm)


def test_how_far_hc_is_off_widens_the_age() -> None:
    assert biometry.ga_weeks_hadlock_half_width(175.0) == 1.48
    weeks_per_mm = (0.540 + 0.0009 * 17.5**2) / 10
    expected = math.hypot(1.48, weeks_per_mm * 6)
    assert biometry.ga_weeks_hadlock_half_width(175.0, 6.0) == pytest.approx(expected)
    assert biometry.ga_weeks_hadlock_half_width(60.0, 6.0) is None


# The INTERGROWTH-21st project's tables: week, then the 3rd, 10th, 50th, 90th, 97th centile in mm.
_TABLES = {
    biometry.hc_centile_intergrowth: {
        14: (87.4, 90.7, 97.9, 105.0, 108.4), 20: (158.5, 163.0, 172.5, 182.0, 186.5),
        30: (261.0, 266.5, 278.4, 290.2, 295.8), 40: (309.6, 317.4, 333.9, 350.5, 358.3),
    },
    biometry.bpd_centile_intergrowth: {
        14: (26.3, 27.4, 29.6, 31.8, 32.9), 20: (44.1, 45.5, 48.4, 51.4, 52.8),
        30: (73.1, 75.0, 78.9, 82.8, 84.7), 40: (87.5, 89.9, 94.9, 99.9, 102.3),
    },
    biometry.ofd_centile_intergrowth: {
        14: (30.1, 31.3, 33.8, 36.2, 37.4), 20: (55.5, 57.1, 60.7, 64.2, 65.9),
        30: (90.7, 93.1, 98.0, 103.0, 105.3), 40: (104.1, 107.8, 115.8, 123.7, 127.4),
    },
}  # fmt: skip


@pytest.mark.parametrize("function", _TABLES)
def test_centiles_are_those_of_the_published_tables(function) -> None:
    for weeks, row_mm in _TABLES[function].items():
        for centile, value_mm in zip((3, 10, 50, 90, 97), row_mm, strict=True):
            # the printed value is rounded to 0.1 mm, and so was its normal deviate
            assert function(value_mm - 0.08, weeks) < centile < function(value_mm + 0.08, weeks)


@pytest.mark.parametrize("weeks", [15.0, 20.0, 33.3])
def test_spreads_are_those_of_the_equations(weeks: float) -> None:
    """To the last digit of the coefficients, which the tables' one decimal does not show."""
    log = math.log(weeks)
    bpd_mm = 5.60878 + 0.158369 * weeks**2 - 0.00256379 * weeks**3
    bpd_sd = math.exp(
        0.101242 + 0.00150557 * weeks**3 - 0.000771535 * weeks**3 * log
        + 0.0000999638 * weeks**3 * log**2
    )  # fmt: skip
    ofd_mm = -12.4097 + 0.626342 * weeks**2 - 0.148075 * weeks**2 * log
    ofd_sd = math.exp(
        -0.880034 + 0.0631165 * weeks**2 - 0.0317136 * weeks**2 * log
        + 0.00408302 * weeks**2 * log**2
    )  # fmt: skip
    for function, mean, sd in (
        (biometry.bpd_centile_intergrowth, bpd_mm, bpd_sd),
        (biometry.ofd_centile_intergrowth, ofd_mm, ofd_sd),
    ):
        assert function(mean, weeks) == pytest.approx(50, abs=1e-6)
        assert function(mean + sd, weeks) == pytest.approx(84.1344746, abs=1e-6)


@pytest.mark.parametrize("function", _TABLES)
def test_centiles_are_refused_and_silent_where_the_charts_are(function) -> None:
    assert function(50.0, 13.99) is None
    assert function(50.0, 40.01) is None
    assert function(50.0, math.nan) is None
    for value in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(DataError, match="expected a positive number of mm"):
            function(value, 20.0)


@pytest.mark.parametrize(
    ("weeks", "text"),
    [(19.6, "19w4d"), (20.0, "20w0d"), (19.99, "20w0d"), (1.3, "1w2d"), (0.0, "0w0d"),
     (19 + 3.49 / 7, "19w3d"), (19 + 3.51 / 7, "19w4d"), (19.93, "20w0d"), (0.5, "0w4d")],
)  # fmt: skip
def test_weeks_are_written_with_days(weeks: float, text: str) -> None:
    assert biometry.format_weeks(weeks) == text


@pytest.mark.parametrize("weeks", [-0.1, math.nan, math.inf])
def test_what_is_no_number_of_weeks_is_refused(weeks: float) -> None:
    with pytest.raises(DataError, match="expected a number of weeks"):
        biometry.format_weeks(weeks)
