from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.errors import DataError, OutputWriteError
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.measurement import Column
from edgeseg.measure.quality import FLAGS
from edgeseg.network.task import Task
from edgeseg.output.appender import RowAppender
from edgeseg.output.table import (
    TIMING_COLUMNS,
    Table,
    columns,
    failed_row,
    figures_of,
    line,
    pixel_size_cells,
    prediction_row,
    read_rows,
    typed,
    write_lines,
)
from tests.fakes import FakeSession, head_image, open_fake

HEAD = Task()
LESION = Task("regions", ("background", "lesion", "cyst"))


def test_columns_of_a_head_are_the_contract() -> None:
    assert ",".join(columns(HEAD)) == (
        "file,frame,status,reason,flags,confidence,hc_mm,hc_low_mm,hc_high_mm,bpd_mm,ofd_mm,"
        "cephalic_index,area_mm2,ga_weeks_hadlock,ga_low_weeks_hadlock,ga_high_weeks_hadlock,"
        "ga_weeks_intergrowth,hc_px,center_x_px,center_y_px,semi_major_px,semi_minor_px,angle_rad,"
        "pixel_size_x_mm,pixel_size_y_mm,pixel_size_source,decode_ms,preprocess_ms,inference_ms,"
        "postprocess_ms"
    )


def test_columns_of_regions_are_the_contract() -> None:
    assert ",".join(columns(LESION)) == (
        "file,frame,status,reason,flags,confidence,lesion_area_px,lesion_area_mm2,lesion_count,"
        "cyst_area_px,cyst_area_mm2,cyst_count,pixel_size_x_mm,pixel_size_y_mm,pixel_size_source,"
        "decode_ms,preprocess_ms,inference_ms,postprocess_ms"
    )


def test_rows_survive_awkward_texts(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    names = ['a "b", ü\n.png', "c.png", "a\rb.png", "a\u2028b\x0bc.png"]
    rows = [failed_row(name, "why, exactly?\nso", HEAD) for name in names]
    table = Table(columns(HEAD), map(line, rows))
    write_lines(path, table.titles, table.lines[:1])
    with RowAppender(path) as appender:
        for text in table.lines[1:]:
            appender.append(text)
    assert list(read_rows(path)) == list(read_rows(path, columns(HEAD))) == rows
    assert list(table) == rows
    assert list(table[1:3]) == rows[1:3]


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_row_that_was_cut_off_is_left_out(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "results.csv"
    sentences = {"a.png": "first", "b.png": "the second,\nof two lines"}
    rows = [failed_row(file, sentence, HEAD) for file, sentence in sentences.items()]
    write_lines(path, columns(HEAD), map(line, rows))
    path.write_bytes(path.read_bytes()[:-cut])
    assert list(read_rows(path)) == rows[:1]


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("name,value\na,1\n")
    with pytest.raises(DataError, match="columns are not those"):
        read_rows(path)
    write_lines(path, columns(LESION), [])
    assert len(read_rows(path)) == 0
    with pytest.raises(DataError, match="columns are not those"):
        read_rows(path, columns(HEAD))


def test_a_row_holds_every_figure_with_its_decimals(monkeypatch: pytest.MonkeyPatch) -> None:
    image = head_image(Ellipse(280.0, 200.0, 140.0, 108.0, 0.3), (384, 576))
    found = open_fake(monkeypatch, FakeSession()).predict(image, (0.8, 0.4))
    row = prediction_row("a.png", found, 1.23456)
    assert tuple(row) == columns(HEAD)
    assert (row["file"], row["frame"], row["status"]) == ("a.png", "", "doubtful")
    assert row["flags"] == "unusual_shape;hc_out_of_range;field_of_view_out_of_range"
    assert row["reason"] == "; ".join(FLAGS[flag] for flag in found.flags)
    assert row["confidence"] == f"{found.confidence:.4f}"
    assert (row["pixel_size_x_mm"], row["pixel_size_y_mm"]) == ("0.8", "0.4")
    assert row["pixel_size_source"] == "option"
    decimals = {"cephalic_index": 2, "area_mm2": 2, "angle_rad": 6}
    for name, value in found.figures.items():
        places = decimals.get(name, 4 if "_weeks_" in name else 3)
        assert row[name] == ("" if value is None else f"{value:.{places}f}"), name
    times = [row[name] for name in TIMING_COLUMNS]
    assert times == ["1.235", *(f"{ms:.3f}" for ms in found.times_ms)]


def test_texts_cannot_run_as_formulas_and_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    names = ["=1+1.png", "+1.png", "-1.png", "@a.png", "\ta.png", "'=a.png", "a;=b.png", "it's.png"]
    rows = [failed_row(name, f"-{name}: why", HEAD) for name in names]
    write_lines(path, columns(HEAD), map(line, rows))
    assert list(read_rows(path, columns(HEAD))) == rows
    with path.open(newline="", encoding="utf-8-sig") as stream:
        raw = list(csv.DictReader(stream))
    for row in raw:
        assert not any(cell.startswith(tuple("=+-@\t")) for cell in row.values())
    assert raw[0]["file"] == "'=1+1.png"
    assert raw[-1]["file"] == "it's.png"


def test_numbers_below_zero_stay_numbers() -> None:
    row = failed_row("a.png", "", HEAD) | {"center_x_px": "-3.5", "angle_rad": "-0.1"}
    assert ",-3.5," in line(row)
    assert typed(row)["center_x_px"] == -3.5


def test_titles_of_odd_classes_come_back(tmp_path: Path) -> None:
    task = Task("regions", ("background", "=1+1"))
    path = tmp_path / "results.csv"
    write_lines(path, columns(task), [])
    assert b",'=1+1_area_px," in path.read_bytes()
    assert read_rows(path, columns(task)).titles == columns(task)


def test_the_file_says_to_excel_that_it_is_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_lines(path, columns(HEAD), [line(failed_row("Müller.png", "", HEAD))])
    assert path.read_bytes().startswith(b"\xef\xbb\xbffile,frame,")
    path.write_bytes(path.read_bytes()[3:])  # as another program saved it
    assert read_rows(path, columns(HEAD))[0]["file"] == "Müller.png"


def test_a_row_as_numbers_is_what_the_prediction_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    image = head_image(Ellipse(280.0, 200.0, 140.0, 108.0, 0.3), (384, 576))
    found = open_fake(monkeypatch, FakeSession()).predict(Frame(image, name="12"), (0.8, 0.4))
    given = found.to_dict()
    row = typed(prediction_row("12", found, 1.0))
    assert tuple(given) == tuple(row) == columns(HEAD)
    assert given["file"] == row["file"] == "12"
    assert given["frame"] is row["frame"] is None
    assert given["decode_ms"] is None
    for name, value in row.items():
        if name != "decode_ms":
            assert value == (pytest.approx(given[name], abs=5e-3) if given[name] else given[name])
            assert type(given[name]) in (str, float, type(None)), name
    assert typed({"file": "1", "frame": "3"}) == {"file": "1", "frame": 3}


def test_flags_are_told_apart_by_semicolons(monkeypatch: pytest.MonkeyPatch) -> None:
    image = head_image(Ellipse(60.0, 200.0, 140.0, 108.0, 0.3), (384, 576))
    found = open_fake(monkeypatch, FakeSession()).predict(image, 5.0)
    row = prediction_row("a.png", found, 0.0)
    assert len(found.flags) >= 2
    assert tuple(row["flags"].split(";")) == found.flags


def test_a_pixel_size_is_written_in_full() -> None:
    cells = pixel_size_cells(PixelSize(0.123456789012345, 1 / 3, "table"))
    assert cells == {
        "pixel_size_x_mm": "0.123456789012345",
        "pixel_size_y_mm": "0.3333333333333333",
        "pixel_size_source": "table",
    }
    assert set(pixel_size_cells(None).values()) == {""}


def test_a_text_that_is_no_unicode_ends_no_run(tmp_path: Path) -> None:
    """As a path that is not UTF-8 comes into the sentence of an error."""
    path, text = tmp_path / "results.csv", line(failed_row("a.png", "b\udcfc.png: no file", HEAD))
    write_lines(path, columns(HEAD), [text])
    with RowAppender(path) as appender:
        appender.append(text)
    assert [row["reason"] for row in read_rows(path)] == ["b\\udcfc.png: no file"] * 2


GIVEN = (Column("ga_weeks_given", 4), Column("hc_centile_intergrowth", 2))


def test_what_was_given_ends_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    image = head_image(Ellipse(280.0, 200.0, 140.0, 108.0, 0.3), (384, 576))
    segmenter = open_fake(monkeypatch, FakeSession())
    frame = Frame(image, PixelSize(0.2, 0.2, "option"), ga_weeks=21.4285714)
    rows = [
        prediction_row("a.png", segmenter.predict(frame), 1.0, GIVEN),
        prediction_row("b.png", segmenter.predict(replace(frame, ga_weeks=None)), 1.0, GIVEN),
        failed_row("c.png", "cut short", HEAD, GIVEN),
    ]
    titles = (*columns(HEAD), "ga_weeks_given", "hc_centile_intergrowth")
    assert [tuple(row) for row in rows] == [titles] * 3
    assert columns(HEAD, GIVEN) == titles
    assert [row["ga_weeks_given"] for row in rows] == ["21.4286", "", ""]
    assert rows[0]["hc_centile_intergrowth"]
    assert {row["hc_centile_intergrowth"] for row in rows[1:]} == {""}


def test_figures_are_read_back_from_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    image = head_image(Ellipse(280.0, 200.0, 140.0, 108.0, 0.3), (384, 576))
    frame = Frame(image, PixelSize(0.2, 0.2, "option"), ga_weeks=20.0)
    found = open_fake(monkeypatch, FakeSession()).predict(frame)
    back = figures_of(prediction_row("a.png", found, 0.0, GIVEN), HEAD)
    asked = {*columns(HEAD, GIVEN)} & found.figures.keys()
    assert back.keys() == asked
    for name in asked:
        value = found.figures[name]
        assert back[name] == (None if value is None else pytest.approx(value, abs=0.006)), name
    assert set(figures_of(failed_row("c.png", "cut short", HEAD), HEAD).values()) == {None}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "results.csv").symlink_to("/dev/full")
    full = pytest.raises(OutputWriteError, match=r"results\.csv: cannot be written \(No space")
    with full, RowAppender(tmp_path / "results.csv") as appender:
        appender.append("a,b\n")
