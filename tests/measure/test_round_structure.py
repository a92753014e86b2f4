"""Any one round structure is measured as a head is, under its own name."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import ModelError
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network.metadata import ModelMetadata
from edgeseg.network.task import Task
from tests.cli.calls import call, rows
from tests.fakes import METADATA, FakeSession, head_image

ROUND = replace(METADATA, task=Task("ellipse", ("background", "cyst")))
FIGURES = [f"cyst_{name}" for name in (
    "circumference_mm", "long_axis_mm", "short_axis_mm", "area_mm2", "circumference_px",
)]  # fmt: skip
OF_ELLIPSE = ["center_x_px", "center_y_px", "semi_major_px", "semi_minor_px", "angle_rad"]
TRUE = Ellipse(150.3, 101.8, 60.0, 40.0, 0.4)
SIZE = (200, 300)


def test_its_circumference_axes_and_area_stand_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = FakeSession(metadata=ROUND)
    monkeypatch.setattr("edgeseg.segmenter.open_session", lambda *_, **__: session)
    images = {
        "cut": head_image(replace(TRUE, center_x_px=15.0), SIZE),
        "dark": np.zeros(SIZE, np.uint8),
        "two": np.maximum(
            head_image(TRUE, SIZE), head_image(Ellipse(30, 30, 25.0, 20.0, 0.0), SIZE)
        ),
        "whole": head_image(TRUE, SIZE),
    }
    for name, image in images.items():
        (tmp_path / f"{name}.png").write_bytes(encode(".png", image))
    result = call("infer", tmp_path, "--pixel-size", 0.5, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    cut, dark, two, whole = rows(tmp_path / "out")
    figures = [*FIGURES, *OF_ELLIPSE, "pixel_size_x_mm"]
    assert [*whole][5 : 6 + len(figures)] == ["confidence", *figures]
    assert [row["status"] for row in (cut, dark, two, whole)] == [
        "doubtful", "empty", "doubtful", "ok",
    ]  # fmt: skip
    assert ("touches_border" in cut["flags"], two["flags"]) == (True, "several_regions")
    assert "cyst" in dark["reason"] and not any(dark[name] for name in figures[:-1])
    in_mm = TRUE.scaled(0.5, 0.5)
    expected = (
        in_mm.circumference_px,
        2 * in_mm.semi_major_px,
        2 * in_mm.semi_minor_px,
        math.pi * in_mm.semi_major_px * in_mm.semi_minor_px,
        TRUE.circumference_px,
    )
    assert [float(whole[name]) for name in FIGURES] == pytest.approx(expected, rel=5e-3)
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<h1>Circumference: cyst</h1>" in page and "head" not in whole["reason"]


@pytest.mark.parametrize("classes", [["background"], ["background", "cyst", "lesion"]])
def test_it_is_exactly_one(classes: list[str]) -> None:
    text = ROUND.to_json().replace('["background", "cyst"]', str(classes).replace("'", '"'))
    with pytest.raises(ModelError, match="class"):
        ModelMetadata.from_json(text)
