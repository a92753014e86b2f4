"""Rulers in pictures: found and understood, or refused, never wrong."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.images.frame import Area, Frame, GrayImage, PixelSize, Screen
from edgeseg.images.ruler import parse_ruler, read_ruler
from edgeseg.phantom.head import Phantom, make_phantom
from tests.images.rulers import STYLES, draw_decoys, draw_ruler

DECIDED = ("dashes", "thin", "deep", "ten", "cuts", "deep cuts")


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(7, hc_mm=330.0)


def drawn(phantom: Phantom, style: str, side: str = "left") -> GrayImage:
    scan = np.maximum(phantom.image, 110) if "cuts" in style else draw_decoys(phantom.image)
    return draw_ruler(scan, phantom.pixel_size_mm, STYLES[style], side)


@pytest.mark.parametrize("style", DECIDED)
@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_ruler_gives_the_millimetres_within_half_a_percent(
    phantom: Phantom, style: str, side: str
) -> None:
    found = read_ruler(Frame(drawn(phantom, style, side)))
    assert found.ticks is not None and found.ticks.side == side
    assert found.pixel_size_mm == pytest.approx(phantom.pixel_size_mm, rel=0.005), found
    assert (found.decided_mm, found.reason) == (STYLES[style].tick_mm, "")


@pytest.mark.parametrize("scale", [0.8, 1.3, 2.0])
def test_margins_compression_and_other_sizes_change_nothing(phantom: Phantom, scale: float) -> None:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scan = cv2.resize(drawn(phantom, "dashes"), None, fx=scale, fy=scale, interpolation=how)
    wide = cv2.copyMakeBorder(scan, 40, 40, 200, 200, cv2.BORDER_CONSTANT)
    data = cv2.imencode(".jpg", wide, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    image = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    size_mm = read_ruler(Frame(image)).pixel_size_mm
    assert size_mm == pytest.approx(phantom.pixel_size_mm / scale, rel=0.005)


@pytest.mark.parametrize(("style", "tick_mm"), [("alike", 10.0), ("fine", 1.0), ("halves", 2.5)])
def test_what_ticks_do_not_say_is_not_guessed_but_may_be_given(
    phantom: Phantom, style: str, tick_mm: float
) -> None:
    frame = Frame(draw_ruler(phantom.image, 0.12, STYLES[style]))
    found = read_ruler(frame)
    assert found.ticks is not None and found.decided_mm is None and "mm" in found.reason
    assert tick_mm in found.candidates_mm
    assert read_ruler(frame, tick_mm).pixel_size_mm == pytest.approx(0.12, rel=0.005)


@pytest.mark.parametrize("lost", ["middle", "third"])
def test_what_is_not_at_equal_distances_or_covers_little_is_no_ruler(
    phantom: Phantom, lost: str
) -> None:
    image = drawn(phantom, "dashes")
    rows = image.shape[0]
    if lost == "middle":
        image[rows // 8 :, 20:34] = phantom.image[rows // 8 :, 20:34]
    else:
        for tick in read_ruler(Frame(image)).ticks.places_px[1::3]:
            image[int(tick) - 2 : int(tick) + 4, 20:34] = 0
    assert read_ruler(Frame(image)).ticks is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 2), (7, 5), (300, 300)])
@pytest.mark.parametrize("level", [0, 255])
def test_a_picture_of_one_level_has_no_ruler(shape: tuple[int, int], level: int) -> None:
    assert read_ruler(Frame(np.full(shape, level, np.uint8))).ticks is None


def test_ticks_may_lie_on_the_first_column_and_not_in_the_dark() -> None:
    image = np.zeros((800, 800), np.uint8)
    image[10:790:10, 0] = 200
    found = read_ruler(Frame(image)).ticks
    assert found is not None and (found.period_px, found.base_px) == (10, 0)
    assert read_ruler(Frame(image // 4)).ticks is None


def test_a_scan_contradicts_a_ruler_that_is_off_by_two() -> None:
    """The face of a probe of 50 mm and ticks that say that it has 25."""
    y, x = np.mgrid[:540, :800].astype(float)
    radius, angle = np.hypot(x - 400, y + 60), np.arctan2(x - 400, y + 60)
    sector = (np.abs(angle) < 0.55) & (radius > 100) & (radius < 560)
    scan = np.where(sector, 90, 0).astype(np.uint8)
    for size_mm, decided_mm in ((0.5, 5.0), (0.25, None)):  # 50 and 25 mm
        found = read_ruler(Frame(draw_ruler(scan, size_mm, STYLES["dashes"], "right", 8)))
        assert found.decided_mm == decided_mm, found
        assert any("probe" in witness for witness in found.witnesses)


def test_two_rulers_must_agree(phantom: Phantom) -> None:
    image = draw_ruler(drawn(phantom, "dashes"), phantom.pixel_size_mm, STYLES["dashes"], "bottom")
    assert read_ruler(Frame(image)).decided_mm == 5
    for fx in (0.7, 0.5):
        squeezed = cv2.resize(image, None, fx=fx, fy=1.0, interpolation=cv2.INTER_AREA)
        found = read_ruler(Frame(np.asarray(squeezed, dtype=np.uint8)))
        assert found.ticks is not None and found.decided_mm is None and "differ" in found.reason
    areas = (Area(0, 0, 400, 540), Area(400, 0, 800, 540))
    assert read_ruler(Frame(image, screen=Screen(areas))).ticks is None


def test_a_size_off_by_more_than_two_percent_differs(phantom: Phantom) -> None:
    ruler, size_mm = read_ruler(Frame(drawn(phantom, "dashes"))), phantom.pixel_size_mm
    for factor, differs in ((1.0, False), (1.015, False), (1.03, True), (0.96, True)):
        along = PixelSize(9 * size_mm, factor * size_mm, "option")
        assert ruler.differs_from(along) == differs
    assert not ruler.differs_from(None)


def test_an_option_is_auto_or_millimetres() -> None:
    assert (parse_ruler("auto"), parse_ruler("2.5")) == ("auto", 2.5)
    for text in ("", "ten", "0", "nan", "-1", "1e9"):
        with pytest.raises(DataError, match="auto"):
            parse_ruler(text)


@pytest.mark.hc18
def test_hc18_shows_no_ruler_and_drawn_ones_give_its_table(hc18_root: Path) -> None:
    with (hc18_root / "training_set_pixel_size_and_HC.csv").open() as stream:
        sizes_mm = {row[0]: float(row[1]) for row in [*csv.reader(stream)][1:]}
    n_right = 0
    for number, file in enumerate(sorted(sizes_mm)[::8]):
        image = cv2.imread(str(hc18_root / "training_set" / file), cv2.IMREAD_GRAYSCALE)
        gray = np.asarray(image, dtype=np.uint8)
        assert read_ruler(Frame(gray)).ticks is None, file
        if number < 10:
            for style in ("dashes", "deep", "cuts"):
                seen = np.maximum(gray, 30) if style == "cuts" else draw_decoys(gray)
                ruler = draw_ruler(seen, sizes_mm[file], STYLES[style], "bottom")
                size_mm = read_ruler(Frame(ruler)).pixel_size_mm
                n_right += size_mm is not None
                assert size_mm in (None, pytest.approx(sizes_mm[file], rel=0.005)), (file, style)
    assert n_right >= 24
