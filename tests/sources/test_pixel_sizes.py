from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.sources.discover import Item
from edgeseg.sources.frame import PixelSize
from edgeseg.sources.pixel_sizes import PixelSizes, TableRow, read_table

HEADER = "filename,pixel size(mm),head circumference (mm)\n"


def write_table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_table_as_hc18_ships_it(tmp_path: Path) -> None:
    path = write_table(
        tmp_path, "\ufeff" + HEADER + "a.png, 0.12 ,170.5\r\n\nb.png,0.2,\nc.png,1\n"
    )
    assert read_table(path) == {
        "a.png": TableRow(0.12, 170.5),
        "b.png": TableRow(0.2, None),
        "c.png": TableRow(1.0, None),
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.png,0.1,170\na.png,0.1,170\n", r"row 3: 'a\.png' is there twice"),
        ("a.png\n", r"row 2: 'a\.png' has no pixel size"),
        ("a.png,,170\n", r"row 2 \('a\.png'\): pixel size is '', expected a positive number of mm"),
        ("a.png,-0.1,170\n", "pixel size is '-0.1', expected a positive number"),
        ("a.png,0,170\n", "pixel size is '0', expected a positive number"),
        ("a.png,nan,170\n", "pixel size is 'nan', expected a positive number"),
        ("a.png,inf,170\n", "pixel size is 'inf', expected a positive number"),
        ("a.png,wide,170\n", "pixel size is 'wide', expected a positive number"),
        ("a.png,70,170\n", r"pixel size is 70; expected .* mm from 0\.001 to 10"),
        ("a.png,0.1,-170\n", "head circumference is '-170', expected a positive number"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(write_table(tmp_path, HEADER + rows))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.png,0.1,170\n",
        "filename\na.png\n",
        "filename,head circumference (mm),pixel size(mm)\na.png,170,0.1\n",
        "filename,pixel size(um)\na.png,0.1\n",
        "filename,pixel size (µm)\na.png,0.1\n",
    ],
)
def test_a_table_without_its_header_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="the first line must be a header such as"):
        read_table(write_table(tmp_path, text))


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="a pixel-size CSV was expected"):
        read_table(tmp_path / "none.csv")
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00pixel\x80")
    with pytest.raises(DataError, match="not a readable CSV"):
        read_table(path)


def test_a_table_that_is_not_separated_by_commas_is_named_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is separated by ';', not by commas"):
        read_table(write_table(tmp_path, "filename;pixel size(mm)\na.png;0,1\n"))


def item(file: str) -> Item:
    return Item(file, file)


def test_one_size_beats_the_table() -> None:
    sizes = PixelSizes([item("a.png")], 0.2, {"a.png": TableRow(0.1, None)})
    assert sizes.of(item("a.png")) == PixelSize(0.2, 0.2, "option")


def test_the_table_is_read_by_path_then_by_bare_name() -> None:
    items = [item("x/a.png"), item("y/b.png")]
    table = {"x/a.png": TableRow(0.1, None), "b.png": TableRow(0.3, None)}
    sizes = PixelSizes(items, table=table)
    assert [sizes.of(i) for i in items] == [
        PixelSize(0.1, 0.1, "table"),
        PixelSize(0.3, 0.3, "table"),
    ]


def test_a_bare_name_that_fits_two_images_is_an_error() -> None:
    items = [item("x/a.png"), item("y/a.png")]
    sizes = PixelSizes(items, table={"a.png": TableRow(0.1, None)})
    with pytest.raises(DataError, match="2 images are called so"):
        sizes.of(items[0])


def test_a_row_that_lacks_is_an_error_and_no_table_is_none() -> None:
    with pytest.raises(DataError, match=r"no row for 'a\.png'"):
        PixelSizes([item("a.png")], table={}).of(item("a.png"))
    assert PixelSizes([item("a.png")]).of(item("a.png")) is None
    assert not PixelSizes([]).known


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_sizes_are_refused(size: float) -> None:
    with pytest.raises(DataError, match="expected a positive number"):
        PixelSizes([], size)
