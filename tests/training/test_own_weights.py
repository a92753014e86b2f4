"""Runs that start from the weights of a run, or of a bundled model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import numpy_helper

from edgeseg import zoo
from edgeseg.errors import ModelError, ModelNotFoundError
from edgeseg.network.task import Task
from edgeseg.phantom.head import make_phantom
from edgeseg.segmenter import Segmenter
from edgeseg_training.checkpoint import load_trained
from edgeseg_training.config import load_config
from edgeseg_training.model import probabilities
from edgeseg_training.module import TrainingModule
from edgeseg_training.own_weights import measure_batchnorms

RECIPE = Path(__file__).parents[2] / "training" / "hc18-nano.toml"


def test_a_bundled_model_s_parts_answer_as_it_does_in_training_too() -> None:
    config = load_config(RECIPE).updated({"init": "hc18-nano"})
    module = TrainingModule(config, Task(), 1, [])
    assert "encoder, decoder; starting anew, as it does not fit: segmentation_head" in module.origin
    graph = onnx.load(zoo.find("hc18-nano").path).graph
    stored = {t.name: numpy_helper.to_array(t).copy() for t in graph.initializer}
    head = module.model.network.segmentation_head[0]
    turned = torch.from_numpy(stored["model.network.segmentation_head.0.weight"])
    head.weight.data = turned.flip(2, 3).transpose(0, 1)
    head.bias.data = torch.from_numpy(stored["model.network.segmentation_head.0.bias"])
    images = [make_phantom(i, height=128, width=192).image for i in range(4)]
    gray = torch.stack([torch.from_numpy(image)[None] for image in images])
    expected = torch.from_numpy(Segmenter("hc18-nano", threads=1).infer(gray.numpy()))
    for measured in (False, True):
        with torch.no_grad():
            found = probabilities(module.model.eval()(gray))
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)
        if not measured:
            measure_batchnorms(module.model, gray)
    with torch.no_grad():
        found = probabilities(module.model.train()(gray))
    assert ((found > 0.5) == (expected > 0.5)).float().mean() > 0.99


def test_of_a_run_all_parts_that_fit_are_taken(trained: Path) -> None:
    source = load_trained(trained)
    for task, new in (
        (Task(), ""),
        (Task("regions", ("background", "a", "b")), "segmentation_head"),
    ):
        module = TrainingModule(source.config.updated({"init": str(trained)}), task, 1, [])
        assert module.origin.endswith(new or "encoder, decoder, segmentation_head")
        ours, theirs = module.model.network.decoder, source.model.network.decoder
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("values", "error", "reason"),
    [
        ({"init": "hc18-nano", "encoder_expansion": 6}, ModelError, "encoder does not fit.*recipe"),
        ({"init": "hc18-edge-int8"}, ModelError, "8-bit models cannot be taken"),
        ({"init": "hc18-nano", "normalization": "unit"}, ModelError, "normalised otherwise"),
        ({"init": "hc18-nana"}, ModelNotFoundError, "did you mean 'hc18-nano'"),
    ],
)
def test_what_does_not_fit_is_refused(
    values: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        TrainingModule(load_config(RECIPE).updated(values), Task(), 1, [])
