"""Smaller copies of an exported graph: half-precision weights, and 8-bit integers."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
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

# Smaller tensors (depthwise filters, the first and the last layers) hold little of the size and
# most of the rounding error.
_MIN_HALF_ELEMENTS = 12_000


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that stores its large weights as float16 and computes in float32.

    onnxruntime unpacks the weights once, when it loads the model: half the size at the same speed
    on a CPU, where float16 arithmetic is slow or absent.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    casts = []
    for tensor in copy.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _MIN_HALF_ELEMENTS:
            continue
        name = tensor.name
        halved = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(halved, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *copy.graph.node]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


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
        Names of nodes that stay in float32.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, out = (Path(folder) / n for n in ("in.onnx", "prepared.onnx", "out.onnx"))
        onnx.save(model, source)
        level = logging.root.level
        logging.root.setLevel(logging.ERROR)  # the library advises on its own root logger
        try:
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                out,
                _Images(model.graph.input[0].name, tensors),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                op_types_to_quantize=["Conv", "Add", "Concat", "Resize"],
                nodes_to_exclude=list(float_nodes),
            )
        finally:
            logging.root.setLevel(level)
        return onnx.load(out)


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """Feeds calibration images one by one."""

    def __init__(self, name: str, tensors: Sequence[npt.NDArray[np.uint8]]) -> None:
        self._feeds: Iterator[dict[str, npt.NDArray[np.uint8]]] = iter(
            [{name: tensor} for tensor in tensors]
        )

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        """Return the next feed, or None after the last."""
        return next(self._feeds, None)
