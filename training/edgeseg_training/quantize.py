"""Smaller copies of an exported graph: half-precision weights, and 8-bit integers."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

# Activations are among them so that they are folded into the convolution before.
_QUANTIZED = ("Conv", "Clip", "Relu", "Add", "Concat", "Resize")
_PERCENTILE = 99.999
UNBIASED = "_unbiased"
"""What ends the name of a convolution's output before its bias is added."""


def half_weights(model: onnx.ModelProto, min_elements: int) -> onnx.ModelProto:
    """Return a copy that stores tensors of ``min_elements`` and more as float16.

    It still computes in float32: onnxruntime unpacks the weights once, when it loads the model.
    Half the size at the same speed on a CPU, where float16 arithmetic is slow or absent.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    casts = []
    for tensor in copy.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < min_elements:
            continue
        name = tensor.name
        halved = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(halved, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    biases = {tensor.name: tensor for tensor in copy.graph.initializer}
    nodes = casts
    halved_names = {cast.output[0] for cast in casts}
    for node in copy.graph.node:
        nodes.append(node)
        if node.op_type == "Conv" and len(node.input) > 2 and node.input[1] in halved_names:
            nodes.append(part_bias(node, biases[node.input[2]]))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def part_bias(node: onnx.NodeProto, bias: onnx.TensorProto) -> onnx.NodeProto:
    """Take a convolution's bias out, in place, and return the addition that follows it instead.

    onnxruntime joins the two again when it loads the model; its dynamic quantisation refuses a
    convolution with a bias whose weight is not an initializer, as that of a widened half is not.
    """
    column = numpy_helper.to_array(bias).reshape(1, -1, 1, 1)
    bias.CopyFrom(numpy_helper.from_array(column, bias.name))
    output = node.output[0]
    del node.input[2:]
    node.output[0] = f"{output}{UNBIASED}"
    return helper.make_node("Add", [node.output[0], bias.name], [output], f"{node.name}_bias")


def integers(
    model: onnx.ModelProto, tensors: Sequence[npt.NDArray[np.uint8]], float_nodes: Sequence[str]
) -> onnx.ModelProto:
    """Return a copy with 8-bit weights and activations (static QDQ).

    Weights are signed and scaled per channel, activations unsigned: the order that runs fastest
    on x86 (U8S8), and exact wherever the CPU sums 8-bit products in 32 bits.

    Parameters
    ----------
    model
        The float32 graph.
    tensors
        Calibration images, each (1, 1, h, w), uint8.
    float_nodes
        Names of nodes that stay in float32. So does all that comes after the last convolution,
        whose values are not even looked at: they have no range that a few images could show.
    """
    body, tail = _cut_after_last_convolution(model)
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, out = (Path(folder) / n for n in ("in.onnx", "prepared.onnx", "out.onnx"))
        onnx.save(body, source)
        level = logging.root.level
        logging.root.setLevel(logging.ERROR)  # the library advises on its own root logger
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints, too
                quant_pre_process(source, prepared, skip_symbolic_shape=True)
                quantize_static(
                    prepared,
                    out,
                    _Images(model.graph.input[0].name, tensors),
                    quant_format=QuantFormat.QDQ,
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    # A few extreme activations would stretch every step of the 8-bit scale.
                    calibrate_method=CalibrationMethod.Percentile,
                    op_types_to_quantize=list(_QUANTIZED),
                    nodes_to_exclude=list(float_nodes),
                    extra_options={"CalibPercentile": _PERCENTILE, "CalibStridedMinMax": 1},
                )
        finally:
            logging.root.setLevel(level)
        return _join(onnx.load(out), tail)


def _cut_after_last_convolution(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.GraphProto]:
    """Return a copy that ends with the last convolution, and a graph of the rest."""
    body, tail = onnx.ModelProto(), onnx.GraphProto()
    body.CopyFrom(model)
    tail.CopyFrom(model.graph)
    last = max(i for i, node in enumerate(model.graph.node) if node.op_type == "Conv")
    del body.graph.node[last + 1 :]
    del tail.node[: last + 1]
    for graph in (body.graph, tail):
        read = {name for node in graph.node for name in node.input}
        unread = [t for t in graph.initializer if t.name not in read]
        for tensor in unread:
            graph.initializer.remove(tensor)
    del body.graph.output[:]
    logits = model.graph.node[last].output[0]
    body.graph.output.append(helper.make_tensor_value_info(logits, TensorProto.FLOAT, [None] * 4))
    return body, tail


def _join(body: onnx.ModelProto, tail: onnx.GraphProto) -> onnx.ModelProto:
    """Put the rest behind a body, in place, and return it."""
    graph = body.graph
    graph.node.extend(tail.node)
    known = {tensor.name for tensor in graph.initializer}
    graph.initializer.extend(t for t in tail.initializer if t.name not in known)
    del graph.output[:]
    graph.output.extend(tail.output)
    return body


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """Feeds calibration images in ranges, so that activations of all are never in memory."""

    def __init__(self, name: str, tensors: Sequence[npt.NDArray[np.uint8]]) -> None:
        self._feeds = [{name: tensor} for tensor in tensors]
        self._range = iter(self._feeds)

    def __len__(self) -> int:
        return len(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Feed these images next."""
        self._range = iter(self._feeds[start_index:end_index])

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        """Return the next feed, or None after the last of the range."""
        return next(self._range, None)
