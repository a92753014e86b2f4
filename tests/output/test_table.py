"""Rows, their table, the summary of films, a run's record and the names of its pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.measurement import Column
from edgeseg.measure.quality import FLAGS
from edgeseg.network.task import Task
from edgeseg.output import table
from edgeseg.output.record import picture_names, record_of
from edgeseg.output.table import TIMING_COLUMNS, Row, columns, failed_row
from edgeseg.segmenter import Segmenter
from tests.fakes import LESIONS, FakeSession, head_image, open_fake
from tests.tables import read_rows

HEAD = Task("head")
GIVEN = (Column("ga_weeks_given", 4), Column("hc_centile_intergrowth", 2))
FRAME = Frame(head_image(Ellipse(280.0, 200.0, 140.0, 108.0, 0.3), (384, 576)), name="12")


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    return open_fake(monkeypatch, FakeSession())


def write(path: Path, *rows: Row) -> Path:
    table.write_csv(path, columns(HEAD), rows, table.column_decimals(HEAD))
    return path


FIRST = "file,frame,status,reason,flags,confidence,"
HEAD_FIGURES = (
    "hc_mm,hc_low_mm,hc_high_mm,bpd_mm,ofd_mm,cephalic_index,area_mm2,ga_weeks_hadlock,"
    "ga_low_weeks_hadlock,ga_high_weeks_hadlock,ga_weeks_intergrowth,hc_px,center_x_px,"
    "center_y_px,semi_major_px,semi_minor_px,angle_rad,"
)
AREAS = "lesion_area_px,lesion_area_mm2,lesion_count,cyst_area_px,cyst_area_mm2,cyst_count,"
LAST = "pixel_size_x_mm,pixel_size_y_mm,pixel_size_source,"
TIMES = "decode_ms,preprocess_ms,inference_ms,postprocess_ms"


def test_columns_are_the_contract() -> None:
    for task, figures in ((HEAD, HEAD_FIGURES), (LESIONS.task, AREAS)):
        assert ",".join(columns(task)) == FIRST + figures + LAST + TIMES


@pytest.mark.parametrize(
    "name",
    [
        *("a, b.png", 'say "hi".png', "two\nlines\r.png", "ü\u2028.png", "it's.png"),
        *("=1+1.png", "-1.png", "@a.png", "\ta.png", "'=a.png", "a;=b.png"),
    ],
)
def test_texts_cannot_run_as_formulas_and_come_back(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "results.csv", failed_row(name, f"-{name}: why", columns(HEAD)))
    (row,) = read_rows(path)
    assert (row["file"], row["reason"]) == (name, f"-{name}: why")
    assert tuple(row) == columns(HEAD)
    line = path.read_text("utf-8-sig").splitlines()[1]
    assert not line.removeprefix('"').startswith(tuple("=+-@\t"))
    assert ",-" not in line
    assert path.read_bytes().startswith(b"\xef\xbb\xbffile,frame,")


def test_titles_of_odd_classes_are_shielded_and_odd_bytes_end_no_run(tmp_path: Path) -> None:
    """As a path that is not UTF-8 comes into the sentence of an error."""
    task, path = Task("regions", ("background", "=1+1")), tmp_path / "results.csv"
    table.write_csv(path, columns(task), [], table.column_decimals(task))
    assert b",'=1+1_area_px," in path.read_bytes()
    row = failed_row("a.png", "b\udcfc.png: no file", columns(HEAD))
    assert table.Table(row, [table.pack(row)])[0] == row
    assert read_rows(write(tmp_path / "a.csv", row))[0]["reason"] == "b\\udcfc.png: no file"


def test_a_row_holds_every_figure_rounded_to_its_decimals(heads: Segmenter, tmp_path: Path) -> None:
    found = heads.predict(FRAME, (0.8, 1 / 3))
    row = table.prediction_row("12", found, 1.23456)
    assert tuple(row) == columns(HEAD)
    assert (row["file"], row["frame"], row["status"]) == ("12", None, "doubtful")
    assert row["reason"] == "; ".join(FLAGS[flag] for flag in found.flags)
    decimals = {"cephalic_index": 2, "area_mm2": 2, "angle_rad": 6}
    (texts,) = read_rows(write(tmp_path / "results.csv", row))
    for name, value in found.figures.items():
        places = decimals.get(name, 4 if "_weeks_" in name else 3)
        assert row[name] == (None if value is None else round(value, places)), name
        assert texts[name] == ("" if value is None else f"{value:.{places}f}"), name
    times_ms = [1.235, *(round(ms, 3) for ms in found.times_ms)]
    assert [row[name] for name in TIMING_COLUMNS] == times_ms
    assert (texts["decode_ms"], texts["pixel_size_y_mm"]) == ("1.235", "0.3333333333333333")
    given = found.to_dict() | {"decode_ms": 1.23456}  # what the prediction gives is the same
    assert tuple(given) == tuple(row)
    for name, value in row.items():
        assert value == (pytest.approx(given[name], abs=5e-3) if given[name] else given[name])
    # negative numbers and whole ones keep their form
    row = failed_row("a.png", "", columns(HEAD), frame=3) | {"center_x_px": -3.5}
    (texts,) = read_rows(write(tmp_path / "results.csv", row))
    assert (texts["center_x_px"], texts["frame"], texts["hc_mm"]) == ("-3.500", "3", "")


def test_rows_in_little_memory_are_the_same_and_a_notebook_shows_the_first() -> None:
    rows = [failed_row(f"<i>{i}.png", "why", columns(HEAD), frame=i) for i in range(30)]
    found = table.Table(columns(HEAD), map(table.pack, rows))
    assert [*found] == rows
    assert [*found[3:5]] == rows[3:5]
    shown = found._repr_html_()
    assert shown.count("<tr>") == 21
    assert "&lt;i&gt;19.png" in shown and "and 10 more rows" in shown
    assert "more rows" not in found[:5]._repr_html_()


def test_what_was_given_ends_the_table_and_is_read_back(heads: Segmenter) -> None:
    frame = replace(FRAME, pixel_size=PixelSize(0.2, 0.2, "option"), ga_weeks=21.4285714)
    found = heads.predict(frame)
    rows = [
        table.prediction_row("a.png", found, 1.0, GIVEN),
        table.prediction_row("b.png", heads.predict(replace(frame, ga_weeks=None)), 1.0, GIVEN),
        failed_row("c.png", "cut short", columns(HEAD, GIVEN)),
    ]
    titles = (*columns(HEAD), "ga_weeks_given", "hc_centile_intergrowth")
    assert [tuple(row) for row in rows] == [titles] * 3
    assert columns(HEAD, GIVEN) == titles
    assert [row["ga_weeks_given"] for row in rows] == [21.4286, None, None]
    assert [row["hc_centile_intergrowth"] is None for row in rows] == [False, True, True]
    back = table.figures_of(rows[0], HEAD)
    assert back.keys() == {*titles} & found.figures.keys()
    for name, value in back.items():
        assert value == (pytest.approx(found.figures[name], abs=0.006) if value else value), name
    assert set(table.figures_of(rows[2], HEAD).values()) == {None}


ASKED = {"arguments": {"inputs": ["scans"]}, "options": {"batch": 2}}
FAILED = failed_row("b.png", "cut short", columns(HEAD))


def row(status: str, *times_ms: float) -> Row:
    return FAILED | {"status": status} | dict(zip(TIMING_COLUMNS, times_ms, strict=True))


def test_the_record_says_what_was_asked_and_what_came(segmenter: Segmenter) -> None:
    rows = [
        row("ok", 1.0, 2.0, 30.0, 4.0),
        FAILED,
        row("empty", 3.0, 2.5, 10.0, 0.0),
        row("doubtful", 2.0, 1.5, 20.0, 2.0),
    ]
    record = record_of(segmenter, ASKED, status="done", n_images=4, rows=rows, wall_s=1.23456)
    assert json.loads(json.dumps(record)) == record
    assert list(record) == [
        "status", "arguments", "options", "versions", "host", "model", "counts", "timings",
    ]  # fmt: skip
    assert record["status"] == "done"
    assert {key: record[key] for key in ASKED} == ASKED
    ones = dict.fromkeys(("ok", "doubtful", "empty", "failed"), 1)
    assert record["counts"] == {"n_images": 4} | ones
    assert record["timings"]["wall_s"] == 1.235
    means = {"decode": 2, "preprocess": 2, "inference": 20, "postprocess": 2}
    assert record["timings"]["stages_ms"] == pytest.approx(means)
    assert record["model"] == {
        "name": "hc18-edge",
        "sha256": segmenter.file.sha256,
        "size_bytes": segmenter.file.size_bytes,
        "precision": segmenter.metadata.precision,
        "input_height": 192,
        "input_width": 288,
        "task": {"kind": "head"},
        "provider": "CPUExecutionProvider",
    }
    record = record_of(segmenter, ASKED, status="running", n_images=4)  # it has no results yet
    assert record["status"] == "running"
    assert set(record["counts"].values()) == {4, 0}
    assert set(record["timings"]["stages_ms"].values()) == {None}


def frame_row(file: str, frame: int, status: str, hc_mm: float = 0.0, sure: float = 0.9) -> Row:
    cells: Row = dict.fromkeys(columns(HEAD))
    cells |= {"file": file, "frame": frame or None, "status": status, "confidence": sure}
    return cells | ({"hc_mm": hc_mm, "hc_px": 10 * hc_mm} if hc_mm else {})


FILM = [
    frame_row("a.dcm", 1, "ok", 100.0, 0.90),
    frame_row("a.dcm", 2, "ok", 104.0, 0.97),
    frame_row("a.dcm", 3, "doubtful", 300.0, 0.99),
    frame_row("a.dcm", 4, "empty"),
    frame_row("a.dcm", 5, "failed"),
    frame_row("a.dcm", 6, "ok", 102.0, 0.95),
]


def test_a_film_is_summed_up_by_the_frames_to_be_trusted() -> None:
    """Without any it has no figures; without millimetres pixels remain."""
    rows = [frame_row("A.png", 0, "ok", 50.0), *FILM, frame_row("b.png", 0, "ok", 60.0)]
    (found,) = table.film_summaries(rows, HEAD)
    counts = {"n_frames": 6, "n_ok": 3, "n_doubtful": 1, "n_refused": 2, "best_frame": 2}
    medians = {"hc_mm": 102.0, "hc_spread_mm": 2.0, "hc_px": 1020.0, "hc_spread_px": 20.0}
    assert found == {"file": "a.dcm"} | counts | medians | {"reason": None}
    assert [*found] == ["file", *counts, *medians, "reason"]
    (found,) = table.film_summaries(FILM[2:5], HEAD)
    values = [found[name] for name in ("n_ok", "best_frame", "hc_mm", "hc_spread_mm")]
    assert values == [0, None, None, None]
    rows = [frame_row("a.dcm", i, "ok", 90.0) | {"hc_mm": None} for i in (1, 2)]
    (found,) = table.film_summaries(rows, HEAD)
    assert (found["hc_mm"], found["hc_px"]) == (None, 900.0)
    for frames, expected in ((FILM, 2), (FILM[2:5], 3), (FILM[3:5], None)):
        best = table.best_frame(frames)
        assert (best and best["frame"]) == expected


def test_a_file_is_there_only_where_films_are(tmp_path: Path) -> None:
    path = tmp_path / table.CINES_NAME
    written = table.write_cines(path, FILM, HEAD)
    (texts,) = read_rows(path)
    assert [*texts] == [*written[0]]
    assert (texts["hc_mm"], texts["hc_spread_mm"], texts["n_ok"]) == ("102.000", "2.000", "3")
    assert table.write_cines(path, [frame_row("b.png", 0, "ok", 60.0)], HEAD) == []
    assert not path.exists()


def test_no_two_frames_or_files_have_one_name() -> None:
    given = [
        *(("a.dcm", 0), ("a.dcm", 1), ("a.dcm", 12345), ("a", 0), ("a", 1), ("a.img", 0)),
        *(("a.dcm.frame-0001.png", 0), ("a.dcm.png", 0), ("a.dcm.dcm", 0), ("a.png", 0)),
        *(("a.img.dcm", 0), ("a.png.dcm", 0), ("a.frame-0001.dcm", 0), ("a.DCM", 0)),
        *(("a.jpg", 0), ("a.jpg.png", 0), ("a.PNG", 0), ("d/a.png", 0), ("a.img.png", 0)),
    ]
    named = [picture_names(file, frame) for file, frame in given]
    for kind in ("masks", "overlays"):
        assert len({names[kind] for names in named}) == len(given)
    of_files = {file: picture_names(file)["sr"] for file, _ in given}
    assert len({*of_files.values()}) == len(of_files)
    assert of_files["a.dcm"] == "sr/a.dcm"
    masks = [picture_names(file)["masks"] for file in ("d/a.png", "a.jpg", "a.jpg.png")]
    assert masks == ["masks/d/a.png", "masks/a.jpg.png", "masks/a.jpg.png.png"]
    assert picture_names("a.dcm", 3)["masks"] == "masks/a.dcm.frame-0003.png"
    assert picture_names("a.dcm", 3)["seg"] == "seg/a.dcm"
