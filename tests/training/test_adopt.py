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
from torch import Tensor, nn

from edgeseg.adopt.adopt import AdoptReport, adopt
from edgeseg.adopt.spec import AdoptSpec
from edgeseg.images.frame import GrayImage
from edgeseg.network.preprocess import preprocess
from edgeseg.phantom.head import Phantom
from tests.adopt.graphs import assert_same

H, W = 32, 48
IMAGENET = {"mean": (0.485, 0.456, 0.406), "sd": (0.229, 0.224, 0.225)}
THREE = ("background", "cavum", "cerebellum")
DYNAMIC = {0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
AXES = {0: "batch", 2: "height", 3: "width"}


class Softmaxed(nn.Module):
    """A network that gives probabilities itself."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, rgb: Tensor) -> Tensor:
        return torch.softmax(self.model(rgb), dim=1)


@pytest.fixture(scope="module")
def grays(phantoms: list[Phantom]) -> list[GrayImage]:
    return [preprocess(p.image, H, W)[0, 0] for p in phantoms[:3]]


def unet(classes: int, grays: Sequence[GrayImage]) -> nn.Module:
    """Return a U-Net that is trained on nothing, but finds each of its classes in phantoms."""
    torch.manual_seed(3)
    model: nn.Module = smp.Unet(
        "resnet18",
        encoder_weights=None,
        encoder_depth=2,
        decoder_channels=(8, 8),
        classes=classes,
    ).eval()
    rgb = torch.from_numpy(np.stack(grays))[:, None].repeat(1, 3, 1, 1) / 255
    head = model.segmentation_head[0]
    with torch.no_grad():
        logits = model((rgb - 0.45) / 0.225)
        spread, middle = logits.std(dim=(0, 2, 3)), logits.mean(dim=(0, 2, 3))
        head.weight /= spread[:, None, None, None]
        head.bias.copy_((head.bias - middle) / spread)
    return model


def export(model: nn.Module, path: Path, **values: Any) -> Path:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # deprecations inside the exporters
        torch.onnx.export(model, (torch.zeros(1, 3, H, W),), str(path), verbose=False, **values)
    return path


def take(source: Path, **values: Any) -> tuple[Path, AdoptReport]:
    out = source.with_name("mine.onnx")
    report = adopt(source, out, AdoptSpec(**(IMAGENET | values)))
    return out, report


@pytest.mark.parametrize(
    "values",
    [
        {"dynamo": False, "opset_version": 11},
        {
            "dynamo": False,
            "opset_version": 17,
            "input_names": ["image"],
            "output_names": ["output"],
            "dynamic_axes": {"image": AXES, "output": AXES},
        },
        pytest.param(
            {"dynamo": True, "opset_version": 18, "dynamic_shapes": (DYNAMIC,)},
            marks=pytest.mark.nightly,
        ),
        pytest.param({"dynamo": True, "opset_version": 23}, marks=pytest.mark.nightly),
    ],
    ids=["legacy-11-fixed", "legacy-17-dynamic", "dynamo-18-dynamic", "dynamo-23-fixed"],
)
def test_a_plain_unet_keeps_its_masks(
    tmp_path: Path, grays: list[GrayImage], values: dict[str, Any]
) -> None:
    source = export(unet(1, grays), tmp_path / "unet.onnx", **values)
    is_open = "dynamic_shapes" in values or "dynamic_axes" in values
    size = {"input_size": (H, W)} if is_open else {}
    out, report = take(source, activation="sigmoid", **size)
    assert_same(source, out, grays, activation="sigmoid", **IMAGENET)
    assert report.any_batch == is_open


@pytest.mark.parametrize(
    ("inside", "opset"),
    [(False, 11), (True, 11), pytest.param(True, 18, marks=pytest.mark.nightly)],
)
def test_three_classes_keep_their_labels(
    tmp_path: Path, grays: list[GrayImage], inside: bool, opset: int
) -> None:
    model = unet(3, grays)
    source = export(
        Softmaxed(model) if inside else model,
        tmp_path / "unet.onnx",
        dynamo=opset > 11,
        opset_version=opset,
    )
    said = {} if inside else {"activation": "softmax"}
    out, report = take(source, classes=THREE, **said)
    assert_same(
        source,
        out,
        grays,
        activation="none" if inside else "softmax",
        background=True,
        **IMAGENET,
    )
    assert report.exclusive
