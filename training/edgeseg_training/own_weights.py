"""Own weights to start from: those of a run, or of an exported model such as the bundled ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edgeseg.errors import ModelError
from edgeseg.network import zoo
from edgeseg_training.checkpoint import load_trained
from edgeseg_training.model import SegmentationModel
from edgeseg_training.presence.teach import load_model


def start_from(model: SegmentationModel, source: str) -> str:
    """Load the parts of another model that fit, in place; return a sentence on what was taken.

    The first part, the encoder, must fit; others that do not keep their weights.

    Parameters
    ----------
    source
        A run's folder or a file of it, a file that ``edgeseg export`` wrote, or a bundled model's
        name.

    Raises
    ------
    ModelNotFoundError
        If there is no such file or model.
    ModelError
        If it cannot be read, or its encoder or its normalisation is another.
    """
    path = Path(source)
    if path.is_dir() or path.suffix in (".safetensors", ".ckpt"):
        trained = load_trained(path).model
        weights = trained.state_dict() | {"scale": trained.scale, "offset": trained.offset}
    else:
        weights = _read_folded(zoo.find(source).path, model)
    scale = weights.get("scale", torch.zeros(0))
    if scale.shape != model.scale.shape or not torch.allclose(scale, model.scale):
        raise ModelError(f"{source}: normalised otherwise; use its normalization, input_mode")
    taken: list[str] = []
    new: list[str] = []
    for part, module in model.network.named_children():
        wanted = module.state_dict()
        found = {key: weights.get(f"network.{part}.{key}") for key in wanted}
        shapes = {key: tuple(tensor.shape) for key, tensor in found.items() if tensor is not None}
        odd = [k for k, v in wanted.items() if v.ndim and shapes.get(k) != tuple(v.shape)]
        if odd and not taken:
            raise ModelError(
                f"{source}: its {part} does not fit: {odd[0]!r} is {shapes.get(odd[0], 'missing')},"
                f" expected {tuple(wanted[odd[0]].shape)}; use the recipe that it was trained with."
                " 8-bit models cannot be taken"
            )
        (new if odd else taken).append(part)
        if not odd:
            module.load_state_dict({k: wanted[k] if v is None else v for k, v in found.items()})
    rest = f"; starting anew, as it does not fit: {', '.join(new)}" if new else ""
    return f"taken from {source}: {', '.join(taken)}{rest}"


@torch.no_grad()
def measure_batchnorms(model: nn.Module, gray: Tensor) -> None:
    """Measure the statistics of batch-norm layers on images, (N, 1, h, w), in place.

    Their weight and bias change with them so that the model answers as before. What was folded into
    convolutions has no statistics, and in training each batch is normalised by its own.
    """

    def measure(norm: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        mean, variance = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3), correction=0)
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias += gain * (mean - norm.running_mean)
        norm.weight.copy_(gain * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(measure) for norm in norms]
    model.eval()(gray)
    for hook in hooks:
        hook.remove()


def _read_folded(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of an exported graph, with batch-norm layers that only add their bias."""
    weights = {
        tensor.name.removeprefix("model.").removesuffix("_half"): torch.from_numpy(
            numpy_helper.to_array(tensor).copy()
        ).float()
        for tensor in load_model(path).graph.initializer
    }
    convolution = ""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            convolution = name
        bias = weights.get(f"{convolution}.weight_bias")
        if isinstance(module, nn.BatchNorm2d) and bias is not None:
            bias = bias.flatten()  # of float16 layers it is an addition behind the convolution
            weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.ones_like(bias), bias
            weights[f"{name}.running_mean"] = torch.zeros_like(bias)
            weights[f"{name}.running_var"] = torch.ones_like(bias) - module.eps
    return weights
