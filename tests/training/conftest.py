from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.tiny import TINY

# isort: split
from edgeseg_training.config import TrainConfig


@pytest.fixture(scope="session")
def tiny() -> TrainConfig:
    """A config that trains in seconds."""
    return TrainConfig().updated(TINY)


@pytest.fixture(scope="session")
def trained(
    tiny: TrainConfig, phantom_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished run of some more epochs, so that heads are found."""
    from edgeseg_training.train import train

    out = tmp_path_factory.mktemp("run") / "trained"
    train(phantom_data, out, tiny.updated({"epochs": 30, "name": "tiny", "learning_rate": 5e-3}))
    return out
