"""A recipe that trains in seconds. Importing this skips where the train extra is not installed."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("lightning", reason="the train extra is not installed")

import torch

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
