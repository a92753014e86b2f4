"""A trained network as a float32 ONNX graph, and what that graph costs."""

from __future__ import annotations

import contextlib
import io
import math
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript.optimizer import remove_unused_nodes
from torch import Tensor, nn

from edgeseg_training.checkpoint import Trained
from edgeseg_training.model import SegmentationModel, probabilities

_OPSET = 18
_TINY = 1e-6


class _WithProbabilities(nn.Module):
    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, gray: Tensor) -> Tensor:
        return probabilities(self.model(gray))


def to_onnx(trained: Trained) -> onnx.ModelProto:
    """Return the float32 graph: ``image``, uint8 (N, 1, h, w), to ``probability``, float32."""
    config = trained.config
    example = torch.zeros((2, 1, config.input_height, config.input_width), dtype=torch.uint8)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        program = torch.onnx.export(
            _WithProbabilities(trained.model).eval(),
            (example,),
            input_names=["image"],
            output_names=["probability"],
            dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    graph: onnx.ModelProto = program.model_proto
    for node in graph.graph.node:  # stack traces of this machine's files
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        del value.metadata_props[:]
    del graph.graph.metadata_props[:]
    _fix_scales(graph)
    return graph


def turn_thin_convolutions(model: onnx.ModelProto) -> None:
    """Turn the float32 convolutions of one output channel, in place; see `turn_convolution`.

    onnxruntime pads the channels of a convolution on x86 to 8 or 16, and carries them through what
    follows, here the upsampling of the logits; a transposed one has as many as it says.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        weight = weights.get(node.input[1]) if node.op_type == "Conv" else None
        if weight is None or weight.data_type != TensorProto.FLOAT or weight.dims[0] != 1:
            continue
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        plain = all(n == 1 for key in ("strides", "dilations") for n in values.get(key, ()))
        if plain and values.get("group", 1) == 1 and "pads" in values:
            turn_convolution(node, weight)


def turn_convolution(node: onnx.NodeProto, weight: onnx.TensorProto) -> None:
    """Make a convolution a transposed one of the same values, or the other way round, in place.

    Its filter is turned by half a turn, and its two channel axes change places.

    Parameters
    ----------
    node
        ``Conv`` or ``ConvTranspose`` with pads, stride 1, dilation 1 and one group.
    weight
        Its filter.
    """
    filters = numpy_helper.to_array(weight)
    turned = np.ascontiguousarray(filters[..., ::-1, ::-1].swapaxes(0, 1))
    weight.CopyFrom(numpy_helper.from_array(turned, weight.name))
    (pads,) = (a for a in node.attribute if a.name == "pads")
    height, width = filters.shape[2:]
    reach = (height - 1, width - 1) * 2
    pads.ints[:] = [most - pad for most, pad in zip(reach, pads.ints, strict=True)]
    node.op_type = "ConvTranspose" if node.op_type == "Conv" else "Conv"


def add_moments(model: onnx.ModelProto) -> None:
    """Add an output ``moments``, float32 (N, C, 6), in place: each map's first ellipse.

    They are the map's sum, its centre (x, y) and its central second moments (xx, xy, yy), in pixels
    of the input whose centres are whole numbers. An empty map has zeros and the image's centre.

    Two matrix products with the powers of the coordinates take all sums at once. Coordinates count
    from the middle of the image, which keeps the digits when the centre's squares are taken off.
    """
    height, width = (d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim[2:])
    x, y = (np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in (width, height))
    values = {
        "x_powers": np.stack([x**0, x, x**2], axis=1),
        "y_powers": np.stack([y**0, y, y**2]),
        "flat": np.array([0, 0, 9], dtype=np.int64),
        # of the nine sums of y^i x^j, row by row
        "1": np.array([0], dtype=np.int64),
        "x_y": np.array([1, 3], dtype=np.int64),
        "xx_xy_yy": np.array([2, 4, 6], dtype=np.int64),
        "x_x_y": np.array([0, 0, 1], dtype=np.int64),
        "x_y_y": np.array([0, 1, 1], dtype=np.int64),
        "tiny": np.array(_TINY, dtype=np.float32),
        "middle": np.array([(width - 1) / 2, (height - 1) / 2], dtype=np.float32),
    }
    steps = [
        ("MatMul", ["probability", "x_powers"], "rows"),
        ("MatMul", ["y_powers", "rows"], "square"),
        ("Reshape", ["square", "flat"], "sums"),
        ("Gather", ["sums", "1"], "area"),
        ("Max", ["area", "tiny"], "divisor"),
        ("Div", ["sums", "divisor"], "means"),
        ("Gather", ["means", "x_y"], "centre"),
        ("Gather", ["means", "xx_xy_yy"], "squares"),
        ("Gather", ["centre", "x_x_y"], "left"),
        ("Gather", ["centre", "x_y_y"], "right"),
        ("Mul", ["left", "right"], "centre_squares"),
        ("Sub", ["squares", "centre_squares"], "spread"),
        ("Add", ["centre", "middle"], "position"),
        ("Concat", ["area", "position", "spread"], "moments"),
    ]
    outputs = {"probability", "moments"}
    graph = model.graph

    def full(name: str) -> str:
        return name if name in outputs else f"moments.{name}"

    for name, value in values.items():
        graph.initializer.append(numpy_helper.from_array(value, full(name)))
    for op, inputs, output in steps:
        named = [full(name) for name in inputs]
        node = helper.make_node(op, named, [full(output)], full(f"{op}.{output}"))
        if op in ("Gather", "Concat"):
            node.attribute.append(helper.make_attribute("axis", 2))
        graph.node.append(node)
    batch, channels = (d for d in graph.output[0].type.tensor_type.shape.dim[:2])
    shape = [batch.dim_param, channels.dim_value, 6]
    graph.output.append(helper.make_tensor_value_info("moments", TensorProto.FLOAT, shape))


def make_valid(model: onnx.ModelProto) -> None:
    """Drop what no longer holds, in place, and check the rest as strictly as ONNX can.

    Dropped are the notes on shapes (``value_info``), which a rewritten graph contradicts and every
    reader can infer, and the operator sets that no node uses, which a strict reader would look for.

    Raises
    ------
    onnx.checker.ValidationError, onnx.shape_inference.InferenceError
        If the graph is not valid ONNX, or its shapes contradict each other.
    """
    used = {node.domain for node in model.graph.node}
    imports = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def multiply_accumulates(model: onnx.ModelProto) -> int:
    """Count the multiply-accumulates of the convolutions for one image."""
    shapes = shapes_of(model)
    weights = {t.name: list(t.dims) for t in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            # each output value takes one product for each weight of its filter
            total += math.prod(shapes[node.output[0]]) * math.prod(weights[node.input[1]][1:])
        elif node.op_type == "ConvTranspose":
            pixels = math.prod(shapes[node.input[0]][2:])
            total += pixels * math.prod(weights[node.input[1]])
    return total


def shapes_of(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Return the shape of every value for one image."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


def _fix_scales(model: onnx.ModelProto) -> None:
    """Give the upsampling constant scales.

    The exporter computes each output size from the batch size at run time, which other runtimes
    and converters cope with badly.
    """
    shapes = shapes_of(model)
    for node in model.graph.node:
        if node.op_type == "Resize":
            sizes = zip(shapes[node.output[0]], shapes[node.input[0]], strict=True)
            scales = np.array([after / before for after, before in sizes], dtype=np.float32)
            name = f"{node.output[0]}_scales"
            model.graph.initializer.append(numpy_helper.from_array(scales, name))
            node.input[:] = [node.input[0], "", name]
    remove_unused_nodes(model)
