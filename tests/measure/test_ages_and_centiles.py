from __future__ import annotations

import math

import pytest

from edgeseg.measure import figures

# between two bands the wider holds
TWO_SD = {68: 1.19, 144: 1.19, 144.1: 1.48, 219: 1.48, 219.1: 2.06, 280: 2.06, 280.1: 2.98}
TWO_SD |= {325: 2.98, 325.1: 3.2, 360: 3.2, 67.9: None, 360.1: None}


def test_hadlock_known_answers() -> None:
    # by hand: 8.96 + 0.540 * 17.5 + 0.0003 * 17.5**3 and so on
    for hc_mm, weeks in ((80, 13.4336), (175, 20.0178125), (300, 33.26), (67.9, None), (361, None)):
        found = figures.ga_weeks_hadlock(hc_mm)
        assert (found and found[0]) == (weeks and pytest.approx(weeks, abs=1e-9))
    ages = {hc_mm: figures.ga_weeks_hadlock(hc_mm) for hc_mm in TWO_SD}
    assert {hc_mm: age and age[1] for hc_mm, age in ages.items()} == TWO_SD
    # how far HC is off widens the age
    weeks_per_mm = (0.540 + 0.0009 * 17.5**2) / 10
    expected = math.hypot(1.48, weeks_per_mm * 6)
    assert figures.ga_weeks_hadlock(175.0, 6.0)[1] == pytest.approx(expected)


def test_intergrowth_known_answers_from_14_to_40_weeks() -> None:
    # exp(0.05970 ln(250)^2 + 6.409e-9 250^3 + 3.3258) / 7
    assert figures.ga_weeks_intergrowth(250.0) == pytest.approx(27.1147, abs=1e-4)
    weeks = [figures.ga_weeks_intergrowth(float(hc)) for hc in range(50, 500)]
    known = [w for w in weeks if w is not None]
    assert weeks[0] is weeks[-1] is None
    assert 14.0 <= min(known) < 14.2
    assert 39.8 < max(known) <= 40.0
    for hc_mm in (
        -1.0,
        0.0,
        1e-9,
        0.007,
        1e9,
        math.nan,
    ):  # where the formula turns back, and far away
        assert figures.ga_weeks_intergrowth(hc_mm) is None


# The INTERGROWTH-21st project's tables: week, then the 3rd, 10th, 50th, 90th, 97th centile in mm.
_TABLES = {
    "HC": {14: (87.4, 90.7, 97.9, 105.0, 108.4), 40: (309.6, 317.4, 333.9, 350.5, 358.3)},
    "BPD": {14: (26.3, 27.4, 29.6, 31.8, 32.9), 40: (87.5, 89.9, 94.9, 99.9, 102.3)},
    "OFD": {14: (30.1, 31.3, 33.8, 36.2, 37.4), 40: (104.1, 107.8, 115.8, 123.7, 127.4)},
}
_AT_28_WEEKS = {
    "HC": (250.0, 4.749583285135905),
    "BPD": (70.0, 5.019169974848148),
    "OFD": (92.0, 34.99650087799201),
}


@pytest.mark.parametrize("name", _TABLES)
def test_centiles_are_those_of_the_published_tables(name: str) -> None:
    centile_of = figures.centile_intergrowth
    for weeks, row_mm in _TABLES[name].items():
        for centile, mm in zip((3, 10, 50, 90, 97), row_mm, strict=True):
            # the printed value is rounded to 0.1 mm, and so was its normal deviate
            assert centile_of(name, mm - 0.08, weeks) < centile < centile_of(name, mm + 0.08, weeks)
    assert {centile_of(name, 50.0, weeks) for weeks in (13.99, 40.01, math.nan)} == {None}
    # the tables' one decimal does not show the coefficients' last digits
    value_mm, centile = _AT_28_WEEKS[name]
    assert centile_of(name, value_mm, 28.5) == pytest.approx(centile, abs=1e-9)


def test_weeks_are_written_with_days() -> None:
    texts = {19.6: "19w4d", 19.93: "20w0d", 0.0: "0w0d", 19 + 3.49 / 7: "19w3d", 0.5: "0w4d"}
    assert {weeks: figures.format_weeks(weeks) for weeks in texts} == texts
