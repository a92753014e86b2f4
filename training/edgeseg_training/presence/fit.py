"""The perceptron that tells heads from the rest."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from edgeseg_training.presence.graph import Layers
from edgeseg_training.presence.observe import Examples

HIDDEN = 32
_STEPS, _BATCH, _RATE, _DECAY, _NOISE = 2500, 512, 1e-3, 3e-2, 0.1


def fit(examples: Examples, seed: int = 0) -> Layers:
    """Train the perceptron; its first layer takes the features as they are."""
    mean, sd = examples.features.mean(axis=0), examples.features.std(axis=0) + 1e-3
    inputs = torch.from_numpy((examples.features - mean) / sd)
    targets, weights = torch.from_numpy(examples.is_head), torch.from_numpy(examples.weight)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        first, last = nn.Linear(inputs.shape[1], HIDDEN), nn.Linear(HIDDEN, 1)
    network = nn.Sequential(first, nn.ReLU(), last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    loss = nn.BCEWithLogitsLoss()
    for _ in range(_STEPS):
        chosen = torch.multinomial(weights, _BATCH, replacement=True, generator=generator)
        noise = _NOISE * torch.randn((_BATCH, inputs.shape[1]), generator=generator)
        optimizer.zero_grad()
        loss(network(inputs[chosen] + noise)[:, 0], targets[chosen]).backward()
        optimizer.step()
    weight = first.weight.detach().numpy() / sd
    return Layers(
        np.asarray(weight.T, np.float32),
        np.asarray(first.bias.detach().numpy() - weight @ mean, np.float32),
        np.asarray(last.weight.detach().numpy().T, np.float32),
        last.bias.detach().numpy(),
    )
