from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from edgeseg.cli import app
from edgeseg.errors import ConfigError, DataError, OutputExistsError
from edgeseg_training import encoders
from edgeseg_training import train as training
from edgeseg_training.checkpoint import load_trained
from edgeseg_training.config import STRATEGIES, TrainConfig
from edgeseg_training.train import train
from edgeseg_training.validation import Validator
from tests.tables import read_rows
from tests.training.tiny import TINY

pytestmark = pytest.mark.slow


def history(out: Path) -> list[dict[str, Any]]:
    record = json.loads((out / "run.json").read_text())
    return [{k: v for k, v in h.items() if k != "seconds"} for h in record["history"]]


@pytest.mark.parametrize(
    "strategy",
    [pytest.param(s, marks=pytest.mark.nightly) if s == "baseline" else s for s in STRATEGIES],
)
def test_every_strategy_trains(
    tiny: TrainConfig, phantom_data: Path, tmp_path: Path, strategy: str
) -> None:
    config = tiny.updated({"strategy": strategy, "validate_every": 9, "input_width": 64})
    train(phantom_data, tmp_path / "run", config)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["status"], record["config"]["strategy"]) == ("done", strategy)
    assert "validation" not in record["history"][0]
    scores = {"dice", "hc_mad_mm", "hc_bias_mm", "paper_dice"}
    assert record["history"][1]["validation"].keys() == scores


@pytest.mark.nightly
def test_a_killed_run_resumes_to_the_same_weights(phantom_data: Path, tmp_path: Path) -> None:
    options = [f"--{k.replace('_', '-')}={v}" for k, v in TINY.items() if k != "epochs"]
    command = [sys.executable, "-m", "edgeseg", "train", "--data", str(phantom_data), *options]
    # a loading process reads ahead; validation only now and then
    command += ["--epochs", "6", "--precision", "bf16", "--strategy", "decoder"]
    command += ["--workers", "1", "--validate-every", "2"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with subprocess.Popen([*command, "--out", str(killed)]) as process:
        while not (killed / "run.json").is_file() or len(history(killed)) < 2:
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.01)
        process.kill()
    assert 2 <= len(history(killed)) < 6
    subprocess.run([*command, "--out", str(killed), "--resume"], check=True)
    subprocess.run([*command, "--out", str(whole)], check=True)
    assert history(killed) == history(whole) != []
    resumed = load_file(killed / "model.safetensors")
    for name, tensor in load_file(whole / "model.safetensors").items():
        assert torch.equal(tensor, resumed[name]), name


def test_a_run_may_go_on_with_its_split_file_elsewhere(
    tiny: TrainConfig, phantom_data: Path, tmp_path: Path
) -> None:
    names = sorted(p.name for p in (phantom_data / "training_set").glob("*HC.png"))
    for i, text in enumerate((names[:4], names[:4], names[:3])):
        rest = [name for name in names if name not in text]
        (tmp_path / f"{i}.json").write_text(json.dumps({"folds": [text, rest]}))
    first, moved, other = (
        tiny.updated({"epochs": 1, "folds": str(tmp_path / f"{i}.json")}) for i in range(3)
    )
    train(phantom_data, tmp_path / "run", first)
    train(phantom_data, tmp_path / "run", moved, resume=True)
    with pytest.raises(ConfigError, match="the run began with folds"):
        train(phantom_data, tmp_path / "run", other, resume=True)


def test_what_exists(tiny: TrainConfig, phantom_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(phantom_data, run, tiny.updated({"epochs": 1}))
    before = (run / "run.json").read_bytes()
    with pytest.raises(OutputExistsError, match="--resume continues a run"):
        train(phantom_data, run, tiny)
    assert (run / "run.json").read_bytes() == before
    (tmp_path / "last.ckpt").write_text("mine")
    with pytest.raises(OutputExistsError):
        train(phantom_data, tmp_path, tiny, resume=True)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match="not the record of a run"):
        train(phantom_data, tmp_path, tiny, resume=True)
    assert (tmp_path / "run.json").read_text() == "{}"
    assert (tmp_path / "last.ckpt").read_text() == "mine"


def test_a_run_on_everything_goes_on_with_more_epochs_at_a_constant_rate(
    tiny: TrainConfig, phantom_data: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "run", tiny.updated({"fold": -1})
    train(phantom_data, out, whole.updated({"epochs": 1}))
    assert "validation" not in history(out)[0]  # nothing is held out
    weights = train(phantom_data, out, whole.updated({"epochs": 3}), resume=True)
    epochs = history(out)
    assert [epoch["epoch"] for epoch in epochs] == [0, 1, 2]
    for epoch in epochs[1:]:
        assert epoch["learning_rate"] == pytest.approx(0.1 * tiny.learning_rate)
    record = json.loads((out / "run.json").read_text())
    assert record["config"]["epochs"] == 3
    assert (record["data"]["n_training"], record["data"]["n_validation"]) == (12, 0)
    with pytest.raises(ConfigError, match="the run began with epochs = 3, not 2"):
        train(phantom_data, out, whole.updated({"epochs": 2}), resume=True)
    before = weights.read_bytes()
    for was_killed in (False, True):  # between the last checkpoint and the weights
        if was_killed:
            weights.unlink()
        train(phantom_data, out, whole.updated({"epochs": 3}), resume=True)
        assert weights.read_bytes() == before


def test_the_best_weights_are_kept_and_patience_and_resume_need_no_more_options(
    tiny: TrainConfig, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.9, 0.2, 0.1, 0.95, 0.0, 0.0, 0.0, 0.0])
    monkeypatch.setattr(Validator, "scores", lambda self: {"dice": next(scores)})
    out, lines = tmp_path / "run", list[str]()

    def state() -> tuple[int, Any]:
        assert len(read_rows(out / "metrics.csv")) == len(history(out))
        return len(history(out)), load_trained(out).facts["validation"]

    def resume(*options: str) -> str:
        done = CliRunner().invoke(app, ["train", "--out", str(out), "--resume", *options])
        return done.output if done.exit_code == 0 else repr(done.exception)

    config = tiny.updated({"epochs": 9, "patience": 2})
    weights = train(phantom_data, out, config, on_message=lines.append)
    assert state() == (4, {"dice": 0.9})
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line[:9] for line in epochs] == [f"epoch {i}/9" for i in range(1, 5)]
    assert "Dice 90.00 % (best so far)" in epochs[1] and "left" in epochs[1]
    assert {"curves.png", "last.ckpt", weights.name} < {path.name for path in out.iterdir()}
    assert weights.stat().st_mode == (out / "run.json").stat().st_mode
    assert "by --patience 2" in resume()
    assert "the run began with seed = 0, not 3" in resume("--seed", "3")
    monkeypatch.setattr(training, "_LONGEST_SILENCE_S", 0)
    said = resume("--patience", "3")
    assert said.startswith("training ") and "epoch 8: batch 1 of 3" in said
    assert state() == (8, {"dice": 0.95})
    train(phantom_data, tmp_path / "heavy", tiny.updated({"epochs": 1, "class_weights": "9"}))
    assert history(tmp_path / "heavy")[0]["train_loss"] > 2 * history(out)[0]["train_loss"]


def test_without_a_network_the_weights_to_get_are_named_before_data_is_read(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("try_to_load_from_cache", "get_hf_file_metadata"):
        monkeypatch.setattr(encoders.huggingface_hub, name, lambda *a, **b: None if b else 1 / 0)
    with pytest.raises(ConfigError, match=r"huggingface\.co/.*safetensors.*--encoder-weights FILE"):
        train(tmp_path / "absent", tmp_path, tiny.updated({"encoder_weights": "imagenet"}))
