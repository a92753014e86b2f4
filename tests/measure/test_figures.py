from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure import figures
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network.task import Interval
from tests.fakes import METADATA

HEAD = Ellipse(280.0, 200.0, 140.0, 108.0, 0.3)
WITH_INTERVAL = replace(METADATA, interval=Interval(0.9, 1.0, 0.2, 100.0, 2.0))
CENTILES = {name: f"{name.lower()}_centile_intergrowth" for name in ("HC", "BPD", "OFD")}


def measured(
    pixel_mm: float | None = 0.22,
    ga_weeks: float | None = None,
    calibration: Calibration | None = None,
) -> dict[str, float | None]:
    size = None if pixel_mm is None else PixelSize(pixel_mm, pixel_mm, "option")
    frame = Frame(np.zeros((400, 600), np.uint8), size, "", ga_weeks, calibration)
    return figures.measure(HEAD, 0.98, frame, WITH_INTERVAL)


def test_the_figures_and_the_interval_around_hc() -> None:
    found = measured()
    hc_mm = 0.22 * HEAD.circumference_px
    half_mm = 1.0 + 0.2 * (hc_mm / 100) ** 3 + 100 * 0.02
    lengths_mm = [found[f"{name}_mm"] for name in ("hc", "bpd", "ofd", "hc_low", "hc_high")]
    sides_mm, ends_mm = (0.22 * 2 * 108, 0.22 * 2 * 140), (hc_mm - half_mm, hc_mm + half_mm)
    assert lengths_mm == pytest.approx([hc_mm, *sides_mm, *ends_mm])
    assert found["cephalic_index"] == pytest.approx(100 * 108 / 140)
    assert found["area_mm2"] == pytest.approx(0.22**2 * HEAD.area_px)
    assert found["ga_weeks_intergrowth"] == figures.ga_weeks_intergrowth(found["hc_mm"])
    weeks, half_weeks = figures.ga_weeks_hadlock(hc_mm, half_mm)
    assert found["ga_weeks_hadlock"] == pytest.approx(weeks)
    assert found["ga_high_weeks_hadlock"] - weeks == pytest.approx(half_weeks)
    assert weeks - found["ga_low_weeks_hadlock"] == pytest.approx(half_weeks)
    assert measured(0.001)["hc_low_mm"] == 0  # and no length is negative


def test_centiles_need_an_age_that_was_given() -> None:
    assert not {*CENTILES.values(), "ga_weeks_given"} & measured().keys()
    found = measured(ga_weeks=20.0)
    assert found["ga_weeks_given"] == 20.0
    titles = [column.title for column in figures.AGE_COLUMNS]
    assert titles == ["GA given", *(f"{name} centile" for name in CENTILES)]
    for name, column in CENTILES.items():
        value_mm = found[f"{name.lower()}_mm"]
        assert found[column] == figures.centile_intergrowth(name, value_mm, 20.0)
    in_pixels = {name: v for name, v in measured(None, 20.0).items() if v is not None}
    assert in_pixels.keys() == {"ga_weeks_given", "hc_px", *asdict(HEAD)}


def test_a_calibration_is_of_every_length_and_no_pixel() -> None:
    """The shift is of an outline 0.5 mm farther in: HC by 2 pi of it, diameters by two."""
    site = Calibration(0.98, -math.pi, 0.004, 0.7)
    plain, found = measured(ga_weeks=20.0), measured(ga_weeks=20.0, calibration=site)
    assert found["hc_mm"] == pytest.approx(0.98 * plain["hc_mm"] - math.pi)
    for name in ("bpd_mm", "ofd_mm"):
        assert found[name] == pytest.approx(0.98 * plain[name] - 1)
    assert found["area_mm2"] == pytest.approx(math.pi / 4 * found["bpd_mm"] * found["ofd_mm"])
    for name in ("hc_px", *asdict(HEAD)):
        assert found[name] == plain[name]
    assert found["ga_weeks_hadlock"] == figures.ga_weeks_hadlock(found["hc_mm"])[0]
    assert found["ga_weeks_intergrowth"] == figures.ga_weeks_intergrowth(found["hc_mm"])
    assert found["bpd_centile_intergrowth"] < plain["bpd_centile_intergrowth"]
    own_half_mm = plain["hc_high_mm"] - plain["hc_mm"]
    half_mm = math.hypot(0.98 * own_half_mm, 0.004 * plain["hc_mm"] + 0.7)
    assert found["hc_high_mm"] - found["hc_mm"] == pytest.approx(half_mm)
    assert (found["calibration_factor"], found["calibration_shift_mm"]) == (0.98, -math.pi)
    tiny = measured(0.001, ga_weeks=20.0, calibration=Calibration(shift_mm=-10.0))
    assert 0 < tiny["hc_mm"] < 1 and 0 < tiny["bpd_mm"] <= tiny["ofd_mm"]


BLANK: dict[str, float | None] = dict.fromkeys(column.name for column in figures.COLUMNS)


def head(hc_mm: float, **more: float) -> dict[str, float | None]:
    """Figures of a head of a circumference, as `figures.measure` would have them."""
    weeks, half = figures.ga_weeks_hadlock(hc_mm) or (None, None)
    known = {
        "hc_mm": hc_mm,
        "ga_weeks_hadlock": weeks,
        "ga_high_weeks_hadlock": None if weeks is None or half is None else weeks + half,
        "ga_weeks_intergrowth": figures.ga_weeks_intergrowth(hc_mm),
    }
    return BLANK | known | more


def test_people_read_one_decimal_and_days() -> None:
    found = head(175.349, hc_high_mm=178.98)
    assert figures.format_circumference(found) == "175.3 ± 3.6"
    assert figures.format_circumference(head(175.349)) == "175.3"
    assert figures.format_age_intergrowth(found) == "20w2d"
    assert figures.caption_lines(found) == ["HC 175.3 ± 3.6 mm", "GA by HC 20w0d ± 1w3d"]
    doubtful = figures.drop_ages(found)
    assert figures.format_age_hadlock(doubtful) == figures.format_age_intergrowth(doubtful) == ""
    assert figures.caption_lines(doubtful) == ["HC 175.3 ± 3.6 mm"]
    by_name = {column.name: column for column in figures.COLUMNS}
    assert by_name["bpd_mm"].text(found | {"bpd_mm": 47.26}) == "47.3"
    assert by_name["bpd_mm"].text(BLANK) == by_name["hc_mm"].text(BLANK) == ""


def test_where_there_is_no_age_or_a_poor_one_people_read_why() -> None:
    for hc_mm, hadlock, intergrowth in (
        (60.0, "none, HC is below 68 mm", "none, age is below 14 weeks"),
        (318.0, "35w5d ± 3w0d", "35w3d"),
        (350.0, "40w5d ± 3w1d (late: HC may read 2 weeks young)", "none, age is above 40 weeks"),
        (370.0, "none, HC is above 360 mm", "none, age is above 40 weeks"),
    ):
        assert figures.format_age_hadlock(head(hc_mm)) == hadlock
        assert figures.format_age_intergrowth(head(hc_mm)) == intergrowth
        assert hadlock in figures.caption_lines(head(hc_mm))[1]


def test_the_caption_says_what_was_given() -> None:
    for value, text in ((0.49, "below 1"), (0.5, "0"), (43.4, "43"), (99.5, "above 99")):
        found = head(175.0, ga_weeks_given=20.0, hc_centile_intergrowth=value)
        assert figures.format_centile(found, "hc_centile_intergrowth") == text
    centiles = dict(zip(CENTILES.values(), (40.0, 41.0, 0.1), strict=True))
    found = head(175.0, ga_weeks_given=20.5, calibration_factor=0.98, **centiles)
    lines = figures.caption_lines(found)
    assert lines[0] == "HC 175.0 mm, calibrated"
    assert lines[2] == "centiles at 20w4d: HC 40, BPD 41, OFD below 1"
    assert figures.caption_lines(head(175.0, ga_weeks_given=12.0))[2] == (
        "centiles at 12w0d: none, age is outside 14 to 40 weeks"
    )
    without = BLANK | {"hc_px": 1402.36, "calibration_factor": 0.98}
    assert figures.caption_lines(without) == ["HC 1402.4 px (no pixel size)"]
