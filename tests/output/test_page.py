from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import add_thumbnail, encode
from edgeseg.network.task import Task
from edgeseg.output.report import page
from edgeseg.output.table import columns
from tests.tables import values_of

RECORD: dict[str, Any] = {
    "counts": {"n_images": 3, "ok": 1, "doubtful": 1, "empty": 0, "failed": 1},
    "timings": {"wall_s": 1.0, "stages_ms": {"decode": 1.25, "inference": None}},
    "host": {"cpu": "a <fast> one", "governor": None},
    "arguments": {"out": "a\x1b[31m\u202e<b>"},
}
HEAD = Task()
HOSTILE = '</script><b>"\x1b[31m\n<!-- data -->.png'
Rows = list[dict[str, str]]


def written(rows: Rows, overlays: Path | None, path: Path, **record: Any) -> str:
    values = [*map(values_of, rows)]
    page.write_page(path / "report.html", HEAD, values, RECORD | record, overlays)
    return (path / "report.html").read_text(encoding="utf-8")


def data_of(text: str) -> Any:
    """Return what a page is given to show."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def texts(text: str, place: int = 0) -> dict[str, str]:
    """Return what people read of an image, by column."""
    data = data_of(text)
    names = (column["name"] for column in data["columns"])
    return dict(zip(names, data["images"][place]["texts"], strict=True))


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    picture = np.zeros((300, 400, 3), np.uint8)
    overlay = add_thumbnail(encode(".jpg", picture), picture[::2, ::2])
    (tmp_path / "overlays").mkdir()
    for name in ("good.jpg", "flagged.jpg"):
        (tmp_path / "overlays" / name).write_bytes(overlay)
    blank = dict.fromkeys(columns(HEAD), "")
    good = {"file": "good.png", "status": "ok", "hc_mm": "173.205", "confidence": "0.9900"}
    flagged = {"file": "flagged.png", "status": "doubtful", "hc_px": "9.500"}
    failed = {"file": HOSTILE, "status": "failed", "reason": "cut short & bad"}
    return [blank | good, blank | flagged | {"flags": "touches_border"}, blank | failed]


def test_the_page_is_self_contained_and_escaped_and_runs_its_own_scripts_alone(
    rows: Rows, tmp_path: Path
) -> None:
    text = written(rows, tmp_path / "overlays", tmp_path)
    assert not re.search(r"<[^>]* (?:src|href)=", re.sub("(?s)<script.*?</script>", "", text))
    assert "</script><b>" not in text
    assert "a &lt;fast&gt; one" in text
    assert r"<td>a\x1b[31m\u202e&lt;b&gt;</td>" in text
    assert data_of(text)["images"][2]["cells"][0] == HOSTILE
    assert "Not a medical device" in text
    assert "biparietal diameter" in text
    assert "Pink: the label" not in text
    assert "3 images: 1 ok, 1 doubtful, 0 no head, 1 failed." in text
    scripts = re.findall(r"(?s)<(?:script|style)>(.*?)</(?:script|style)>", text)
    assert len(scripts) == 1 + len(page.SCRIPTS)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_every_image_has_its_row_and_its_pictures(rows: Rows, tmp_path: Path) -> None:
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
    (tmp_path / "overlays" / "good.jpg").write_bytes(encode(".jpg", np.zeros((30, 40), np.uint8)))
    (good,) = data_of(written(rows[:1], tmp_path / "overlays", tmp_path))["images"]
    assert good.keys() == {"cells", "texts", "overlay"}  # which has no thumbnail
    text = written(rows, None, tmp_path)
    assert not any("overlay" in image for image in data_of(text)["images"])
    assert "No overlays were written" in text
    assert data_of(written([], None, tmp_path))["images"] == []


def test_a_name_becomes_an_address_that_finds_it(tmp_path: Path) -> None:
    row = dict.fromkeys(columns(HEAD), "") | {"status": "ok"}
    rows = [row | {"file": file} for file in ("a b/ü?#%.png", "film.dcm", "\udcff.png")]
    rows[1]["frame"] = "3"
    found = [image["overlay"] for image in data_of(written(rows, tmp_path, tmp_path))["images"]]
    assert found[0].endswith("/a%20b/%C3%BC%3F%23%25.jpg")
    assert found[1].endswith("/film.dcm.frame-0003.jpg")
    assert found[2].endswith("/%FF.jpg")


def test_pictures_within_the_page_are_those_that_need_a_look(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure, doubtful, failed = rows
    unsure = sure | {"file": "flagged.png", "confidence": "0.5000"}
    for most, each, expected in (
        (2, [sure, doubtful, failed], [False, True, False]),
        (1, [sure, unsure], [False, True]),
    ):
        monkeypatch.setattr("edgeseg.output.report.page.MAX_THUMBNAILS", most)
        images = data_of(written(each, tmp_path / "overlays", tmp_path))["images"]
        assert ["thumbnail" in image for image in images] == expected


def test_people_read_one_decimal(rows: Rows, tmp_path: Path) -> None:
    rows[0] |= {"hc_high_mm": "176.800", "ga_weeks_hadlock": "19.8012", "bpd_mm": "50.000"}
    rows[0] |= {"ga_high_weeks_hadlock": "21.3012"}
    text = written([*rows, rows[0] | {"status": "empty"}], tmp_path, tmp_path)
    read = texts(text)
    assert (read["hc_mm"], read["bpd_mm"]) == ("173.2 ± 3.6", "50.0")
    assert read["ga_weeks_hadlock"] == "19w6d ± 1w4d"
    assert texts(text, 1)["hc_px"] == "9.5"
    assert not any((*texts(text, 2).values(), *texts(text, 3).values()))
    assert "ga_weeks_given" not in read
    assert "alibrated: millimetres" not in text
    # ages and a calibration are there where they were given
    rows[0] |= {"ga_weeks_given": "20.0000", "hc_centile_intergrowth": "53.81"}
    read = texts(written(rows[:1], tmp_path, tmp_path))
    assert (read["ga_weeks_given"], read["hc_centile_intergrowth"]) == ("20w0d", "54")
    for site, text in (
        ({"factor": 0.98312, "shift_mm": 0.0}, "millimetres are multiplied by 0.9831"),
        ({"factor": 1.0, "shift_mm": -8.04}, "millimetres are moved, HC by -8.0 mm"),
    ):
        assert text in written(rows, tmp_path, tmp_path, calibration=site)
