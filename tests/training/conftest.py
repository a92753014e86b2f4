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

    out, values = tmp_path_factory.mktemp("run") / "trained", {"name": "tiny", "batch_size": 3}
    values |= {"encoder_expansion": 2, "epochs": 20, "validate_every": 20, "learning_rate": 5e-3}
    train(phantom_data, out, tiny.updated(values))
    return out
