from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.network.task import Task
from edgeseg.output import cines
from edgeseg.output.pictures import picture_names
from edgeseg.output.record import record_of
from edgeseg.output.table import TIMING_COLUMNS, Row, columns, failed_row
from edgeseg.segmenter import Segmenter
from tests.tables import read_rows

ASKED = {"arguments": {"inputs": ["scans"]}, "options": {"batch": 2}}
FAILED = failed_row("b.png", "cut short", Task())


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


HEAD = Task("head")


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
    (found,) = cines.summaries(rows, HEAD)
    counts = {"n_frames": 6, "n_ok": 3, "n_doubtful": 1, "n_refused": 2, "best_frame": 2}
    medians = {"hc_mm": 102.0, "hc_spread_mm": 2.0, "hc_px": 1020.0, "hc_spread_px": 20.0}
    assert found == {"file": "a.dcm"} | counts | medians
    assert tuple(found) == cines.columns(HEAD)
    (found,) = cines.summaries(FILM[2:5], HEAD)
    values = [found[name] for name in ("n_ok", "best_frame", "hc_mm", "hc_spread_mm")]
    assert values == [0, None, None, None]
    rows = [frame_row("a.dcm", i, "ok", 90.0) | {"hc_mm": None} for i in (1, 2)]
    (found,) = cines.summaries(rows, HEAD)
    assert (found["hc_mm"], found["hc_px"]) == (None, 900.0)
    for frames, expected in ((FILM, 2), (FILM[2:5], 3), (FILM[3:5], None)):
        best = cines.best_frame(frames)
        assert (best and best["frame"]) == expected
    assert cines.columns(Task("regions", ("background", "cyst")))[6:] == (
        "cyst_area_px", "cyst_area_spread_px", "cyst_area_mm2", "cyst_area_spread_mm2",
    )  # fmt: skip


def test_a_file_is_there_only_where_films_are(tmp_path: Path) -> None:
    path = tmp_path / cines.CINES_NAME
    written = cines.write_cines(path, FILM, HEAD)
    (texts,) = read_rows(path)
    assert [*texts] == [*written[0]] == [*cines.columns(HEAD)]
    assert (texts["hc_mm"], texts["hc_spread_mm"], texts["n_ok"]) == ("102.000", "2.000", "3")
    assert cines.write_cines(path, [frame_row("b.png", 0, "ok", 60.0)], HEAD) == []
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
