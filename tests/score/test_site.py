from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.score.evaluate import CSV_COLUMNS
from edgeseg.score.site import Head, read_site

RESULTS = (
    "file,frame,status,reason,flags,confidence,hc_mm,hc_low_mm,hc_high_mm,bpd_mm,hc_px\n"
    "x/a.png,,ok,,,0.99,175.0,172.0,178.0,50,1400\n"
    "b.png,,ok,,touches_border,0.99,180.0,177.0,183.0,50,1400\n"
    "c.png,,empty,no head,,0.1,,,,,\n"
    "d.png,,doubtful,,,0.9,190,180,200,50,1400\n"
    "e.png,,ok,,,0.99,,,,,1400\n"
    "f.png,,ok,,,0.99,100.0,,,30,800\n"
    "film.dcm,1,ok,,,0.99,150,147,153,40,1200\n"
    "film.dcm,2,ok,,,0.99,150,147,153,40,1200\n"
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "results.csv"
    path.parent.mkdir()
    path.write_text(RESULTS)
    (path.parent / "run.json").write_text(json.dumps({"model": {"sha256": "ab"}}))
    return path


def table(tmp_path: Path, text: str) -> Path:
    (tmp_path / "site.csv").write_text(text)
    return tmp_path / "site.csv"


def test_a_table_of_both(tmp_path: Path) -> None:
    text = "file,hc_site_mm,hc_edgeseg_mm\na.png,172,175\nb.png,,180\nc.png,190,\n"
    found = read_site(table(tmp_path, text))
    assert found.heads == (Head("a.png", 172.0, 175.0, None),)
    assert found.model_sha256 == ""
    (text,) = found.notices
    assert ": 1, such as 'c.png'" in text
    # what evaluate writes is one too
    row = "a.png,0.9,0.9,0.9,0.9,1.0,175.0,172.0,3.0,0.99,"
    flagged = "b.png,0.9,0.9,0.9,0.9,1.0,175.0,172.0,3.0,0.99,low_confidence"
    found = read_site(table(tmp_path, f"{','.join(CSV_COLUMNS)}\n{row}\n{flagged}\n"))
    assert found.heads == (Head("a.png", 172.0, 175.0, None),)
    assert len(found.notices) == 1
    for text in (  # titles as people write them
        "image;HC manual (mm);HC edgeseg (mm)\na.png;172;175\n",
        "file\thc_mm\tedgeseg_hc_mm\na.png\t172\t175\n",
    ):
        assert read_site(table(tmp_path, text)).heads == (Head("a.png", 172.0, 175.0, None),)


def test_results_are_joined_by_file(tmp_path: Path, results: Path) -> None:
    """Frames of a film are passed over; titles may be those of HC18's own table."""
    files = {"a.png": 172, "b": 170, "c.png": 170, "d.png": 170, "e.png": 1, "f.png": 98,
             "film.dcm": 150}  # fmt: skip
    lines = [f"{file},0.1,{mm}" for file, mm in files.items()]
    text = "\n".join(["filename,pixel size(mm),head circumference (mm)", *lines])
    site = table(tmp_path, text)
    found = read_site(site, results)
    assert found.heads == (
        Head("a.png", 172.0, 175.0, 3.0),
        Head("f.png", 98.0, 100.0, None),
    )
    left_out, missing = found.notices
    assert ": 4, such as 'b'" in left_out
    assert ": 1, such as 'film.dcm'" in missing
    assert found.model_sha256 == "ab"
    (results.parent / "run.json").write_text("[]")
    assert read_site(site, results).model_sha256 == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,hc_site_mm,hc_edgeseg_mm\na,172,175\na,172,175\n", "row 3: 'a' is there twice"),
        ("file,hc_site_mm,hc_edgeseg_mm\na,x,175\n", "'a': hc_site_mm is 'x'; expected a number"),
        ("file,hc_site_mm,hc_edgeseg_mm\na,-3,175\n", "expected a positive number of mm"),
        ("file,hc_site_cm,hc_edgeseg_mm\na,17.2,175\n", "'file,hc_site_mm,hc_edgeseg_mm', in mm"),
        ("file,hc_a_mm,hc_b_mm\na,1,2\n", "'file,hc_site_mm,hc_edgeseg_mm', in mm"),
        ("file,hc_site_mm,hc_manual_mm,hc_edgeseg_mm\na,1,2,3\n", "are not clear"),
        ("file,hc_mm,hc_mm\na,1,2\n", "two columns are called 'hc_mm'"),
        ("picture,hc_site_mm,hc_edgeseg_mm\na,1,2\n", "no column of files"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_site(table(tmp_path, text))


CALIBRATED = RESULTS.replace("\n", ",0.98\n").replace("hc_px,0.98", "hc_px,calibration_factor")


@pytest.mark.parametrize(
    ("site", "measured", "message"),
    [
        ("file,hc_mm\na.png,172\n", "file,hc_mm\na.png,172\n", r"no column status; expected"),
        ("file,hc_a_mm,hc_b_mm\na.png,172,173\n", RESULTS, "are not clear"),
        ("file,hc_mm\na.png,172\n", CALIBRATED, "calibrated already"),
        ("file,hc_mm\na.png,172\n", RESULTS.replace("b.png", "y/a.png"), "and 2 images"),
    ],
)
def test_other_results(
    tmp_path: Path, results: Path, site: str, measured: str, message: str
) -> None:
    results.write_text(measured)
    with pytest.raises(DataError, match=message):
        read_site(table(tmp_path, site), results)
    with pytest.raises(InputNotFoundError, match=r"none\.csv"):
        read_site(table(tmp_path, "file,hc_mm\na.png,172\n"), tmp_path / "none.csv")
