"""The options of `train`, made from the training values."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeseg.cli import app
from edgeseg_training.config import TrainConfig


def said(*arguments: str, code: int) -> str:
    done = CliRunner().invoke(app, ["train", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == code, done.output
    return " ".join(done.output.replace("│", " ").split())


def test_help_lists_every_value_with_its_default() -> None:
    text = said("--help", code=0)
    for value in fields(TrainConfig):
        assert f"--{value.name.replace('_', '-')} " in text
    assert "images a step, over all devices (10)" in text
    assert "edgeseg train --data hc18 --out runs/mine" in text


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--epochs", "three", "Invalid value for '--epochs': "),
        ("--loss", "dice", "loss is 'dice'; expected one of bce, bce+dice, bce+dice+hc"),
        ("--encoder-top", "perhaps", "encoder_top is 'perhaps'; expected bool"),
        ("--input_height", "65", "input_height is 65; expected a multiple of 32"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, option: str, value: str, sentence: str) -> None:
    text = said("--data", str(tmp_path), "--out", str(tmp_path / "o"), option, value, code=2)
    assert sentence in text


def test_given_values_reach_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    import edgeseg_training.train

    seen = []
    monkeypatch.setattr(
        edgeseg_training.train, "train", lambda data, out, config, **how: seen.append(config)
    )
    file = tmp_path / "mine.toml"
    file.write_text("epochs = 7\nbatch_size = 4\n")
    said(
        "--data", "d", "--out", "o", "--config", str(file), "--batch_size", "6", "--fold", "-1",
        "--decoder-channels", "16,16,8,8,8", "--encoder-top", "false", "--learning-rate", "1e-3",
        code=0,
    )  # fmt: skip
    (config,) = seen
    assert (config.epochs, config.batch_size, config.fold) == (7, 6, -1)
    assert config.decoder_channels == (16, 16, 8, 8, 8)
    assert config.encoder_top is False
    assert (config.learning_rate, config.loss) == (1e-3, TrainConfig().loss)
