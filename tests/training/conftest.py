from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("lightning", reason="the train extra is not installed")

import torch

from edgeseg_training.config import TrainConfig

# Two threads of a tiny network wait for each other more than they work: where other processes hold
# the cores, an epoch of 0.3 s takes 20 s. The variable is for the runs that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

TINY = {
    "encoder_weights": "none",
    "input_height": 64,
    "input_width": 96,
    "decoder_channels": "16,16,8,8,8",
    "epochs": 2,
    "batch_size": 4,
    "workers": 0,
    "precision": "fp32",
}


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
