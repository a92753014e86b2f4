from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeseg.errors import ConfigError, InputNotFoundError
from edgeseg_training.config import TrainConfig, load_config

TRAINING = Path(__file__).parents[2] / "training"


def test_the_paper_s_recipe_is_the_paper_s() -> None:
    assert all(load_config(path) != TrainConfig() for path in TRAINING.glob("*.toml"))
    config = load_config(TRAINING / "paper.toml")
    assert (config.input_height, config.input_width, config.input_mode) == (512, 512, "rgb")
    assert (config.optimizer, config.schedule, config.learning_rate) == ("adam", "constant", 1e-4)
    assert (config.batch_size, config.epochs, config.loss) == (10, 20, "bce")
    assert (config.rotate_deg, config.horizontal_flip, config.vertical_flip) == (25.0, 0.5, 0.1)
    assert config.normalization == "unit"
    assert config.decoder_channels == (256, 128, 64, 32, 16)
    assert not config.freeze_batchnorm_statistics


def test_text_becomes_the_value_s_type() -> None:
    config = TrainConfig().updated(
        {"epochs": "3", "learning_rate": "1e-3", "decoder_channels": "64,32,24,16,8",
         "freeze_batchnorm_statistics": "false", "name": "mine"}
    )  # fmt: skip
    assert (config.epochs, config.learning_rate, config.name) == (3, 1e-3, "mine")
    assert config.decoder_channels == (64, 32, 24, 16, 8)
    assert config.freeze_batchnorm_statistics is False
    assert TrainConfig().updated(config.as_dict()) == config


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"epochs": 2.5}, "expected int"),
        ({"epochs": 0}, "1 or more"),
        ({"input_height": 100}, "multiple of 32"),
        ({"loss": "mse"}, "expected one of bce"),
        ({"fraction": 0}, "more than 0"),
        ({"decoder_channels": "8,8"}, "5 widths, or 4"),
        ({"scale_range": "2,1"}, "smallest, largest"),
        ({"ema_decay": 1}, "below 1"),
        ({"devices": -1}, "0 for all"),
        ({"freeze_batchnorm_statistics": "maybe"}, "expected bool"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        TrainConfig().updated(values)


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        load_config(tmp_path / "none.toml")
    path = tmp_path / "bad.toml"
    path.write_text("epochs = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(path)
    path.write_text("epochs = 1\n[a]\nepochs = 2\n")
    with pytest.raises(ConfigError, match="set twice"):
        load_config(path)
