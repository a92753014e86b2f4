from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper

from edgeseg.measure.ellipse import Ellipse
from edgeseg_training import recentre as recentring
from edgeseg_training.parity import Sample
from edgeseg_training.recentre import logit_shift

SIZE = (128, 192)


def soft_map(logit: float, semi_major_px: float) -> npt.NDArray[np.float32]:
    """A head whose outline lies where the logit is 0, soft over some pixels, all moved by one."""
    rows, columns = np.indices(SIZE)
    ellipse = Ellipse(95.0, 64.0, semi_major_px, 0.8 * semi_major_px, 0.3)
    z = -ellipse.signed_distance(columns, rows) / 2 + logit
    return (1 / (1 + np.exp(-z.clip(-12, 12)))).astype(np.float32)


def shifted(maps: list[npt.NDArray[np.float32]]) -> Callable[[float], list[Any]]:
    """Answer as a network whose logits are moved as told."""

    def answers(shift: float) -> list[Any]:
        odds = [m / (1 - m) * np.exp(shift) for m in maps]
        return [(o / (1 + o)).astype(np.float32) for o in odds]

    return answers


@pytest.mark.parametrize("moved", [0.0, -0.7])
def test_maps_that_were_moved_are_moved_back(moved: float) -> None:
    """Those without a sure head move nothing."""
    noise = np.random.default_rng(0).uniform(0.3, 0.7, SIZE).astype(np.float32)
    source = [*(soft_map(0.0, axis) for axis in (40.0, 50.0, 60.0)), noise]
    maps = [*(soft_map(moved, axis) for axis in (40.0, 50.0, 60.0)), noise**2]
    samples = [Sample(np.zeros(SIZE, np.uint8), 0.5)] * 4
    assert logit_shift(source, shifted(maps), samples) == pytest.approx(-moved, abs=0.01)
    empty = [np.full(SIZE, 0.01, np.float32)]
    assert logit_shift(empty, shifted(empty), samples[:1]) == 0


def test_the_last_bias_takes_the_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = [
        numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w"),
        numpy_helper.from_array(np.array([2.0], np.float32), "first"),
        numpy_helper.from_array(np.array([-1.0], np.float32), "last"),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "w", "first"], ["hidden"]),
        helper.make_node("Conv", ["hidden", "w", "last"], ["probability"]),
    ]
    image, probability = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, 4, 4])
        for name in ("image", "probability")
    )
    graph = helper.make_graph(nodes, "two", [image], [probability], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    monkeypatch.setattr(recentring, "logit_shift", lambda *_: 0.25)
    assert recentring.recentre(model, model, [], []) == 0.25
    found = {t.name: numpy_helper.to_array(t).item() for t in model.graph.initializer}
    assert found == {"w": 1.0, "first": 2.0, "last": -0.75}
