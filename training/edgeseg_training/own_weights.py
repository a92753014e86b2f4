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

    Parameters
    ----------
    model
        Its encoder must have the same weights; its decoder and head may be others, and then keep
        theirs.
    source
        A run's folder, ``model.safetensors``, ``last.ckpt``, or an ONNX file that ``edgeseg
        export`` wrote, or a bundled model's name. The last two hold an encoder whose batch-norm is
        folded into its convolutions: see `measure_batchnorms`.

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
    for name in ("scale", "offset"):
        ours, theirs = getattr(model, name), weights.get(name)
        if theirs is None or ours.shape != theirs.shape or not torch.allclose(ours, theirs):
            raise ModelError(
                f"{source}: its input is normalised otherwise; use its normalization and input_mode"
            )
    taken: list[str] = []
    new: list[str] = []
    for part, module in model.network.named_children():
        wanted = module.state_dict()
        found = {key: weights.get(f"network.{part}.{key}") for key in wanted}
        fits = {k: v for k, v in found.items() if v is not None and v.shape == wanted[k].shape}
        odd = [k for k in wanted if k not in fits and not k.endswith("num_batches_tracked")]
        if odd and not taken:
            tensor = found[odd[0]]
            raise ModelError(
                f"{source}: its {part} does not fit: {odd[0]!r} is "
                f"{'missing' if tensor is None else tuple(tensor.shape)}, expected "
                f"{tuple(wanted[odd[0]].shape)}; use the recipe that it was trained with, or its "
                "encoder, encoder_stages, encoder_expansion, first_expansion and encoder_top. "
                "8-bit models cannot be taken"
            )
        (new if odd else taken).append(part)
        if not odd:
            module.load_state_dict(wanted | fits)
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
    training = model.training
    model.eval()(gray)
    model.train(training)
    for hook in hooks:
        hook.remove()


def _read_folded(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of an exported graph, with batch-norm layers that only add their bias."""
    stored = {
        tensor.name.removeprefix("model.").removesuffix("_half"): tensor
        for tensor in load_model(path).graph.initializer
    }
    weights = {
        name: torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
        for name, tensor in stored.items()
    }
    convolution = ""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            convolution = name
        bias = weights.get(f"{convolution}.weight_bias")
        if isinstance(module, nn.BatchNorm2d) and bias is not None:
            bias = bias.flatten()  # of float16 layers it is an addition behind the convolution
            weights |= {
                f"{name}.weight": torch.ones_like(bias),
                f"{name}.bias": bias,
                f"{name}.running_mean": torch.zeros_like(bias),
                f"{name}.running_var": torch.ones_like(bias) - module.eps,
            }
    return weights
