from __future__ import annotations

import math

import pytest

from edgeseg.images.dicom.regions import Region, read_scale

SIZE = (480, 640)
TISSUE = Region(1, 1, 3, 3, 0.02, 0.025, 100, 50, 500, 400)


def test_a_scan_has_its_place_and_the_size_of_its_pixels() -> None:
    scale = read_scale([TISSUE], SIZE)
    (area,) = scale.areas
    assert area[:4] == (100, 50, 501, 401)
    assert area.pixel_size == scale.pixel_size
    assert scale.pixel_size[:2] == pytest.approx((0.2, 0.25))
    assert scale.pixel_size.source == "dicom"
    assert not scale.refused
    assert read_scale([TISSUE._replace(x_delta=-0.02)], SIZE).pixel_size == scale.pixel_size


def test_what_is_no_scan_of_tissue_is_passed_over() -> None:
    """A spectrum in seconds, colours on top, and a bar beside, in whatever order."""
    spectrum = TISSUE._replace(spatial_format=3, data_type=4, x_units=4, x_delta=0.001)
    colours = TISSUE._replace(data_type=2, x_delta=0.5, y_delta=0.5)
    bar = Region(0, 13, 0, 0, 0.0, 0.0, 32, 40, 63, 103)
    for others in ([spectrum, colours, bar, TISSUE], [TISSUE, bar, colours, spectrum]):
        assert read_scale(others, SIZE) == read_scale([TISSUE], SIZE)
    unsaid = TISSUE._replace(spatial_format=None, data_type=None)  # which may be tissue
    assert read_scale([unsaid], SIZE) == read_scale([TISSUE], SIZE)
    scale = read_scale([spectrum, bar], SIZE)
    assert scale.pixel_size is None
    assert "no region" in scale.refused


def test_colours_alone_are_a_scan_that_is_coloured() -> None:
    flow = TISSUE._replace(data_type=2)
    alone, tissue = read_scale([flow], SIZE), read_scale([TISSUE, flow], SIZE)
    assert alone == tissue._replace(is_coloured=True)
    assert not read_scale([flow._replace(spatial_format=3)], SIZE).areas


@pytest.mark.parametrize("corner", [{"right_px": 641}, {"bottom_px": 481}, {"left_px": -1}])
def test_a_region_beyond_the_image_was_resized(corner: dict[str, int]) -> None:
    scale = read_scale([TISSUE, TISSUE._replace(data_type=2, **corner)], SIZE)
    assert scale[:2] == ((), None)
    assert "640x480: it was resized or cut" in scale.refused
    # one column or row too many is a usual slip
    scale = read_scale([TISSUE._replace(right_px=640, bottom_px=480)], SIZE)
    assert scale.areas[0][:4] == (100, 50, 640, 480)
    assert scale.pixel_size is not None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        *(({"y_units": None}, "centimetres"), ({"x_delta": 0.0}, "does not say")),
        *(({"y_delta": math.nan}, "does not say"), ({"x_delta": 2.0}, "is 20; expected")),
    ],
)
def test_an_impossible_scale_is_refused_the_scan_kept(change: dict[str, float], why: str) -> None:
    scale = read_scale([TISSUE._replace(**change)], SIZE)
    assert scale.pixel_size is None
    assert why in scale.refused
    assert [area[:4] for area in scale.areas] == [(100, 50, 501, 401)]


def test_two_scans_may_have_scales_of_their_own() -> None:
    left = TISSUE._replace(left_px=0, right_px=299)
    right = TISSUE._replace(left_px=300, right_px=599)
    alike = read_scale([left, right], SIZE)
    assert len(alike.areas) == 2
    assert alike.pixel_size is not None
    assert len(read_scale([TISSUE, TISSUE], SIZE).areas) == 1  # one that is named twice
    many = [TISSUE._replace(left_px=i) for i in range(60)]
    assert len(read_scale(many, SIZE).areas) == 8  # more are not looked at
    differing = read_scale([left, right._replace(x_delta=0.03)], SIZE)
    assert differing.pixel_size is None
    assert not differing.refused  # it depends on the place
    widths = [area.pixel_size.x_mm for area in differing.areas if area.pixel_size]
    assert widths == pytest.approx([0.2, 0.3])
    one_known = read_scale([left, right._replace(x_units=4)], SIZE)
    assert [area.pixel_size is None for area in one_known.areas] == [False, True]
    assert "centimetres" in one_known.refused  # should the head be there


@pytest.mark.parametrize(
    "change", [{"left_px": None}, {"right_px": 110}, {"left_px": 500, "right_px": 100}]
)
def test_a_region_without_a_place_or_too_small_is_no_scan(change: dict[str, int | None]) -> None:
    nowhere = TISSUE._replace(**change, x_delta=0.5)
    scale = read_scale([nowhere], SIZE)
    assert (scale.areas, scale.pixel_size) == ((), None)
    assert "where on the screen" in scale.refused
    assert read_scale([nowhere, TISSUE], SIZE) == read_scale([TISSUE], SIZE)
    assert read_scale([], SIZE)[:2] == ((), None)
