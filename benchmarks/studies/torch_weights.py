"""A recipe's network in torch with the weights of its ONNX export, batch-norm folded in both."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from edgeseg.errors import ModelError
from edgeseg_training.config import load_config
from edgeseg_training.model import SegmentationModel, build_model

_PREFIX = "model."


def load_network(recipe: Path, plain: Path) -> SegmentationModel:
    """Build a recipe's network and give it the weights of an export in float32.

    Parameters
    ----------
    recipe
        TOML file.
    plain
        Its export with every weight a float32 initializer.

    Raises
    ------
    ModelError
        If the export is not of that network.
    """
    config = load_config(recipe)
    model = build_model(config, load_encoder=False).eval()
    weights = {
        i.name: torch.from_numpy(numpy_helper.to_array(i).copy())
        for i in onnx.load(plain).graph.initializer
    }
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            weight = weights.get(f"{_PREFIX}{name}.weight")
            # the exporter names the bias of a folded batch-norm after the weight
            names = (f"{_PREFIX}{name}.bias", f"{_PREFIX}{name}.weight_bias")
            bias = next((weights[n] for n in names if n in weights), None)
            if weight is None or weight.shape != module.weight.shape:
                raise ModelError(f"{plain}: not an export of {recipe} ({name})")
            module.weight = nn.Parameter(weight)
            module.bias = None if bias is None else nn.Parameter(bias)
    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    return model.requires_grad_(False)
