from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.images.frame import PixelSize
from edgeseg.inputs.pixel_sizes import PixelSizes, read_table
from edgeseg.inputs.size_table.rows import TableRow
from edgeseg.inputs.source import Source

HEADER = "filename,pixel size(mm),head circumference (mm)\n"
NAMES = "filename,pixel size(mm)"


def of_mm(x_mm: float, y_mm: float | None = None) -> PixelSize:
    return PixelSize(x_mm, x_mm if y_mm is None else y_mm, "table")


def write_table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


def sizes_in(tmp_path: Path, text: str, encoding: str = "utf-8") -> dict[str, object]:
    """Return the sizes of a table's rows as (x, y), or None."""
    table = read_table(write_table(tmp_path, text, encoding))
    return {name: row.pixel_size and row.pixel_size[:2] for name, row in table.items()}


def test_the_table_as_hc18_ships_it(tmp_path: Path) -> None:
    path = write_table(
        tmp_path, "\ufeff" + HEADER + "a.png, 0.12 ,170.5\r\n\nb.png,0.2,\nc.png,1\n"
    )
    assert read_table(path) == {
        "a.png": TableRow(of_mm(0.12), 170.5),
        "b.png": TableRow(of_mm(0.2), None),
        "c.png": TableRow(of_mm(1.0), None),
    }


@pytest.mark.parametrize(
    "text",
    [
        "filename;pixel size(mm)\r\na.png;0,12\r\n",
        "filename;pixel size(mm);;\r\na.png;0.12;;\r\n;;;\r\n",
        "filename\tpixel size(mm)\na.png\t0,12\n",
        "filename|pixel size(mm)\na.png|0.12\n",
        "sep=;\nfilename;pixel size(mm)\na.png;0,12\n",
        'sep=,\r\nfilename,pixel size(mm)\r\na.png,"0,12"\r\n',
        '"sep=;"\r\nfilename;pixel size(mm)\r\na.png;0,12\r\n',
        "\n\n , \nfilename,pixel size(mm)\n\na.png,0.12\n",
        ",filename,pixel size(mm)\n0,a.png,0.12\n",
        "Unnamed: 0,filename,pixel size(mm)\n0,a.png,0.12\n",
        ",pixel size(mm)\na.png,0.12\n",
        "scan no,pixel size(mm)\na.png,0.12\n",
        "pixel size(mm),head circumference (mm),filename\n0.12,170,a.png\n",
        "age;id;image;pixel size(mm)\n20;7;a.png;0.12\n",
        '"filename","pixel size(mm)"\n"a.png","0.12"\n',
        "filename,pixel size(mm),comment\na.png,0.12,\"two\nlines, 'quoted'\"\n",
        "filename,pixel size(mm)\na.png,0.12\na.png,0.12\n",
        "filename,pixel size(mm)\na.png,0.12,extra,cells\n",
        "filename,pixel size x (mm),pixel size y (mm)\na.png,0.12,0.12\n",
        "filename,pixel size(mm),PixelSpacing\na.png,0.12,0.12\\0.12\n",
        'filename,PixelSpacing\na.png,"[0.12, 0.12]"\n',
        "filename,spacing_0,spacing_1\na.png,0.12,0.12\n",
        "filename,pixel size (cm)\na.png,0.012\n",
        "filename,pixel size (um)\na.png,120\n",
        "filename,pixel size (µm)\na.png,120\n",
        "filename,pixel size,unit\na.png,0.012,cm\n",
        "filename,pixel size,unit\na.png,0.12,mm\n",
        "filename,pixel size(mm),dpi\na.png,0.12,96\n",
        "filename,pixel size(mm),pixel resolution\na.png,0.12,high\n",
        "file,frame,pixel_size_x_mm,pixel_size_y_mm,pixel_size_source\na.png,,0.12,0.12,table\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_one_size_in_many_tables(tmp_path: Path, text: str, encoding: str) -> None:
    assert sizes_in(tmp_path, text, encoding) == {"a.png": pytest.approx((0.12, 0.12))}


@pytest.mark.parametrize(
    "text",
    [
        "filename,pixel size x (mm),pixel size y (mm)\na.png,0.1,0.2\n",
        "filename,pixel_size_y_mm,pixel_size_x_mm\na.png,0.2,0.1\n",
        "filename,spacing_x,spacing_y\na.png,0.1,0.2\n",
        "filename,row spacing (mm),column spacing (mm)\na.png,0.2,0.1\n",
        "filename,PixelSpacing\na.png,0.2\\0.1\n",
        'filename,PixelSpacing\na.png,"[0.2, 0.1]"\n',
        "filename;PixelSpacing\na.png;0,2\\0,1\n",
        "filename,pixel size\na.png,0.2\\0.1\n",
        "filename,pixel size (mm)\na.png,0.1x0.2\n",
        'filename,"pixel size (x, y)"\na.png,"0.1, 0.2"\n',
        'filename,"pixel size (y, x)"\na.png,"(0.2,0.1)"\n',
        "filename,pixel size x (cm),pixel size y (mm)\na.png,0.01,0.2\n",
        "filename,PhysicalDeltaX,PhysicalDeltaY\na.png,0.01,0.02\n",
        "filename,PixelSpacing,pixel_size_x_mm\na.png,0.2\\0.1,0.1\n",
    ],
)
def test_two_sizes_are_across_and_down(tmp_path: Path, text: str) -> None:
    assert sizes_in(tmp_path, text) == {"a.png": pytest.approx((0.1, 0.2))}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the first line must be a header such as"),
        ("a.png,0.1,170\n", "the first line must be a header such as"),
        ("filename\na.png\n", "the first line must be a header such as"),
        ("pixel size(mm)\n0.1\n", "the first line must be a header such as"),
        ("filename,pixels per mm\na.png,8\n", "'pixels per mm' counts pixels in a length"),
        ("filename,dpi\na.png,96\n", "'dpi' counts pixels"),
        ("filename,pixel resolution\na.png,0.1\n", "cannot be told what the column"),
        ("filename,pixel size x (mm)\na.png,0.1\n", "'pixel size x \\(mm\\)' and 'pixel size y"),
        ("filename,spacing_0\na.png,0.1\n", "expected one size for both directions"),
        (
            "filename,pixel size(mm),PixelSpacing\na.png,0.1,0.2\\0.2\n",
            r"row 2 \('a\.png'\): 'pixel size\(mm\)' says 0.1 mm and 'PixelSpacing' 0.2 mm",
        ),
        (
            "filename,pixel size x,pixel size x (mm),pixel size y\na,0.1,0.2,0.1\n",
            "keep the column",
        ),
        ("filename,pixel size (um)\na.png,0.1\n", "expected a positive number of mm from 0.001"),
        ("filename,pixel size,unit\na.png,0.1,inch\n", "the unit is 'inch', expected mm"),
    ],
)
def test_a_table_that_cannot_be_told_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_table(write_table(tmp_path, text))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("-0.1", "is '-0.1', expected a positive number of mm"),
        ("0", "is '0', expected a positive number"),
        ("inf", "is 'inf', expected a positive number"),
        ("1e999", "is '1e999', expected a positive number"),
        ("wide", "is 'wide', expected a positive number"),
        ("70", r"pixel size is 70; expected .* mm from 0\.001 to 10"),
        ("0.1 0.2", "cannot be told which is across"),
        ('"1.234,5"', "expected a positive number"),
    ],
)
def test_a_row_that_is_wrong_costs_its_image_alone(tmp_path: Path, cell: str, said: str) -> None:
    path = write_table(tmp_path, f"{NAMES}\na.png,0.1\nb.png,{cell}\n")
    sizes = PixelSizes([item("a.png"), item("b.png")], table=read_table(path))
    assert sizes.of(item("a.png")) == of_mm(0.1)
    with pytest.raises(DataError, match=rf"row 3 \('b\.png'\): .*{said}"):
        sizes.of(item("b.png"))
    with pytest.raises(DataError, match=said):  # no other row says that the table is right
        read_table(write_table(tmp_path, f"{NAMES}\nb.png,{cell}\n"))


@pytest.mark.parametrize("cell", ["NA", "n/a", "", "-", "NaN", "nan", " ", "#N/A", "None"])
def test_an_image_without_a_size_is_measured_in_pixels_and_said(tmp_path: Path, cell: str) -> None:
    path = write_table(tmp_path, f"{NAMES}\na.png,0.1\nb.png,{cell}\nc.png\n")
    sizes = PixelSizes([item(f"{n}.png") for n in "abc"], table=read_table(path))
    assert [sizes.of(item(f"{n}.png")) for n in "abc"] == [of_mm(0.1), None, None]
    (notice,) = sizes.notices
    assert "gives no size for 2 images, such as 'b.png'" in notice


def test_decimals_behind_a_comma_that_separates_cells_are_not_cut_off(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more cells than titles; put decimals behind a point"):
        read_table(write_table(tmp_path, f"{NAMES}\na.png,1,24\n"))


def test_rows_of_one_name_that_differ_cost_that_image(tmp_path: Path) -> None:
    text = f"{NAMES}\na.png,0.1\nb.png,0.1\nb.png,0.2\nb.png,0.1\nc.png,0.3\nc.png,0.3\n"
    sizes = PixelSizes(
        [item(f"{n}.png") for n in "abc"], table=read_table(write_table(tmp_path, text))
    )
    assert [sizes.of(item(f"{n}.png")) for n in "ac"] == [of_mm(0.1), of_mm(0.3)]
    with pytest.raises(DataError, match=r"row 4: 'b\.png' is there twice"):
        sizes.of(item("b.png"))


def test_two_observers_of_one_image_give_its_size_and_no_reference(tmp_path: Path) -> None:
    path = write_table(tmp_path, HEADER + "a.png,0.1,170\na.png,0.1,172\n")
    assert read_table(path) == {"a.png": TableRow(of_mm(0.1), None)}


@pytest.mark.parametrize("cell", ["-170", "NA", "", "wide", "0", "nan"])
def test_a_circumference_that_is_none_ends_nothing(tmp_path: Path, cell: str) -> None:
    assert read_table(write_table(tmp_path, f"{HEADER}a.png,0.1,{cell}\n"))["a.png"].hc_mm is None


def test_a_circumference_in_cm(tmp_path: Path) -> None:
    path = write_table(tmp_path, "file,pixel size(mm),HC (cm)\na.png,0.1,17,5\n")
    assert read_table(path)["a.png"].hc_mm == 170
    assert read_table(write_table(tmp_path, "file;pixel size;HC\na;0,1;17,5\n"))["a"].hc_mm == 17.5


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04...", "an Excel or LibreOffice workbook, not a CSV.*CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an Excel workbook"),
        (b"<html><table>", "a page of HTML"),
        (b"\n<?xml version='1.0'?>", "a page of HTML or XML"),
        (b"%PDF-1.7", "a PDF"),
        (b"\xff\xfe\x00pixel\x80", "not a readable CSV"),
        (b"filename,pixel size(mm)\na.png\x00,0.1\n", "bytes of 0"),
        (b'filename,pixel size(mm)\na.png,"' + b"1" * 200_000 + b'"\n', "not a readable CSV"),
    ],
)
def test_files_that_are_no_csv(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=said):
        read_table(path)


def test_tables_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="a pixel-size CSV was expected"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path)


def test_what_was_understood_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    path = write_table(tmp_path, "filename,pixel size (cm)\nKöpfe.png,0.012\n", "cp1252")
    assert list(read_table(path, said.append)) == ["Köpfe.png"]
    assert "read as Windows-1252" in said[0]
    assert "'pixel size (cm)' was turned into mm" in said[1]
    said.clear()
    read_table(write_table(tmp_path, HEADER + "a.png,0.1,170\n"), said.append)
    assert not said


def item(file: str) -> Source:
    return Source(file, f"/data/{file}")


def test_one_size_beats_the_table() -> None:
    sizes = PixelSizes([item("a.png")], 0.2, {"a.png": TableRow(of_mm(0.1))})
    assert sizes.of(item("a.png")) == PixelSize(0.2, 0.2, "option")
    assert PixelSizes([item("a.png")], (0.1, 0.2)).of(item("a.png")) == (0.1, 0.2, "option")


def test_a_bare_name_that_fits_two_images_is_an_error() -> None:
    items = [item("x/a.png"), item("y/a.png")]
    sizes = PixelSizes(items, table={"a.png": TableRow(of_mm(0.1))})
    assert not sizes.notices
    with pytest.raises(DataError, match="2 images are called so"):
        sizes.of(items[0])


def test_rows_and_images_that_do_not_meet_are_said() -> None:
    table = {name: TableRow(of_mm(0.1)) for name in ("D:\\x\\a.png", "c.png", "d.png")}
    sizes = PixelSizes([item("a.png"), item("b.png")], table=table)
    assert sizes.of(item("a.png")) == of_mm(0.1)
    with pytest.raises(DataError, match=r"no row for 'b\.png'"):
        sizes.of(item("b.png"))
    absent, moved = sizes.notices
    assert "2 rows of the pixel-size table have no image, such as 'c.png'" in absent
    assert r"'D:\\x\\a.png' was taken for 'a.png'" in moved


@pytest.mark.parametrize("names", [[], ["x.png", "y.png"]])
def test_a_table_of_other_images_is_an_error_that_shows_one_of_each(names: list[str]) -> None:
    first = "first is 'x.png'" if names else "it has none"
    with pytest.raises(DataError, match=rf"{first}, the first image is 'a\.png'"):
        PixelSizes([item("a.png")], table={name: TableRow(of_mm(0.1)) for name in names})


def test_without_anything_no_size_is_known() -> None:
    assert PixelSizes([item("a.png")]).of(item("a.png")) is None
    assert not PixelSizes([]).known


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_sizes_are_refused(size: float) -> None:
    with pytest.raises(DataError, match="expected a positive number"):
        PixelSizes([], size)


@pytest.mark.parametrize(
    "text",
    [
        "filename,pixel size(mm),width,height\na.png,0.1,800,540\n",
        "filename,Rows,Columns,PixelSpacing\na.png,540,800,0.1\\0.1\n",
        "filename,pixel size(mm),original size\na.png,0.1,800x540\n",
        'filename,pixel size(mm),shape\na.png,0.1,"(540, 800)"\n',
    ],
)
def test_a_resized_copy_has_pixels_of_unknown_size(tmp_path: Path, text: str) -> None:
    sizes = PixelSizes([item("a.png")], table=read_table(write_table(tmp_path, text)))
    assert sizes.of(item("a.png"), (540, 800)) == of_mm(0.1)
    assert sizes.of(item("a.png"), (800, 540)) == of_mm(0.1)  # turned
    assert sizes.resized_notice() is None
    assert sizes.of(item("a.png"), (512, 512)) is None
    notice = sizes.resized_notice()
    assert notice is not None
    assert "1 images have other sides than the table says" in notice
    assert "a.png is 512x512" in notice


def test_pixels_that_are_no_squares_are_not_turned(tmp_path: Path) -> None:
    text = "filename,spacing_x,spacing_y,width,height\na.png,0.1,0.2,800,540\n"
    sizes = PixelSizes([item("a.png")], table=read_table(write_table(tmp_path, text)))
    assert sizes.of(item("a.png"), (540, 800)) == of_mm(0.1, 0.2)
    assert sizes.of(item("a.png"), (800, 540)) is None


def test_a_square_pixel_is_asked_for_where_one_number_is_needed() -> None:
    assert TableRow(of_mm(0.1)).square_mm() == 0.1
    assert TableRow(None).square_mm() is None
    with pytest.raises(DataError, match="no squares"):
        TableRow(of_mm(0.1, 0.2)).square_mm()
    with pytest.raises(DataError, match="why"):
        TableRow(None, reason="why").square_mm()


@pytest.mark.parametrize("sides", ["1e999x1e999", "540x1e999", "-1x5"])
def test_sides_that_are_no_number_of_pixels_end_nothing(tmp_path: Path, sides: str) -> None:
    text = f"filename,pixel size(mm),image size\na.png,0.12,{sides}\n"
    assert sizes_in(tmp_path, text) == {"a.png": (0.12, 0.12)}


@pytest.mark.parametrize(
    "text", ["{0};{0}\n", "{0},pixel size(mm)\n{0},{0}\n", "a.png,{0}pixel size (mm)\n{0}\n"]
)
def test_what_a_table_holds_makes_no_long_errors(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError) as caught:
        read_table(write_table(tmp_path, text.format("/" * 100_000)))
    assert len(str(caught.value)) < 4000


def test_a_file_too_large_for_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.inputs.size_table.text._MOST_BYTES", 10)
    with pytest.raises(DataError, match="more than a table"):
        read_table(write_table(tmp_path, HEADER))


@pytest.mark.parametrize("sign", ['"', " ", ":", "a"])
def test_any_separator_that_a_table_names_is_read_or_refused(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "sizes.csv"
    path.write_text(f"sep={sign}\nfilename,pixel size(mm)\na.png,0.12\n", encoding="utf-8")
    with contextlib.suppress(DataError):
        read_table(path)
