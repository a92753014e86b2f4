"""Shapes that an exporter wrote for its one example, made to fit any number of images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper


def free_batch(model: onnx.ModelProto, batch: int, prefix: str) -> None:
    """Take a fixed batch out of the constants of ``Resize`` and ``Reshape``, in place.

    A guess: whoever calls runs the result on two images at once and compares.

    Parameters
    ----------
    model
        With its own fixed input; its shapes are inferred.
    batch
        The fixed number of images.
    prefix
        Of new names.
    """
    constants, shapes = _constants(model.graph), _shapes(model)
    nodes = list(model.graph.node)
    for i, node in enumerate(nodes):
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        position = {"Resize": 3, "Reshape": 1}.get(node.op_type)
        if position is None or len(node.input) <= position:
            continue
        wanted, given = constants.get(node.input[position]), shapes.get(node.input[0])
        if wanted is None or not given or given[0] != batch or wanted[0] != batch:
            continue
        if node.op_type == "Reshape" and not attributes.get("allowzero"):
            new = np.array([0, *wanted[1:]], np.int64)  # 0: as it comes
        elif node.op_type == "Resize" and len(given) == len(wanted) and 0 not in given:
            new = np.array([n / m for n, m in zip(wanted, given, strict=True)], np.float32)
            position = 2  # scales instead of sizes
        else:
            continue
        name = f"{prefix}freed_{i}"
        node.input[:] = [*node.input[:position], name]
        model.graph.node.insert(
            0, helper.make_node("Constant", [], [name], value=numpy_helper.from_array(new, name))
        )


def _constants(graph: onnx.GraphProto) -> dict[str, npt.NDArray[np.int64]]:
    """Return the lists of integers that a graph holds."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            tensors[node.output[0]] = node.attribute[0].t
    return {
        name: numpy_helper.to_array(tensor)
        for name, tensor in tensors.items()
        if tensor.data_type == onnx.TensorProto.INT64 and len(tensor.dims) == 1 and tensor.dims[0]
    }


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Return the shapes that can be inferred; a side that stays open is 0."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    return {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*inferred.input, *inferred.value_info)
    }
