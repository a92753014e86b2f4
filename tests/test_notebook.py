"""What a notebook shows, and the examples that people copy."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import edgeseg
import edgeseg.prediction
import edgeseg.segmenter
from edgeseg.drawing.encode import encode
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.network.task import Task
from edgeseg.output import table
from edgeseg.phantom.head import Phantom
from edgeseg.segmenter import Segmenter

README = Path(__file__).parents[1] / "README.md"


def test_a_prediction_shows_its_overlay_and_figures(
    segmenter: Segmenter, phantoms: list[Phantom]
) -> None:
    frame = Frame(phantoms[0].image, PixelSize(0.2, 0.2, "option"), "<b>&.png")
    prediction = segmenter.predict(frame)
    picture = cv2.imdecode(np.frombuffer(prediction._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(picture, prediction.overlay())
    shown = prediction._repr_html_()
    assert "data:image/jpeg;base64," in shown
    assert f"HC {prediction.hc_mm:.1f} ±" in shown
    assert "&lt;b&gt;&amp;.png" in shown
    assert "<b>&" not in shown


def test_what_is_doubtful_or_not_there_says_why(
    segmenter: Segmenter, phantoms: list[Phantom]
) -> None:
    for image, status in ((phantoms[0].image, "doubtful"), (np.zeros((200, 300)), "empty")):
        found = segmenter.predict(image, 9.0)
        assert found.status == status
        assert found.reason.split("; ")[0].replace("'", "&#x27;") in found._repr_html_()


def test_a_table_shows_its_first_rows() -> None:
    row = dict.fromkeys(table.columns(Task()), "") | {"status": "ok"}
    rows = table.Table(row, (table.pack(row | {"file": f"<i>{i}.png"}) for i in range(23)))
    shown = rows._repr_html_()
    assert shown.count("<tr>") == 21
    assert "&lt;i&gt;19.png" in shown
    assert "20.png" not in shown
    assert "and 3 more rows" in shown
    assert "more rows" not in rows[:5]._repr_html_()


@pytest.mark.parametrize("module", [edgeseg, edgeseg.segmenter, edgeseg.prediction])
def test_examples_of_the_documentation_run(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert not failed
    assert tried


def test_examples_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phantoms: list[Phantom]
) -> None:
    (tmp_path / "scan.png").write_bytes(encode(".png", phantoms[0].image))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, "README.md", "exec"), names)
        assert names["prediction"].hc_mm is not None  # type: ignore[attr-defined]
