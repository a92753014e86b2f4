"""Rewrite a bundled model into forms that other engines' converters read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnxscript.optimizer import remove_unused_nodes

from edgeseg_training.graph import make_valid, turn_convolution
from edgeseg_training.quantize import UNBIASED


def plain(source: Path, target: Path) -> None:
    """Write a model as it was trained: weights in float32, convolutions that are convolutions.

    A bundled model stores its larger weights in float16 and widens them when it is loaded, its
    last layer is turned for onnxruntime, and it has the map's moments as a second output.
    """
    model = onnx.load(source)
    graph = model.graph
    stored = {initializer.name: initializer for initializer in graph.initializer}
    widened = [n for n in graph.node if n.op_type == "Cast" and n.input[0] in stored]
    for node in widened:
        half = stored[node.input[0]]
        values = numpy_helper.to_array(half).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        graph.initializer.remove(half)
        graph.node.remove(node)
    _join_biases(graph)
    for node in graph.node:
        if node.op_type == "ConvTranspose":
            turn_convolution(node, stored[node.input[1]])
    del graph.output[1:]
    remove_unused_nodes(model)
    make_valid(model)
    onnx.save(model, target)


def _join_biases(graph: onnx.GraphProto) -> None:
    """Give convolutions back the biases that are added behind them, in place."""
    tensors = {initializer.name: initializer for initializer in graph.initializer}
    unbiased = {n.output[0]: n for n in graph.node if n.output[0].endswith(UNBIASED)}
    for addition in [node for node in graph.node if node.input[0] in unbiased]:
        convolution, bias = unbiased[addition.input[0]], tensors[addition.input[1]]
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias).ravel(), bias.name))
        convolution.input.append(bias.name)
        convolution.output[0] = addition.output[0]
        graph.node.remove(addition)


def with_float_input(source: Path, target: Path) -> None:
    """Write a plain model that takes one image as float32, 0 to 255, instead of uint8."""
    model = onnx.load(source)
    graph = model.graph
    (cast,) = (node for node in graph.node if node.op_type == "Cast")
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == cast.output[0]:
                node.input[i] = cast.input[0]
    graph.node.remove(cast)
    graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    for value in (graph.input[0], graph.output[0]):
        batch = value.type.tensor_type.shape.dim[0]
        batch.Clear()
        batch.dim_value = 1
    onnx.checker.check_model(model)
    onnx.save(model, target)
