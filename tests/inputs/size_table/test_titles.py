from __future__ import annotations

import pytest

from edgeseg.inputs.size_table.titles import read_title


@pytest.mark.parametrize(
    ("titles", "axes", "mm"),
    [
        (
            "pixel size(mm)|pixel_size_mm|Pixel Size (mm)|pixelsize|pixelSizeMM|PIXEL SIZE|px_size|"
            "pixel size / mm|mm per pixel|mm/px|mm_per_px|pixel (mm)|spacing|scale (mm/px)|"
            "resolution (mm)|size of a pixel|Pixelgröße (mm)|Pixelgro\u0308ße|Pixelgroesse|"
            "taille du pixel (mm)|tamaño de píxel|pixelgrootte|pixel pitch|pixel size [mm]|"
            "\ufeffpixel size|pixel\nsize (mm)",
            "", 1,
        ),
        (
            "pixel size x (mm)|pixel_size_x_mm|spacing_x|PixelSpacingX|x spacing|column spacing|"
            "pixel width (mm)|dx (mm)|horizontal pixel size|lateral pixel size (mm)",
            "x", 1,
        ),
        (
            "pixel size y (mm)|pixel_size_y_mm|spacing_y|row spacing|pixel height (mm)|"
            "vertical pixel spacing|axial pixel size",
            "y", 1,
        ),
        ("PixelSpacing|pixel spacing|Pixel Spacing (mm)|ImagerPixelSpacing|pixel size (y, x)|"
         "pixel spacing (row, column)", "yx", 1),
        ("pixel size (x, y)|spacing (x,y)|pixel size x,y (mm)", "xy", 1),
        ("pixel spacing 0|pixel_spacing_1", "?", 1),
        ("pixel size (cm)|cm/px|pixel size in cm", "", 10),
        ("pixel size (um)|pixel size (\u00b5m)|px size \u03bcm|mpp|microns per pixel", "", 1e-3),
        ("pixel size (m)", "", 1e3),
        ("PhysicalDeltaX", "x", 10),
    ],
)  # fmt: skip
def test_titles_of_pixel_sizes(titles: str, axes: str, mm: float) -> None:
    for title in titles.split("|"):
        assert read_title(title) == ("size", axes, mm, 0), title


@pytest.mark.parametrize(
    ("kind", "titles"),
    [
        ("inverse", "pixels per mm|px/mm|pixels/mm|pixel per mm|ppmm|dpi|ppi|pixels per cm|1/mm"),
        ("unclear", "pixel resolution|pixel width|pixel height|pixel scale|pixel size (mm, cm)"),
        ("hc", "head circumference (mm)|HC|hc_mm|HC (cm)|Head Circumference"),
        ("width", "width|image width|width (px)|Columns|original_width|orig width|n_cols"),
        ("height", "height|image_height|height in pixels|Rows|number of rows"),
        ("sides", "original size|image size|image size (pixels)|shape|image dimensions"),
        ("unit", "unit|pixel_size_unit|spacing units"),
        (
            "",
            "|Unnamed: 0|age|patient|area (mm2)|pixel area (mm²)|slice spacing|width (mm)|size|"
            "SpacingBetweenSlices|hc_px|head circumference (pixels)|pixel_size_source|area_px|"
            "semi_major_px|hc_low_mm|slice thickness (mm)|pixel count|size sd (mm)|HC (mm, cm)",
        ),
    ],
)
def test_other_titles(kind: str, titles: str) -> None:
    for title in titles.split("|"):
        assert read_title(title).kind == kind, title


def test_names_of_files_the_surest_first() -> None:
    titles = ["File Name", "image_path", "Image", "name", "ID"]
    read = [read_title(title) for title in titles]
    assert {title.kind for title in read} == {"name"}
    assert [title.rank for title in read] == [0, 1, 2, 3, 4]


def test_a_title_too_long_for_one_is_none() -> None:
    assert read_title("pixel size (mm)").kind == "size"
    assert read_title("pixel size (mm)" + "/" * 100_000).kind == ""
