from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.measure.head import given_columns
from edgeseg.network.task import Task
from edgeseg.output.report import page as report
from edgeseg.output.table import columns, failed_row

RECORD: dict[str, Any] = {
    "counts": {"n_images": 3, "ok": 1, "doubtful": 1, "empty": 0, "failed": 1},
    "model": {"name": "hc18-edge"},
    "timings": {"wall_s": 1.0, "stages_ms": {"decode": 1.25, "inference": None}},
    "host": {"cpu": "a <fast> one", "governor": None},
    "versions": {"edgeseg": "0"},
    "arguments": {"inputs": ["scans"]},
}


HEAD = Task()


def written(rows: list[dict[str, str]], overlays: Path | None, path: Path) -> str:
    report.write_page(path / "report.html", HEAD, rows, RECORD, overlays, workers=2)
    return (path / "report.html").read_text(encoding="utf-8")


class Checker(HTMLParser):
    """Counts tags and collects the sources of pictures."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, str]]:
    overlay = encode(".jpg", np.zeros((300, 400, 3), np.uint8))
    (tmp_path / "good.jpg").write_bytes(overlay)
    (tmp_path / "flagged.jpg").write_bytes(overlay)
    blank = dict.fromkeys(columns(HEAD), "")
    return [
        blank | {"file": "good.png", "status": "ok", "hc_mm": "173.205"},
        blank
        | {"file": "flagged.png", "status": "doubtful", "hc_px": "9.5", "flags": "touches_border"},
        failed_row("<script>alert(1)</script>.png", "cut short & bad", HEAD),
    ]


def test_the_page_is_self_contained_and_escaped(rows: list[dict[str, str]], tmp_path: Path) -> None:
    page = written(rows, tmp_path, tmp_path)
    checker = Checker(page)
    assert "script" not in checker.tags
    assert "&lt;script&gt;" in page
    assert "cut short &amp; bad" in page
    assert "a &lt;fast&gt; one" in page
    assert len(checker.sources) == 2
    assert all(source.startswith("data:image/jpeg;base64,") for source in checker.sources)
    assert "Not a medical device" in page
    assert "173.205" in page
    assert "3 images: 1 measured, 1 doubtful, 0 without a head, 1 failed." in page


def test_images_that_need_a_look_come_first(rows: list[dict[str, str]], tmp_path: Path) -> None:
    captions = re.findall(r"<figcaption>([^<]+)", written(rows, tmp_path, tmp_path))
    assert captions == ["&lt;script&gt;alert(1)&lt;/script&gt;.png", "flagged.png", "good.png"]


def test_pictures_are_limited(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MAX_PICTURES", 2)
    page = written(rows, tmp_path, tmp_path)
    assert page.count("<figure>") == 2
    assert "2 of 3 pictures" in page


def test_without_overlays_there_are_no_pictures(rows: list[dict[str, str]], tmp_path: Path) -> None:
    page = written(rows, None, tmp_path)
    assert "<img" not in page
    assert "No overlays were written" in page


@pytest.mark.parametrize(
    ("size", "shown"), [((1080, 1600), (216, 320)), ((1600, 800), (400, 200)), ((90, 160), None)]
)
def test_pictures_are_made_small(
    rows: list[dict[str, str]], tmp_path: Path, size: tuple[int, int], shown: tuple[int, int] | None
) -> None:
    """A page of two hundred pictures must open; what is small already stays as it is."""
    (tmp_path / "good.jpg").write_bytes(encode(".jpg", np.full((*size, 3), 90, np.uint8)))
    (source,) = Checker(written(rows[:1], tmp_path, tmp_path)).sources
    data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
    small = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert small is not None
    assert small.shape == (*(shown or size), 3)


def test_a_large_folder_shows_two_hundred(tmp_path: Path) -> None:
    rows = [failed_row(f"{i}.png", "cut short", HEAD) for i in range(205)]
    page = written(rows, tmp_path, tmp_path)
    assert page.count("<figure>") == 200
    assert "200 of 205 pictures" in page


def test_people_read_one_decimal_and_find_all_digits_behind_it(
    rows: list[dict[str, str]], tmp_path: Path
) -> None:
    rows[0] |= {"hc_high_mm": "176.800", "ga_weeks_hadlock": "19.8012", "bpd_mm": "50.000"}
    rows[0] |= {"ga_high_weeks_hadlock": "21.3012"}
    page = written(rows, tmp_path, tmp_path)
    assert '<td title="173.205">173.2 ± 3.6</td>' in page
    assert '<td title="19.8012">19w6d ± 1w4d</td>' in page
    assert '<td title="50.000">50.0</td>' in page
    assert "<td>9.5</td>" in page
    assert "<figcaption>good.png<br>HC (mm) 173.2 ± 3.6" in page
    assert "<figcaption>flagged.png<br>HC (px) 9.5" in page
    assert "GA given" not in page
    assert "alibrated" not in page


def test_what_was_measured_in_doubt_is_read_too(rows: list[dict[str, str]], tmp_path: Path) -> None:
    page = written([rows[0] | {"status": "doubtful"}], tmp_path, tmp_path)
    assert "<figcaption>good.png<br>HC (mm) 173.2<" in page
    empty = rows[0] | {"status": "empty", "reason": "no head found: dark", "hc_mm": ""}
    page = written([empty], tmp_path, tmp_path)
    assert "<figcaption>good.png<br>no head found: dark<" in page


def test_ages_and_calibration_are_on_the_page_where_they_were_given(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_ages = dict.fromkeys((c.name for c in given_columns(HEAD, ages=True, calibrated=False)), "")
    rows = [row | of_ages for row in rows]
    rows[0] |= {"ga_weeks_given": "20.0000", "hc_centile_intergrowth": "53.81"}
    page = written(rows, tmp_path, tmp_path)
    assert "<th>GA given</th><th>HC centile</th>" in page
    assert '<td title="20.0000">20w0d</td><td title="53.81">54</td>' in page
    for site, text in (
        ({"factor": 0.98312, "shift_mm": 0.0}, "millimetres are multiplied by 0.9831"),
        ({"factor": 1.0, "shift_mm": -8.04}, "millimetres are moved, HC by -8.0 mm"),
    ):
        monkeypatch.setitem(RECORD, "calibration", site)
        assert text in written(rows, tmp_path, tmp_path)
