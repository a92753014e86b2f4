"""Runs that are given gestational ages or a site's calibration."""

from __future__ import annotations

import json

import pytest

from edgeseg.errors import DataError
from edgeseg.images.calibration import Calibration
from tests.run.folders import ScanFolder

SITE = Calibration(0.98, 0.0, 0.004)
AGES = {"a.png": 20.0, "a b/a.png": None, "b.jpg": 21.4285714}


def test_ages_give_centiles_at_the_end_of_the_table(folder: ScanFolder) -> None:
    summary = folder.run(weeks=AGES)
    header = (folder.out / "results.csv").read_text().splitlines()[0]
    assert header.endswith(
        ",postprocess_ms,ga_weeks_given,hc_centile_intergrowth,bpd_centile_intergrowth,"
        "ofd_centile_intergrowth"
    )
    rows = {row["file"]: row for row in summary.rows}
    assert rows["a.png"]["ga_weeks_given"] == 20.0
    assert rows["b.jpg"]["ga_weeks_given"] == 21.4286
    assert 0 <= rows["a.png"]["hc_centile_intergrowth"] <= 100
    assert rows["a b/ü.png"]["ga_weeks_given"] == rows["broken.png"]["ga_weeks_given"] is None
    assert "GA given" in (folder.out / "report.html").read_text(encoding="utf-8")


def test_a_calibration_is_in_the_rows_the_record_and_the_report(folder: ScanFolder) -> None:
    before = folder.run().rows[0]
    assert "calibration" not in json.loads((folder.out / "run.json").read_text())
    after = folder.run(site=SITE, overwrite=True).rows[0]
    assert list(after)[-2:] == ["calibration_factor", "calibration_shift_mm"]
    assert after["calibration_factor"] == 0.98
    assert after["hc_mm"] == pytest.approx(0.98 * before["hc_mm"], abs=0.001)
    assert after["hc_px"] == before["hc_px"]
    record = json.loads((folder.out / "run.json").read_text())
    assert record["calibration"] == {
        "factor": 0.98, "shift_mm": 0.0, "factor_half_width": 0.004, "shift_half_width_mm": 0.0,
        "model_sha256": "",
    }  # fmt: skip
    report = (folder.out / "report.html").read_text(encoding="utf-8")
    assert "Calibrated: millimetres are multiplied by 0.9800" in report


def test_resume_measures_again_what_was_given_otherwise(folder: ScanFolder) -> None:
    folder.run(0.4, AGES, SITE)
    older = AGES | {"a.png": 25.0}
    summary = folder.run(0.4, older, SITE, resume=True)
    assert summary.n_kept == 3
    assert summary.rows[2]["ga_weeks_given"] == 25.0
    other = Calibration(0.97, 0.0, 0.004)
    summary = folder.run(0.4, older, other, resume=True)
    assert summary.n_kept == 0
    assert {r["calibration_factor"] for r in summary.rows if r["status"] == "ok"} == {0.97}
    shifted = Calibration(0.97, -1.0, 0.004)
    assert folder.run(0.4, older, shifted, resume=True).n_kept == 0
    with pytest.raises(DataError, match="columns"):
        folder.run(0.4, older, resume=True)
