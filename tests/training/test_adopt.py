"""What segmentation-models-pytorch and torch's two exporters write, adopted."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from edgeseg.adopt.adopt import adopt
from edgeseg.adopt.spec import AdoptSpec
from edgeseg.images.frame import GrayImage
from edgeseg.network.adapter import preprocess
from edgeseg.phantom.head import Phantom
from tests.adopt.graphs import assert_same

H, W = 32, 48
IMAGENET = {"mean": (0.485, 0.456, 0.406), "sd": (0.229, 0.224, 0.225)}
THREE = ("background", "cavum", "cerebellum")
DYNAMIC = {0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
AXES = {0: "batch", 2: "height", 3: "width"}
LEGACY_DYNAMIC = {
    "input_names": ["image"], "output_names": ["output"],
    "dynamic_axes": {"image": AXES, "output": AXES},
}  # fmt: skip


def unet(classes: int, grays: Sequence[GrayImage]) -> nn.Module:
    """Return a U-Net that is trained on nothing, but finds each of its classes in phantoms."""
    torch.manual_seed(3)
    model: nn.Module = smp.Unet(
        "resnet18", encoder_weights=None, encoder_depth=2, decoder_channels=(8, 8), classes=classes
    ).eval()
    rgb = torch.from_numpy(np.stack(grays))[:, None].repeat(1, 3, 1, 1) / 255
    head = model.segmentation_head[0]
    with torch.no_grad():
        logits = model((rgb - 0.45) / 0.225)
        spread, middle = logits.std(dim=(0, 2, 3)), logits.mean(dim=(0, 2, 3))
        head.weight /= spread[:, None, None, None]
        head.bias.copy_((head.bias - middle) / spread)
    return model


@pytest.mark.parametrize(
    ("values", "classes", "inside"),
    [
        ({"dynamo": False, "opset_version": 11}, 1, False),
        ({"dynamo": False, "opset_version": 17, **LEGACY_DYNAMIC}, 1, False),
        ({"dynamo": False, "opset_version": 11}, 3, True),
        pytest.param(
            {"dynamo": True, "opset_version": 23, "dynamic_shapes": (DYNAMIC,)}, 3, True,
            marks=pytest.mark.nightly,
        ),
    ],
)  # fmt: skip
def test_what_others_export_keeps_its_masks(
    tmp_path: Path, phantoms: list[Phantom], values: dict[str, Any], classes: int, inside: bool
) -> None:
    """Of one class, or of three whose probabilities the network gives itself, or not."""
    grays = [preprocess(phantom.image, H, W)[0, 0] for phantom in phantoms[:3]]
    model = nn.Sequential(unet(classes, grays), *([nn.Softmax(dim=1)] if inside else []))
    source, out = tmp_path / "unet.onnx", tmp_path / "mine.onnx"
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # deprecations inside the exporters
        torch.onnx.export(model, (torch.zeros(1, 3, H, W),), str(source), verbose=False, **values)
    is_open = "dynamic_shapes" in values or "dynamic_axes" in values
    activation = "none" if inside else "softmax" if classes > 1 else "sigmoid"
    spec: dict[str, Any] = {"input_size": (H, W)} if is_open else {}
    spec |= {} if inside else {"activation": activation}
    spec |= {"classes": THREE} if classes > 1 else {}
    report = adopt(source, out, AdoptSpec(**IMAGENET, **spec))
    assert_same(source, out, grays, activation=activation, background=classes > 1, **IMAGENET)
    assert (report.any_batch, report.exclusive) == (is_open, classes > 1)
