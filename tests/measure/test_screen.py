from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeseg.images.frame import Area, Frame, PixelSize, Screen
from edgeseg.measure.head import compare_with_second_scan as compare
from edgeseg.measure.measurement import Measurement
from edgeseg.measure.screen import flags
from edgeseg.phantom.head import make_phantom
from edgeseg.segmenter import Segmenter

SIZE = PixelSize(0.35, 0.35, "dicom")
LEFT, RIGHT = Area(40, 60, 440, 330, SIZE), Area(450, 60, 850, 330, SIZE)


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    return make_phantom(3, height=270, width=400).image


def screen(left: np.ndarray | None, right: np.ndarray | None, *areas: Area) -> Frame:
    """A screen of bright menus with a scan in one or both of its areas."""
    pixels = np.full((400, 900), 190, np.uint8)
    for area, scan in ((LEFT, left), (RIGHT, right)):
        pixels[area.slices] = 0 if scan is None else scan
    sizes = {area.pixel_size for area in areas}
    return Frame(pixels, sizes.pop() if len(sizes) == 1 else None, screen=Screen(areas))


def test_a_scan_on_a_screen_is_measured_as_if_alone(nano: Segmenter, scan: np.ndarray) -> None:
    """To the last digit, in the pixels of the screen, with a mask of the screen's size."""
    alone = nano.predict(scan, SIZE)
    found = nano.predict(screen(scan, scan[:, ::-1], LEFT))
    assert found.ellipse == alone.ellipse.moved(40, 60)
    moved = {"center_x_px": found.ellipse.center_x_px, "center_y_px": found.ellipse.center_y_px}
    assert found.figures == {**alone.figures, **moved}
    mask = np.zeros((400, 900), np.uint8)
    mask[LEFT.slices] = alone.mask()
    np.testing.assert_array_equal(found.mask(), mask)


def test_of_two_scans_the_one_with_the_head_counts(nano: Segmenter, scan: np.ndarray) -> None:
    half = PixelSize(0.175, 0.175, "dicom")
    left, right = LEFT._replace(pixel_size=half), RIGHT
    in_left = nano.predict(screen(scan, None, left, right))
    in_right = nano.predict(screen(None, scan, left, right))
    assert (in_left.measurement.area, in_left.pixel_size) == (left, half)
    assert (in_right.measurement.area, in_right.pixel_size) == (right, SIZE)
    assert in_right.hc_mm == pytest.approx(2 * in_left.hc_mm)
    frame = screen(scan, None, LEFT._replace(pixel_size=None), right)
    unknown = nano.predict(replace(frame, screen=frame.screen._replace(refused="no scale")))
    assert unknown.hc_mm is None and unknown.hc_px is not None
    assert (unknown.status, unknown.reason) == ("doubtful", "no scale")
    given = nano.predict(screen(scan, None, LEFT, RIGHT), 0.5)  # what a user says comes first
    assert given.pixel_size == (0.5, 0.5, "option")
    assert given.hc_mm == nano.predict(scan, 0.5).hc_mm


def measured(hc_mm: float | None, hc_px: float = 900.0, **more: Any) -> Measurement:
    return Measurement({"hc_mm": hc_mm, "hc_px": hc_px, "ga_weeks_hadlock": 20.0}, 0.9, **more)


def test_two_scans_of_two_heads_are_in_doubt() -> None:
    one = measured(180.0)
    assert compare(one, measured(183.0)) is one
    assert compare(one, measured(120.0, reason="empty")) is one
    assert compare(one, measured(120.0, flags=("looks_differ",))) is one
    doubted = compare(one, measured(120.0))
    assert doubted.flags == ("several_regions",)
    assert doubted.figures["ga_weeks_hadlock"] is None
    assert compare(measured(None, 900), measured(None, 700)).status == "doubtful"


def test_the_flags_of_a_file() -> None:
    gray = np.zeros((40, 40), np.uint8)
    assert flags(Frame(gray)) == ()
    assert flags(Frame(gray, screen=Screen(refused="resized"))) == ("no_pixel_size",)
    given = Frame(gray, PixelSize(1, 1, "option"), screen=Screen(refused="resized"))
    assert flags(given) == ()
    assert flags(Frame(gray, screen=Screen(coloured=True))) == ("coloured",)
