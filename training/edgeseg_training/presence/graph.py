"""The output ``presence`` of a model file: whether what the network looks for is there at all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeseg.errors import ModelError
from edgeseg_training.graph import shapes_of

FEATURES, PRESENCE = "presence_features", "presence"
_PREFIX = "presence."
_STAGES = 3  # the deepest of the encoder, where what is seen is told apart
_TINY = 1e-3

FloatArray = npt.NDArray[np.float32]


class Tap(NamedTuple):
    """A stage of the encoder: the name of its values, (N, C, h, w), and their (C, h, w)."""

    name: str
    shape: tuple[int, int, int]


class Layers(NamedTuple):
    """A perceptron with one hidden layer, from features to one logit.

    Attributes
    ----------
    hidden_weight, hidden_bias
        Shapes (D, H) and (H,).
    weight, bias
        Shapes (H, 1) and (1,).
    """

    hidden_weight: FloatArray
    hidden_bias: FloatArray
    weight: FloatArray
    bias: FloatArray


def find_taps(model: onnx.ModelProto) -> list[Tap]:
    """Find the encoder's deepest stages in a U-Net's graph.

    Where its decoder first grows an image (Resize) and joins it with the encoder's (Concat), one
    side came from the deepest stage and the other is the next.

    Raises
    ------
    ModelError
        If the graph has no such place.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}

    def grown(name: str) -> onnx.NodeProto | None:
        """Return the Resize that made a value, rounded to 8 bits behind it or not."""
        node = makers.get(name)
        while node is not None and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node = makers.get(node.input[0])
        return node if node is not None and node.op_type == "Resize" else None

    names: list[str] = []
    for node in graph.node:
        if node.op_type != "Concat" or len(node.input) != 2:
            continue
        sides = [grown(name) for name in node.input]
        for resize, other in zip(sides, reversed(node.input), strict=True):
            if resize is not None and len(names) < _STAGES:
                names += [other] if names else [resize.input[0], other]
    shapes = shapes_of(model)
    height, width = (d.dim_value for d in graph.output[0].type.tensor_type.shape.dim[2:])
    taps = [Tap(name, (c, h, w)) for name in names for _, c, h, w in [shapes[name]]]
    if not taps or any(height % tap.shape[1] or width % tap.shape[2] for tap in taps):
        raise ModelError(
            "the graph is not that of a U-Net whose stages divide its input; presence is read off "
            "the encoder's stages"
        )
    return taps


def add_features(model: onnx.ModelProto) -> None:
    """Add an output `FEATURES`, float32 (N, D), in place: what the encoder sees, on the whole.

    Of each channel of each tap its mean, its largest value, and its mean weighted by the map.

    Raises
    ------
    ModelError
        See `find_taps`.
    """
    graph, taps = model.graph, find_taps(model)
    height, width = (d.dim_value for d in graph.output[0].type.tensor_type.shape.dim[2:])
    _constant(graph, "axes", np.array([2, 3], dtype=np.int64))
    _constant(graph, "tiny", np.array(_TINY, dtype=np.float32))
    parts = []
    for i, (name, (_, rows, columns)) in enumerate(taps):
        step = [height // rows, width // columns]
        _node(graph, "AveragePool", ["probability"], f"map{i}", kernel_shape=step, strides=step)
        _node(graph, "Mul", [name, f"map{i}"], f"inside{i}")
        _node(graph, "ReduceSum", [f"inside{i}", "axes"], f"sum{i}", keepdims=0)
        _node(graph, "ReduceSum", [f"map{i}", "axes"], f"area{i}", keepdims=0)
        _node(graph, "Add", [f"area{i}", "tiny"], f"divisor{i}")
        _node(graph, "Div", [f"sum{i}", f"divisor{i}"], f"weighted{i}")
        _node(graph, "ReduceMean", [name, "axes"], f"mean{i}", keepdims=0)
        _node(graph, "ReduceMax", [name, "axes"], f"max{i}", keepdims=0)
        parts += [f"mean{i}", f"max{i}", f"weighted{i}"]
    _node(graph, "Concat", parts, FEATURES, axis=1)
    _output(graph, FEATURES, 3 * sum(tap.shape[0] for tap in taps))


def add_presence(model: onnx.ModelProto, layers: Layers) -> None:
    """Turn the output `FEATURES` into an output `PRESENCE`, float32 (N, 1) in [0, 1], in place."""
    graph = model.graph
    for name, values in layers._asdict().items():
        _constant(graph, name, np.ascontiguousarray(values, dtype=np.float32))
    _node(graph, "Gemm", [FEATURES, "hidden_weight", "hidden_bias"], "hidden")
    _node(graph, "Relu", ["hidden"], "active")
    _node(graph, "Gemm", ["active", "weight", "bias"], "logit")
    _node(graph, "Sigmoid", ["logit"], PRESENCE)
    _remove_output(graph, FEATURES)
    _output(graph, PRESENCE, 1)


def remove_presence(model: onnx.ModelProto) -> None:
    """Take the output and all that only it needs out of a graph, in place."""
    graph = model.graph
    for name in (FEATURES, PRESENCE):
        _remove_output(graph, name)
    for values in (graph.node, graph.initializer):
        kept = [value for value in values if not value.name.startswith(_PREFIX)]
        del values[:]
        values.extend(kept)


def _full(name: str) -> str:
    own = "probability", FEATURES, PRESENCE
    return name if name in own else _PREFIX + name


def _node(
    graph: onnx.GraphProto, kind: str, inputs: list[str], output: str, **attributes: Any
) -> None:
    known = {name for node in graph.node for name in node.output}
    named = [name if name in known else _full(name) for name in inputs]
    node = helper.make_node(kind, named, [_full(output)], f"{_PREFIX}{kind}.{output}", **attributes)
    graph.node.append(node)


def _constant(graph: onnx.GraphProto, name: str, value: npt.NDArray[np.generic]) -> None:
    graph.initializer.append(numpy_helper.from_array(value, _full(name)))


def _output(graph: onnx.GraphProto, name: str, length: int) -> None:
    batch = graph.output[0].type.tensor_type.shape.dim[0]
    shape = [batch.dim_param or batch.dim_value, length]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def _remove_output(graph: onnx.GraphProto, name: str) -> None:
    kept = [output for output in graph.output if output.name != name]
    del graph.output[:]
    graph.output.extend(kept)
