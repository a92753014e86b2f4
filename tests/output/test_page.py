from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.drawing.thumbnail import add_thumbnail
from edgeseg.measure.head import given_columns
from edgeseg.network.task import Task
from edgeseg.output.report import page
from edgeseg.output.table import columns
from tests.tables import values_of

RECORD: dict[str, Any] = {
    "counts": {"n_images": 3, "ok": 1, "doubtful": 1, "empty": 0, "failed": 1},
    "model": {"name": "hc18-edge"},
    "timings": {"wall_s": 1.0, "stages_ms": {"decode": 1.25, "inference": None}},
    "host": {"cpu": "a <fast> one", "governor": None},
    "versions": {"edgeseg": "0"},
    "arguments": {"inputs": ["scans"]},
}


HEAD = Task()
HOSTILE = '</script><b>"\x1b[31m\n<!-- data -->.png'


def written(
    rows: list[dict[str, str]], overlays: Path | None, path: Path, task: Task = HEAD
) -> str:
    page.write_page(path / "report.html", task, [*map(values_of, rows)], RECORD, overlays)
    return (path / "report.html").read_text(encoding="utf-8")


def data_of(text: str) -> Any:
    """Return what a page is given to show."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


class Checker(HTMLParser):
    """Collects tags, scripts and what is loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.scripts: list[str] = []
        self.policy = ""
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        self._in_script = tag in ("script", "style") and "type" not in given
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, str]]:
    picture = np.zeros((300, 400, 3), np.uint8)
    overlay = add_thumbnail(encode(".jpg", picture), picture[::2, ::2])
    (tmp_path / "overlays").mkdir()
    for name in ("good.jpg", "flagged.jpg"):
        (tmp_path / "overlays" / name).write_bytes(overlay)
    blank = dict.fromkeys(columns(HEAD), "")
    return [
        blank | {"file": "good.png", "status": "ok", "hc_mm": "173.205", "confidence": "0.9900"},
        blank
        | {
            "file": "flagged.png",
            "status": "doubtful",
            "hc_px": "9.500",
            "flags": "touches_border",
        },
        blank | {"file": HOSTILE, "status": "failed", "reason": "cut short & bad"},
    ]


def test_the_page_is_self_contained_and_escaped(rows: list[dict[str, str]], tmp_path: Path) -> None:
    text = written(rows, tmp_path / "overlays", tmp_path)
    checker = Checker(text)
    assert checker.sources == []
    assert "<script>alert" not in text
    assert "</script><b>" not in text
    assert "a &lt;fast&gt; one" in text
    assert data_of(text)["images"][2]["cells"][0] == HOSTILE
    assert "Not a medical device" in text
    assert "3 images: 1 ok, 1 doubtful, 0 no head, 1 failed." in text


def test_the_policy_lets_in_the_page_s_own_scripts_alone(
    rows: list[dict[str, str]], tmp_path: Path
) -> None:
    checker = Checker(written(rows, tmp_path / "overlays", tmp_path))
    assert len(checker.scripts) == 1 + len(page.SCRIPTS)
    for script in checker.scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in checker.policy
    assert checker.policy.startswith("default-src 'none'; ")
    assert "unsafe" not in checker.policy
    assert "http" not in checker.policy


def test_every_image_has_its_row_and_its_pictures(
    rows: list[dict[str, str]], tmp_path: Path
) -> None:
    data = data_of(written(rows, tmp_path / "overlays", tmp_path))
    assert data["titles"] == list(rows[0])
    assert [image["cells"] for image in data["images"]] == [list(row.values()) for row in rows]
    good, flagged, failed = data["images"]
    assert good["overlay"] == "overlays/good.jpg"
    assert good["size"] == flagged["size"] == [400, 300]
    small = cv2.imdecode(np.frombuffer(base64.b64decode(good["thumbnail"]), np.uint8), 1)
    assert small is not None
    assert small.shape == (150, 200, 3)
    assert failed.keys() == {"cells", "texts"}
    assert data["flags"]["touches_border"] in written(rows, None, tmp_path)


def test_a_name_becomes_an_address_that_finds_it(tmp_path: Path) -> None:
    row = dict.fromkeys(columns(HEAD), "") | {"status": "ok"}
    files = ["a b/ü?#%.png", "film.dcm", "\udcff.png"]
    rows = [row | {"file": file} for file in files]
    rows[1]["frame"] = "3"
    found = [image["overlay"] for image in data_of(written(rows, tmp_path, tmp_path))["images"]]
    assert found[0].endswith("/a%20b/%C3%BC%3F%23%25.jpg")
    assert found[1].endswith("/film.dcm.frame-0003.jpg")
    assert found[2].endswith("/%FF.jpg")


def test_pictures_within_the_page_are_those_that_need_a_look(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.output.report.data.MAX_THUMBNAILS", 2)
    good, flagged, _ = data_of(written(rows, tmp_path / "overlays", tmp_path))["images"]
    assert "thumbnail" in flagged
    assert "thumbnail" not in good
    assert good["overlay"] == "overlays/good.jpg"


def test_the_least_sure_of_one_status_come_first(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.output.report.data.MAX_THUMBNAILS", 1)
    sure = rows[0]
    unsure = sure | {"file": "flagged.png", "confidence": "0.5000"}
    images = data_of(written([sure, unsure], tmp_path / "overlays", tmp_path))["images"]
    assert ["thumbnail" in image for image in images] == [False, True]


def test_without_overlays_there_are_no_pictures(rows: list[dict[str, str]], tmp_path: Path) -> None:
    text = written(rows, None, tmp_path)
    assert not any("overlay" in image for image in data_of(text)["images"])
    assert "No overlays were written" in text


def test_a_folder_without_images_has_a_page(tmp_path: Path) -> None:
    assert data_of(written([], None, tmp_path))["images"] == []


def test_an_overlay_without_a_small_picture_lies_beside(
    rows: list[dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "overlays" / "good.jpg").write_bytes(encode(".jpg", np.zeros((30, 40), np.uint8)))
    (good,) = data_of(written(rows[:1], tmp_path / "overlays", tmp_path))["images"]
    assert good.keys() == {"cells", "texts", "overlay"}


def texts(text: str, place: int = 0) -> dict[str, str]:
    """Return what people read of an image, by column."""
    data = data_of(text)
    names = (column["name"] for column in data["columns"])
    return dict(zip(names, data["images"][place]["texts"], strict=True))


def test_people_read_one_decimal(rows: list[dict[str, str]], tmp_path: Path) -> None:
    rows[0] |= {"hc_high_mm": "176.800", "ga_weeks_hadlock": "19.8012", "bpd_mm": "50.000"}
    rows[0] |= {"ga_high_weeks_hadlock": "21.3012"}
    text = written(rows, tmp_path, tmp_path)
    read = texts(text)
    assert read["hc_mm"] == "173.2 ± 3.6"
    assert read["ga_weeks_hadlock"] == "19w6d ± 1w4d"
    assert read["bpd_mm"] == "50.0"
    assert texts(text, 1)["hc_px"] == "9.5"
    assert not any(texts(text, 2).values())
    assert "ga_weeks_given" not in read
    assert "alibrated: millimetres" not in text


def test_nothing_is_read_of_what_was_not_found(rows: list[dict[str, str]], tmp_path: Path) -> None:
    empty = rows[0] | {"status": "empty", "reason": "no head found: dark", "hc_mm": ""}
    assert not any(texts(written([empty], tmp_path, tmp_path)).values())


def test_classes_have_the_colours_of_the_overlays(tmp_path: Path) -> None:
    task = Task("regions", ("background", "lesion", "cyst"))
    row = dict.fromkeys(columns(task), "") | {"file": "a.png", "status": "ok"}
    row |= {"lesion_area_px": "120", "cyst_area_px": "0"}
    data = data_of(written([row], None, tmp_path, task))
    assert data["structures"] == [
        {"name": "lesion", "colour": "rgb(60, 220, 80)"},
        {"name": "cyst", "colour": "rgb(86, 180, 233)"},
    ]
    assert texts(written([row], None, tmp_path, task))["lesion_area_px"] == "120"


def test_ages_and_calibration_are_on_the_page_where_they_were_given(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_ages = dict.fromkeys((c.name for c in given_columns(HEAD, ages=True, calibrated=False)), "")
    rows = [row | of_ages for row in rows]
    rows[0] |= {"ga_weeks_given": "20.0000", "hc_centile_intergrowth": "53.81"}
    read = texts(written(rows, tmp_path, tmp_path))
    assert (read["ga_weeks_given"], read["hc_centile_intergrowth"]) == ("20w0d", "54")
    for site, text in (
        ({"factor": 0.98312, "shift_mm": 0.0}, "millimetres are multiplied by 0.9831"),
        ({"factor": 1.0, "shift_mm": -8.04}, "millimetres are moved, HC by -8.0 mm"),
    ):
        monkeypatch.setitem(RECORD, "calibration", site)
        assert text in written(rows, tmp_path, tmp_path)


def test_facts_show_what_cannot_be_seen(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECORD, "arguments", {"out": "a\x1b[31m\u202e<b>"})
    assert r"<td>a\x1b[31m\u202e&lt;b&gt;</td>" in written(rows, None, tmp_path)
