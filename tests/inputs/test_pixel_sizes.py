from __future__ import annotations

import pytest

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize
from edgeseg.inputs.facts import PixelSizes
from edgeseg.inputs.size_table import TableRow
from edgeseg.inputs.source import Source

A_MM = PixelSize(0.1, 0.1, "table")


def source(file: str) -> Source:
    return Source(file, f"/data/{file}")


def test_one_size_beats_the_table_whose_wrong_rows_cost_their_image_alone() -> None:
    table = {"a.png": TableRow(A_MM), "b.png": TableRow(None), "c.png": TableRow(None, reason="x")}
    sources = [source(name) for name in table]
    one = PixelSizes(sources, 0.2, table)
    assert one.size_of(source("a.png")) == PixelSize(0.2, 0.2, "option")
    assert not PixelSizes().is_given
    assert PixelSizes().size_of(source("a.png")) is None
    sizes = PixelSizes(sources, table=table)
    assert sizes.size_of(source("a.png")) == A_MM
    assert sizes.size_of(source("b.png")) is None
    with pytest.raises(DataError, match="x"):
        sizes.size_of(source("c.png"))
    (notice,) = sizes.notices
    assert "without a size in the pixel-size table: 1, such as 'b.png'" in notice


def test_rows_and_images_that_do_not_meet_are_noticed() -> None:
    table = {name: TableRow(A_MM) for name in ("D:\\x\\a.png", "c.png", "d.png")}
    sizes = PixelSizes([source("a.png"), source("b.png")], table=table)
    for each in (sizes, PixelSizes(table=table)):  # images may come one by one
        assert each.size_of(source("a.png")) == A_MM
        with pytest.raises(DataError, match=r"no row for 'b\.png'"):
            each.size_of(source("b.png"))
    unused, other_folders = sizes.notices
    assert "2, such as 'c.png'" in unused
    assert r"1, such as 'a.png', for which its row 'D:\\x\\a.png'" in other_folders


@pytest.mark.parametrize("names", [[], ["x.png", "y.png"]])
def test_a_table_of_other_images_is_an_error_that_shows_one_of_each(names: list[str]) -> None:
    first = "first is 'x.png'" if names else "it has none"
    with pytest.raises(DataError, match=rf"{first}, the first image is 'a\.png'"):
        PixelSizes([source("a.png")], table={name: TableRow(A_MM) for name in names})


def test_a_resized_copy_has_pixels_of_unknown_size() -> None:
    sizes = PixelSizes([source("a.png")], table={"a.png": TableRow(A_MM, None, (800, 540))})
    assert sizes.size_of(source("a.png"), (540, 800)) == A_MM
    assert sizes.size_of(source("a.png"), (800, 540)) == A_MM  # turned
    assert sizes.resized_notice() is None
    assert sizes.size_of(source("a.png"), (512, 512)) is None
    notice = sizes.resized_notice()
    assert notice is not None
    assert "'a.png', which is 512x512 instead of 800x540" in notice
