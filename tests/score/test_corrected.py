from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.measure.ellipse import Ellipse
from edgeseg.score.corrected import COLUMNS, read_corrections, summarize_corrections
from edgeseg.system.files import csv_text
from edgeseg.system.text import SIGNATURE

HEAD = Ellipse(200.0, 150.0, 120.0, 90.0, 0.5)
LARGER = Ellipse(204.0, 149.0, 126.0, 96.0, 0.45)
PIXEL_MM = 0.2


def cells(ellipse: Ellipse | None, pixel_mm: float | None) -> list[str]:
    if ellipse is None:
        return [""] * 7
    hc_px = ellipse.circumference_px
    hc_mm = f"{hc_px * pixel_mm:.3f}" if pixel_mm else ""
    return [hc_mm, f"{hc_px:.3f}", *(f"{value:.6f}" for value in astuple(ellipse))]


def row(
    name: str, own: Ellipse | None, model: Ellipse | None, pixel_mm: float | None = PIXEL_MM
) -> list[str]:
    """Return the row of an image, such as ``a.dcm 2``: a frame of a film."""
    file, _, frame = name.partition(" ")
    size = str(pixel_mm or "")
    return [file, frame, *cells(own, pixel_mm), size, size, *cells(model, pixel_mm)]


def write(tmp_path: Path, *rows: list[str]) -> Path:
    path = tmp_path / "corrected.csv"
    path.write_text(SIGNATURE + csv_text([COLUMNS, *rows]), encoding="utf-8")
    return path


def test_the_model_is_held_to_what_was_corrected(tmp_path: Path) -> None:
    film = row("a.dcm 1", HEAD, LARGER), row("a.dcm 2", HEAD, HEAD)
    images = row("c.png", HEAD, None), row("d.png", HEAD, LARGER, None)
    corrections = read_corrections(write(tmp_path, *film, *images))
    assert [c.frame for c in corrections] == ["1", "2", "", ""]
    summary = summarize_corrections(corrections)
    assert summary["n_images"] == 4
    assert summary["n_changed"] == 3
    assert summary["n_missed"] == 1
    off_mm = (LARGER.circumference_px - HEAD.circumference_px) * PIXEL_MM
    errors = summary["hc_error_mm"]  # of the film: the others have no two circumferences in mm
    assert errors["max"] == pytest.approx(off_mm, abs=2e-3)
    assert errors["bias"] == pytest.approx(off_mm / 2, abs=2e-3)
    share = LARGER.circumference_px / HEAD.circumference_px - 1
    assert summary["hc_error_share"]["max"] == pytest.approx(share, abs=1e-5)
    assert summary["hc_error_share"]["mad"] == pytest.approx(share * 2 / 3, abs=1e-5)
    mine, models = (e.mask(400, 500) > 0 for e in (HEAD, LARGER))
    dice = 2 * np.sum(mine & models) / (mine.sum() + models.sum())
    assert summary["dice_ellipse"]["min"] == pytest.approx(dice, abs=1e-3)
    assert summary["dice_ellipse"]["mean"] == pytest.approx((2 * dice + 1) / 3, abs=1e-3)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([row("a.png", HEAD, HEAD)] * 2, "'a.png' is there twice"),
        ([row("a.png", None, HEAD)], "row 2: no ellipse"),
        ([row("a.png", Ellipse(9, 9, 5, 7, 0), HEAD)], "semi_major_px is 5 and semi_minor_px 7"),
        ([[*row("a.png", HEAD, HEAD)[:-1], "north"]], "model_angle_rad is 'north'"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, rows: list[list[str]], sentence: str) -> None:
    table = write(tmp_path, *rows)
    with pytest.raises(DataError, match=sentence):
        read_corrections(table)
    table.write_text("file,hc_mm\na.png,170\n")
    with pytest.raises(DataError, match="no column frame, hc_px"):
        read_corrections(table)
