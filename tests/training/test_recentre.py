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


def test_maps_that_were_moved_are_moved_back() -> None:
    axes = (40.0, 50.0, 60.0)
    samples = [Sample(np.zeros(SIZE, np.uint8), 0.5)] * len(axes)
    source = [soft_map(0.0, a) for a in axes]
    moved = [soft_map(-0.7, a) for a in axes]
    assert logit_shift(source, shifted(moved), samples) == pytest.approx(0.7, abs=0.01)
    assert logit_shift(source, shifted(source), samples) == pytest.approx(0.0, abs=1e-4)


def test_an_unsure_map_moves_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.3, 0.7, SIZE).astype(np.float32)
    source, moved = [soft_map(0.0, 50.0), noise], [soft_map(-0.3, 50.0), noise**2]
    samples = [Sample(np.zeros(SIZE, np.uint8), 0.5)] * 2
    assert logit_shift(source, shifted(moved), samples) == pytest.approx(0.3, abs=0.01)


def test_maps_without_a_head_are_left_alone() -> None:
    empty = [np.full(SIZE, 0.01, np.float32)]
    assert logit_shift(empty, shifted(empty), [Sample(np.zeros(SIZE, np.uint8), 0.5)]) == 0


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
