from __future__ import annotations

from pathlib import Path

from edgeseg.network.task import Task
from edgeseg.output import cines
from edgeseg.output.table import Row, columns
from tests.tables import read_rows

HEAD = Task("head")


def row(file: str, frame: int, status: str, hc_mm: float | None = None, sure: float = 0.9) -> Row:
    cells: Row = dict.fromkeys(columns(HEAD))
    cells |= {"file": file, "frame": frame or None, "status": status, "confidence": sure}
    return cells | ({"hc_mm": hc_mm, "hc_px": 10 * hc_mm} if hc_mm else {})


FILM = [
    row("a.dcm", 1, "ok", 100.0, 0.90),
    row("a.dcm", 2, "ok", 104.0, 0.97),
    row("a.dcm", 3, "doubtful", 300.0, 0.99),
    row("a.dcm", 4, "empty"),
    row("a.dcm", 5, "failed"),
    row("a.dcm", 6, "ok", 102.0, 0.95),
]


def test_a_film_is_summed_up_by_the_frames_to_be_trusted() -> None:
    rows = [row("A.png", 0, "ok", 50.0), *FILM, row("b.png", 0, "ok", 60.0)]
    (found,) = cines.summaries(rows, HEAD)
    counts = {"n_frames": 6, "n_ok": 3, "n_doubtful": 1, "n_refused": 2, "best_frame": 2}
    medians = {"hc_mm": 102.0, "hc_spread_mm": 2.0, "hc_px": 1020.0, "hc_spread_px": 20.0}
    assert found == {"file": "a.dcm"} | counts | medians
    assert tuple(found) == cines.columns(HEAD)


def test_a_film_that_cannot_be_trusted_has_no_figures() -> None:
    (found,) = cines.summaries(FILM[2:5], HEAD)
    values = [found[name] for name in ("n_ok", "best_frame", "hc_mm", "hc_spread_mm")]
    assert values == [0, None, None, None]


def test_without_millimetres_pixels_remain() -> None:
    rows = [row("a.dcm", i, "ok", 90.0) | {"hc_mm": None} for i in (1, 2)]
    (found,) = cines.summaries(rows, HEAD)
    assert (found["hc_mm"], found["hc_px"]) == (None, 900.0)


def test_the_best_frame_is_an_undoubted_one_if_there_is_any() -> None:
    for frames, expected in ((FILM, 2), (FILM[2:5], 3), (FILM[3:5], None)):
        best = cines.best_frame(frames)
        assert (best and best["frame"]) == expected


def test_areas_of_classes_are_summed_up_too() -> None:
    assert cines.columns(Task("regions", ("background", "cyst")))[6:] == (
        "cyst_area_px", "cyst_area_spread_px", "cyst_area_mm2", "cyst_area_spread_mm2",
    )  # fmt: skip


def test_a_file_is_there_only_where_films_are(tmp_path: Path) -> None:
    path = tmp_path / cines.CINES_NAME
    written = cines.write_cines(path, FILM, HEAD)
    (texts,) = read_rows(path)
    assert [*texts] == [*written[0]] == [*cines.columns(HEAD)]
    assert (texts["hc_mm"], texts["hc_spread_mm"], texts["n_ok"]) == ("102.000", "2.000", "3")
    assert cines.write_cines(path, [row("b.png", 0, "ok", 60.0)], HEAD) == []
    assert not path.exists()
