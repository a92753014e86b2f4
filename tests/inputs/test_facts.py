from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize
from edgeseg.inputs.facts import Ages, PixelSizes, read_age, read_ages
from edgeseg.inputs.size_table import TableRow
from edgeseg.inputs.source import Source
from tests.tables import write_table

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


def test_ages_as_people_write_them() -> None:
    for text in (" 21W 3d ", "21w+3d", "21+3", "21 3/7", "150d", "21 weeks, 3 days", "21wk 3d"):
        assert read_age(text) == pytest.approx(150 / 7)
    # a number alone has the unit of its column
    assert read_age("150", "days") == pytest.approx(150 / 7)
    assert [read_age(text) for text in ("21,43", "4", "45w0d")] == [21.43, 4, 45]
    assert read_age("21.5 weeks", "days") == 21.5


def test_what_is_no_age_is_refused() -> None:
    for text in ("", "21w7d", "-21", "nan", "w3d", "9" * 5000):
        with pytest.raises(DataError, match="expected 21w3d"):
            read_age(text)
    for text in ("3w6d", "45.1", "150", "27d"):  # 150 where weeks are meant
        with pytest.raises(DataError, match="4 to 45 weeks"):
            read_age(text)


AGES = {"a.png": pytest.approx(150 / 7), "ü.png": pytest.approx(30)}


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (
            "filename,pixel size(mm),ga\na.png,0.1,21w3d\nb.png,0.1,\nc.png,,n/a\nü.png,,30+0\n",
            AGES,
        ),
        ("filename;ga_weeks\na.png;21,4285714\nü.png;30\n\n", AGES),
        ("Gestational age (days)\tfile\n150\ta.png\n210d\tü.png\n", AGES),
        # a centile for the age that the same HC gave would always be near 50
        ("file,ga_weeks_hadlock,ga_low_weeks_hadlock,ga_weeks_intergrowth\na.png,1,1,1\n", None),
        # what is wrong with rows of a table without ages is for the reader of sizes to say
        ("file,pixel size (mm),gadget\na.png,0,12\na.png,0,12\n", None),
    ],
)
def test_tables_as_people_have_them(tmp_path: Path, text: str, known: object) -> None:
    ages = read_ages(write_table(tmp_path, text))
    assert (ages and {file: weeks for file, weeks in ages.items() if weeks is not None}) == known


def test_tables_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    for text, message in (
        ("file,ga,gestational age\na,20,20\n", "'ga', 'gestational age' are all ages"),
        ("file,ga\na,20\na,21\n", "row 3: 'a' is there twice"),
        ("file,ga\na,20\nb,200\n", r"row 3 \('b'\): gestational age is '200'"),
        ("scan no,ga\na,20\n", "no column of files"),
    ):
        with pytest.raises(DataError, match=message):
            read_ages(write_table(tmp_path, text))


def test_ages_are_found_as_pixel_sizes_are_and_one_for_all_beats_them() -> None:
    found = [Source(file, f"/data/{file}") for file in ("x/a.png", "y/a.png", "b.png")]
    table = {"D:\\x\\A.PNG": 20.0, "y/a.png": None}
    ages = Ages(found, None, table)
    assert [ages.age_of(source) for source in found] == [20.0, None, None]
    assert Ages(found, 30.0, table).age_of(found[0]) == 30.0
    assert Ages(found, None, {}).is_given
    assert not Ages().is_given
    assert Ages().age_of(found[0]) is None
    shared = Ages(found, None, {"a.png": 20.0})
    with pytest.raises(DataError, match=r"table of ages has one row .* and 2 images"):
        shared.age_of(found[0])
