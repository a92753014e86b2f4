from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeseg.score.evaluate import CSV_COLUMNS
from tests.conftest import benchmark_script


def write_results(
    path: Path, files: list[str], reference: list[float], errors: list[float]
) -> None:
    lines = [",".join(CSV_COLUMNS)]
    for file, hc, error in zip(files, reference, errors, strict=True):
        row = dict.fromkeys(CSV_COLUMNS, "1") | {
            "file": file, "hc_mm": str(hc + error), "hc_reference_mm": str(hc),
            "hc_error_mm": str(error), "flags": "",
        }  # fmt: skip
        lines.append(",".join(row[name] for name in CSV_COLUMNS))
    path.write_text("\n".join(lines) + "\n")


def test_shared_errors_and_siblings_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ["000_HC.png", "000_2HC.png", "001_HC.png", "001_2HC.png", "002_HC.png"]
    reference = [80.0, 84.0, 170.0, 171.0, 300.0]
    label = [1.0, -1.0, -2.0, 2.0, 6.0]  # opposite in siblings, shared by the models
    write_results(tmp_path / "a-fold0.csv", files[:3], reference[:3], label[:3])
    write_results(tmp_path / "a-fold1.csv", files[3:], reference[3:], label[3:])
    write_results(tmp_path / "b-fold0.csv", files, reference, [2 * e for e in label])
    script = benchmark_script("error_sources")
    monkeypatch.setattr(sys, "argv", ["error_sources.py", "a", "b", "--results", str(tmp_path)])
    script.main()
    figures = json.loads((tmp_path / "error_sources.json").read_text())
    assert figures["models"] == ["a", "b"]
    assert figures["two_models"]["correlation"] == pytest.approx(1)
    assert figures["two_models"]["mad_mm"] == pytest.approx([2.4, 4.8])
    assert figures["two_models"]["mad_of_their_mean_mm"] == pytest.approx(3.6)
    siblings = figures["two_images_of_one_head"]
    assert siblings["n_pairs"] == 2
    assert siblings["error_correlation"] == pytest.approx(-1)
    assert siblings["median_label_difference_mm"] == pytest.approx(np.median([4, 1]))
    assert figures["worst"][0]["file"] == "002_HC.png"
    assert [s["n_images"] for s in figures["by_hc"]] == [2, 0, 2, 0, 0, 1]
    assert figures["by_hc"][5]["above_5_mm"] == 1


def test_a_model_without_results_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["error_sources.py", "a", "b", "--results", str(tmp_path)])
    with pytest.raises(SystemExit):
        benchmark_script("error_sources").main()
    assert "a-fold*.csv" in capsys.readouterr().err
