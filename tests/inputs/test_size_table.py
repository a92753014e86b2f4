from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.images.frame import PixelSize
from edgeseg.inputs import size_table
from edgeseg.inputs.rows import EXPECTED, read_title
from edgeseg.inputs.size_table import TableRow, read_table, read_table_rows
from tests.tables import write_table

HC18 = "filename,pixel size(mm),head circumference (mm)\n"
TITLES = "filename,pixel size(mm)"


def of_mm(x_mm: float, y_mm: float | None = None) -> PixelSize:
    return PixelSize(x_mm, x_mm if y_mm is None else y_mm, "table")


def sizes_in(table: Path) -> dict[str, object]:
    """Return the sizes of a table's rows as (x, y), or None."""
    return {name: row.pixel_size and row.pixel_size[:2] for name, row in read_table(table).items()}


def test_the_table_as_hc18_ships_it(tmp_path: Path) -> None:
    rows = "a.png, 0.12 ,170.5\r\n\nb.png,0.2,\nc.png,1,wide\nd.png,n/a,-170\n"
    assert read_table(write_table(tmp_path, "\ufeff" + HC18 + rows)) == {
        "a.png": TableRow(of_mm(0.12), 170.5),
        "b.png": TableRow(of_mm(0.2), None),
        "c.png": TableRow(of_mm(1.0), None),
        "d.png": TableRow(None, None),
    }
    found = read_table(write_table(tmp_path, "file;pixel size;HC (cm)\na;0,1;17,5\n"))
    assert found["a"].hc_mm == 175


ACROSS_AND_DOWN = [
    "filename,pixel size x (mm),pixel size y (mm)\na.png,0.1,0.2\n",
    "filename,row spacing (mm),column spacing (mm)\na.png,0.2,0.1\n",
    'filename,PixelSpacing\na.png,"[0.2, 0.1]"\n',
    "filename,PixelSpacing\na.png,\"['0.2', '0.1']\"\n",
    "filename;PixelSpacing\na.png;0,2\\0,1\n",
    "filename,pixel size x (cm),pixel size y (mm)\na.png,0.01,0.2\n",
    "filename,PhysicalDeltaX,PhysicalDeltaY\na.png,0.01,0.02\n",
    "filename,PixelSpacing,pixel_size_x_mm\na.png,0.2\\0.1,0.1\n",
]


@pytest.mark.parametrize(
    "text",
    [
        *ACROSS_AND_DOWN,
        "filename;pixel size(mm)\r\na.png;0,12\r\n",
        "filename;pixel size(mm);;\r\na.png;0.12;;\r\n;;;\r\n",
        "filename\tpixel size(mm)\na.png\t0,12\n",
        "filename,pixel size(mm)\ra.png,0.12\r",
        '"sep=;"\r\nfilename;pixel size(mm)\r\na.png;0,12\r\n',
        "\n\n , \nfilename,pixel size(mm)\n\na.png,0.12\n",
        ",filename,pixel size(mm)\n0,a.png,0.12\n",
        ",pixel size(mm)\na.png,0.12\n",
        "age;id;image;pixel size(mm)\n20;7;a.png;0.12\n",
        "filename,pixel size(mm),comment\na.png,0.12,\"two\nlines, 'quoted'\"\n",
        "filename,pixel size(mm),PixelSpacing\na.png,0.12,0.12\\0.12\n",
        'filename,PixelSpacing\na.png,"[0.12, 0.12]"\n',
        "filename,pixel size (cm)\na.png,0.012\n",
        "filename,pixel size(mm),dpi,pixel resolution\na.png,0.12,96,high\n",
        "file,frame,pixel_size_x_mm,pixel_size_y_mm,pixel_size_source\na.png,,0.12,0.12,table\n",
    ],
)
def test_one_size_in_many_tables(tmp_path: Path, text: str) -> None:
    sizes = (0.1, 0.2) if text in ACROSS_AND_DOWN else (0.12, 0.12)
    assert sizes_in(write_table(tmp_path, text)) == {"a.png": pytest.approx(sizes)}


@pytest.mark.parametrize(
    "text",
    [
        "a.png,0.1,170\n",
        "filename\na.png\n",
        "scan no,pixel size(mm)\na.png,0.12\n",
        "filename,pixels per mm\na.png,8\n",
        "filename,pixel size (inch)\na.png,0.1\n",
        "filename,pixel size x (mm)\na.png,0.1\n",
    ],
)
def test_a_table_without_known_titles_is_refused_and_told_them(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError) as caught:
        read_table(write_table(tmp_path, text))
    assert EXPECTED in str(caught.value)
    assert text.split("\n")[0].split(",")[-1] in str(caught.value)


@pytest.mark.parametrize(
    "title",
    ["pixel size(mm)", "pixelSizeMM", "Pixel Size [mm]", "mm per pixel", "mm/px", "px size",
     "Pixelgro\u0308ße (mm)", "Pixelgroesse", "\ufeffpixel size", "pixel\nsize (mm)"],
)  # fmt: skip
def test_titles_are_known_however_they_are_written(title: str) -> None:
    assert read_title(title) == ("size", "", 1.0)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("0", "positive number"),
        ("inf", "'inf'; expected a number"),
        ("wide", "'wide'; expected a number"),
        ('"[0.1, 0.2]"', "expected a number"),  # which of them is across?
        ("0.12 mm", "expected a number"),
        ("1,24", "more cells than there are titles"),
    ],
)
def test_a_row_that_is_wrong_costs_its_image_alone(tmp_path: Path, cell: str, message: str) -> None:
    table = read_table(write_table(tmp_path, f"{TITLES}\na.png,0.1\nb.png,{cell}\n"))
    assert table["a.png"] == TableRow(of_mm(0.1))
    assert table["b.png"].pixel_size is None
    assert "row 3 ('b.png')" in table["b.png"].reason
    assert message in table["b.png"].reason
    with pytest.raises(DataError, match="row 2"):  # no other row shows that the table is right
        read_table(write_table(tmp_path, f"{TITLES}\nb.png,{cell}\n"))


def test_rows_of_one_name_that_differ_cost_that_image(tmp_path: Path) -> None:
    text = f"{TITLES}\na.png,0.1\nb.png,0.1\nb.png,0.2\nb.png,0.1\nc.png,0.3\nc.png,0.3\n"
    table = read_table(write_table(tmp_path, text))
    assert [table[f"{n}.png"].pixel_size for n in "abc"] == [of_mm(0.1), None, of_mm(0.3)]
    assert "'b.png' twice, and the rows differ" in table["b.png"].reason
    # of two observers neither is the reference
    path = write_table(tmp_path, HC18 + "a.png,0.1,170\na.png,0.1,172\n")
    assert read_table(path) == {"a.png": TableRow(of_mm(0.1), None)}


def test_sides_of_the_original_image(tmp_path: Path) -> None:
    for text, sides in (
        ("filename,Rows,Columns,PixelSpacing\na.png,540,800,0.1\\0.1\n", (800, 540)),
        ("filename,pixel size(mm),width,height\na.png,0.1,800,1e300\n", None),
    ):
        rows = read_table(write_table(tmp_path, text))
        assert rows == {"a.png": TableRow(of_mm(0.1), None, sides)}
    square, other = (TableRow(of_mm(*mm), None, (800, 540)) for mm in ((0.1,), (0.1, 0.2)))
    assert [row.is_of((540, 800)) for row in (square, other)] == [True, True]
    assert [row.is_of((800, 540)) for row in (square, other)] == [True, False]
    assert not square.is_of((512, 512))
    assert square.square_mm() == 0.1
    assert TableRow(None).square_mm() is None
    with pytest.raises(DataError, match="not square"):
        other.square_mm()
    with pytest.raises(DataError, match="why"):
        TableRow(None, reason="why").square_mm()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"file,pixel size,PixelSpacing\na,0.1,0.2\\0.2\n", "0.1 mm and 'PixelSpacing' 0.2"),
        (b"filename,pixel size x,pixel size x (mm),pixel size y\na,0.1,0.2,0.1\n", "keep the"),
        (b"filename,pixel size,unit\na.png,0.1,cm\n", "'unit' is not read; .*'pixel size"),
        (b"filename,pixel size (um)\na.png,0.1\n", "expected a positive number of mm from 0.001"),
        *[(b"PK\x03\x04...", "a workbook, not a CSV.*CSV UTF-8"), (b"", "empty")],
        (b"\xff\xfe\x00pixel\x80", "not a readable CSV"),
        (b"filename,pixel size(mm)\na.png\x00,0.1\n", "bytes of 0"),
        (b'filename,pixel size(mm)\na.png,"' + b"1" * 200_000 + b'"\n', "not a readable CSV"),
    ],
)
def test_contradictions_and_other_files_are_refused(
    tmp_path: Path, data: bytes, message: str
) -> None:
    (tmp_path / "table.csv").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "table.csv")
    with pytest.raises(InputNotFoundError, match="a table of pixel sizes was expected"):
        read_table(tmp_path / "none.csv")


def test_encodings_of_excel_are_read_and_what_was_converted_is_noticed(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        text = "Dateiname;Pixelgröße (µm)\nKöpfe.png;120\n"
        table = write_table(tmp_path, text, encoding)
        assert sizes_in(table) == {"Köpfe.png": pytest.approx((0.12, 0.12))}
    notices: list[str] = []
    text = "filename,pixel size (cm)\n" + "a.png,0.012\n" * 100_000 + "Köpfe.png,0.012\n"
    path = write_table(tmp_path, text, "cp1252")
    assert list(read_table(path, notices.append)) == ["a.png", "Köpfe.png"]
    assert "Windows-1252" in notices[0]
    assert "'pixel size (cm)'" in notices[1]
    notices.clear()
    read_table(write_table(tmp_path, HC18 + "a.png,0.1,170\n"), notices.append)
    assert not notices


def test_a_table_too_large_is_refused_or_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size_table, "MAX_BYTES", 10)
    path = write_table(tmp_path, HC18 + "a.png,0.1,170\na.png,0.2,170\n")
    with pytest.raises(DataError, match="too large"):
        read_table(path)
    assert [row.pixel_size for _, row in read_table_rows(path)] == [of_mm(0.1), of_mm(0.2)]


@pytest.mark.parametrize("text", ["{0};{0}\n", "file,pixel size(mm)\n{0},{0}\n"])
def test_what_a_table_holds_makes_no_long_errors(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError) as caught:
        read_table(write_table(tmp_path, text.format("/" * 100_000)))
    assert len(str(caught.value)) < 4000
