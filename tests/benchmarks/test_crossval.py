from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgeseg.network import zoo
from edgeseg.score import hc18
from edgeseg.score.folds import grouped_folds
from tests.conftest import benchmark_script
from tests.training.tiny import TINY


@pytest.mark.nightly
def test_folds_are_trained_once_measured_and_pooled(
    phantom_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    cases = hc18.load_cases(phantom_data)
    Path("folds.json").write_text(json.dumps({"folds": grouped_folds(cases, 2, 1)}))
    recipe, results = Path("a.toml"), Path("results")
    values = TINY | {"name": "tiny", "epochs": 8, "learning_rate": 5e-3}
    recipe.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items()))
    command = f"crossval.py a.toml --data {phantom_data} --split folds.json --runs runs "
    command += "--results results --models models --precisions fp16"
    script = benchmark_script("crossval")

    monkeypatch.setattr(sys, "argv", [*command.split(), "--folds", "1"])
    script.main()
    assert sorted(p.name for p in results.iterdir()) == ["tiny-fold1.csv", "tiny-fold1.json"]
    before = (results / "tiny-fold1.csv").stat().st_mtime_ns

    monkeypatch.setattr(sys, "argv", command.split())
    script.main()
    assert (results / "tiny-fold1.csv").stat().st_mtime_ns == before  # not trained again
    assert json.loads((results / "tiny.json").read_text())["n_images"] == len(cases)
    run = json.loads(Path("runs/tiny-fold0/run.json").read_text())
    measured = (results / "tiny-fold0.csv").read_text()
    assert not [name for name in run["split"]["training"] if name in measured]
    fold = json.loads((results / "tiny-fold0.json").read_text())
    assert fold["model"]["sha256"] == zoo.find("models/tiny-fold0.onnx").sha256

    recipe.write_text(recipe.read_text().replace("epochs = 8", "epochs = 9"))
    with pytest.raises(SystemExit):
        script.main()
    assert "trained with other values" in capsys.readouterr().err
