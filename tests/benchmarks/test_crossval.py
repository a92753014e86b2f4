from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgeseg.score import hc18
from edgeseg.score.folds import grouped_folds
from edgeseg.segmenter import Segmenter
from tests.conftest import benchmark_script
from tests.training.tiny import TINY


@pytest.mark.nightly
def test_folds_are_trained_once_measured_and_pooled(
    phantom_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases = hc18.load_cases(phantom_data)
    split, recipe, results = (tmp_path / name for name in ("folds.json", "a.toml", "results"))
    split.write_text(json.dumps({"folds": grouped_folds(cases, 2, 1)}))
    values = TINY | {"name": "tiny", "epochs": 8, "learning_rate": 5e-3}
    recipe.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items()))
    command = ["crossval.py", str(recipe), "--data", str(phantom_data), "--split", str(split)]
    command += ["--runs", str(tmp_path / "runs"), "--results", str(results)]
    command += ["--models", str(tmp_path / "models"), "--precisions", "fp16"]
    script = benchmark_script("crossval")

    monkeypatch.setattr(sys, "argv", [*command, "--folds", "1"])
    script.main()
    assert sorted(p.name for p in results.iterdir()) == ["tiny-fold1.csv", "tiny-fold1.json"]
    before = (results / "tiny-fold1.csv").stat().st_mtime_ns

    monkeypatch.setattr(sys, "argv", command)
    script.main()
    assert (results / "tiny-fold1.csv").stat().st_mtime_ns == before  # not trained again
    pooled = json.loads((results / "tiny.json").read_text())
    assert pooled["n_images"] == len(cases)
    for k in (0, 1):
        run = json.loads((tmp_path / "runs" / f"tiny-fold{k}" / "run.json").read_text())
        measured = (results / f"tiny-fold{k}.csv").read_text()
        assert not [name for name in run["split"]["training"] if name in measured]
    model = Segmenter(tmp_path / "models" / "tiny-fold0.onnx", device="cpu")
    fold = json.loads((results / "tiny-fold0.json").read_text())
    assert fold["model"]["sha256"] == model.file.sha256

    recipe.write_text(recipe.read_text().replace("epochs = 8", "epochs = 9"))
    with pytest.raises(SystemExit):
        script.main()
    assert "trained with other values" in capsys.readouterr().err
