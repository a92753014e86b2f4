from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from edgeseg.score import hc18
from edgeseg.score.folds import grouped_folds
from tests.conftest import benchmark_script
from tests.training.tiny import TINY


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return benchmark_script("strategies")


def test_a_row_is_trained_once_and_stands_beside_the_paper_s(
    script: ModuleType,
    phantom_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folds = tmp_path / "folds.json"
    cases = hc18.load_cases(phantom_data)
    folds.write_text(json.dumps({"folds": grouped_folds(cases, 5, 1)}))
    common = ["strategies.py", "--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "r")]
    options = [
        "--data", str(phantom_data), "--rows", "decoder-4", "--folds", str(folds),
        "--size", "64", "--encoder-weights", TINY["encoder_weights"],
        "--precision", TINY["precision"],
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", [*common, *options, "--epochs", "1"])
    script.main()
    results = sorted((tmp_path / "r").glob("*.json"))
    assert [path.name for path in results] == ["decoder-4-seed0.json"]
    result = json.loads(results[0].read_text())
    assert result["trained_parameters"] == 6976
    assert result["n_training"] + result["data"]["n_images"] == len(cases)
    assert 0 <= result["paper_metrics"]["dice"] <= 1
    assert str(tmp_path) not in results[0].read_text()
    printed = capsys.readouterr().out
    assert "| decoder-4 | imagenet |" in printed
    assert "37.04 (6.31)" in printed
    assert "95.56 (0.62)" not in printed  # no run of that row

    before = [path.stat().st_mtime_ns for path in results]
    script.main()
    assert [path.stat().st_mtime_ns for path in results] == before
    monkeypatch.setattr(sys, "argv", [*common, *options, "--epochs", "2"])
    with pytest.raises(SystemExit):
        script.main()
    assert "trained with other values" in capsys.readouterr().err


def test_rows_are_the_paper_s_and_their_names_differ(script: ModuleType) -> None:
    names = [row.name for row in script.ROWS]
    assert len(set(names)) == len(names) == 14
    assert {row.name for row in script.ROWS if row.seeds > 1} == {
        "encoder", "decoder-0-1-2", "decoder", "full",
    }  # fmt: skip
