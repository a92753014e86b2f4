"""Surgery on ONNX graphs: gray bytes before a float model, probabilities behind it.

Every operator added here means the same from operator set 11 on, so a model keeps its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeseg.adopt.float_model import IMAGE, Plan
from edgeseg.adopt.free_batch import free_batch as free
from edgeseg.adopt.graph_parts import (
    STANDARD_DOMAINS,
    drop_unused_imports,
    keep_only,
    rename,
    unused_prefix,
)
from edgeseg.errors import ModelError, ModelNotFoundError
from edgeseg.system.text import first_line

PROBABILITY = "probability"
BATCH = "N"
_MIN_OPSET = 11  # Resize and Slice were others before
_MAX_BYTES = 2**31 - 2**20  # what one protobuf file holds, less room for what is added
# not Slice: a softmax without its background is none of all that is left
_CARRIES = frozenset(("Cast", "Identity", "Reshape", "Resize", "Squeeze", "Transpose", "Unsqueeze"))
_INTEGER_OPERATORS = frozenset(
    ("ConvInteger", "DequantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul")
)


def load(path: Path) -> onnx.ModelProto:
    """Read a model with all its weights, those in files beside it too.

    Raises
    ------
    ModelNotFoundError, ModelError
        If there is none that can be wrapped.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise ModelNotFoundError(f"{path}: {what}; expected an ONNX file")
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)  # whatever its name
    except Exception as error:  # protobuf's own, which depend on how it was built
        raise ModelError(f"{path}: not an ONNX file ({first_line(error)})") from error
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, OSError, ValueError) as error:
        raise ModelError(
            f"{path}: it keeps weights in other files, which cannot be read ({first_line(error)}); "
            "put them beside it, named as when it was exported"
        ) from error
    versions = {o.domain: o.version for o in model.opset_import}
    version = next((versions[domain] for domain in STANDARD_DOMAINS if domain in versions), None)
    if version is None or not model.graph.output:
        raise ModelError(f"{path}: not an ONNX file (it has no graph)")
    if version < _MIN_OPSET:
        raise ModelError(
            f"{path}: operator set {version} is too old; expected {_MIN_OPSET} or later: export "
            "it again, or convert it with onnx.version_converter"
        )
    if model.ByteSize() > _MAX_BYTES:
        raise ModelError(f"{path}: more than the 2 GB that one ONNX file can hold")
    return model


def last_operators(model: onnx.ModelProto) -> dict[str, str]:
    """Return for each output the operator that makes its values, not one that moves them."""
    makers = {name: node for node in model.graph.node for name in node.output}
    found = {}
    for output in model.graph.output:
        node = makers.get(output.name)
        while node is not None and node.op_type in _CARRIES and node.input[0] in makers:
            node = makers[node.input[0]]
        found[output.name] = node.op_type if node is not None else "nothing"
    return found


def precision(model: onnx.ModelProto) -> str:
    """Return ``int8``, ``fp16`` or ``fp32``: how a model keeps its weights."""
    if any(node.op_type in _INTEGER_OPERATORS for node in model.graph.node):
        return "int8"
    halves = any(t.data_type == TensorProto.FLOAT16 for t in model.graph.initializer)
    return "fp16" if halves else "fp32"


def wrap(model: onnx.ModelProto, plan: Plan, *, free_batch: bool) -> onnx.ModelProto:
    """Return a model of edgeseg's contract around a float model.

    Parameters
    ----------
    model
        The float model; it is left as it is.
    plan
        How it is called and what its output means.
    free_batch
        Whether the batch dimension is free, and called ``N``, or 1.

    Returns
    -------
    ModelProto
        ``image``, uint8 (N, 1, h, w), to ``probability``, float32 (N, structures, h, w).
    """
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    graph = wrapped.graph
    keep_only(graph, plan.output_name)
    prefix = unused_prefix(graph)
    if free_batch and plan.batch is not None:
        free(wrapped, plan.batch, prefix)
    own = {name: prefix + name for name in (IMAGE, PROBABILITY)}
    rename(graph, own)  # the model may call its own values so
    before = _Chain(prefix + "before_", IMAGE)
    _add_input(before, plan)
    before.end_in(own.get(plan.input_name, plan.input_name))
    behind = _Chain(prefix + "behind_", own.get(plan.output_name, plan.output_name))
    _add_output(behind, plan)
    behind.end_in(PROBABILITY)
    nodes = [*before.nodes, *graph.node, *behind.nodes]
    for node in nodes:
        del node.metadata_props[:]  # stack traces of the machine it was exported on
    weights = {tensor.name for tensor in graph.initializer}
    listed = [v for v in graph.input if v.name in weights and model.ir_version < 4]
    batch = BATCH if free_batch else 1
    image = helper.make_tensor_value_info(
        IMAGE, TensorProto.UINT8, (batch, 1, plan.height, plan.width)
    )
    probability = helper.make_tensor_value_info(
        PROBABILITY, TensorProto.FLOAT, (batch, plan.n_structures, plan.height, plan.width)
    )
    del graph.value_info[:]  # of another batch and size
    for field, values in (
        (graph.node, nodes),
        (graph.input, [image, *listed]),
        (graph.output, [probability]),
    ):
        kept = list(values)
        del field[:]
        field.extend(kept)
    drop_unused_imports(wrapped)
    return wrapped


def check(model: onnx.ModelProto) -> None:
    """Hold a model to ONNX's own rules, with strict inference of its shapes.

    Raises
    ------
    ModelError
        If it breaks one.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(
            f"the graph does not pass ONNX's check ({first_line(error)}); export the model again"
        ) from error


class _Chain:
    """Nodes of which each takes what the one before it gives."""

    def __init__(self, prefix: str, value: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._prefix, self._value = prefix, value

    def add(self, operator: str, *constants: npt.NDArray[np.generic], **attributes: Any) -> None:
        names = [self._constant(values) for values in constants]
        output = f"{self._prefix}{operator.lower()}_{len(self.nodes)}"
        node = helper.make_node(
            operator, [self._value, *names], [output], name=output, **attributes
        )
        self.nodes.append(node)
        self._value = output

    def end_in(self, name: str) -> None:
        """Give the last value its name in the graph."""
        self.nodes[-1].output[0] = name

    def _constant(self, values: npt.NDArray[np.generic]) -> str:
        # a node: old files list every initializer among the inputs, and a client takes it for one
        name = f"{self._prefix}constant_{len(self.nodes)}"
        tensor = numpy_helper.from_array(values, name)
        self.nodes.append(helper.make_node("Constant", [], [name], name=name, value=tensor))
        return name


def _add_input(chain: _Chain, plan: Plan) -> None:
    """Add what makes the float input, as numpy would: (gray / scale - mean) / sd."""
    chain.add("Cast", to=TensorProto.FLOAT)
    if plan.scale != 1:
        chain.add("Div", np.array(plan.scale, np.float32))
    # the mean has a value for each channel: subtracting it makes as many of the gray one
    chain.add("Sub", np.array(plan.mean, np.float32).reshape(1, -1, 1, 1))
    if set(plan.sd) != {1}:
        chain.add("Div", np.array(plan.sd, np.float32).reshape(1, -1, 1, 1))
    if plan.channels_last:
        chain.add("Transpose", perm=(0, 2, 3, 1))
    kinds = {"tensor(float16)": TensorProto.FLOAT16, "tensor(double)": TensorProto.DOUBLE}
    if plan.input_type in kinds:
        chain.add("Cast", to=kinds[plan.input_type])


def _add_output(chain: _Chain, plan: Plan) -> None:
    """Add what makes probabilities of each structure, at the input's size."""
    last = plan.output_channels_last
    if plan.output_type != "tensor(float)":
        chain.add("Cast", to=TensorProto.FLOAT)
    if len(plan.output_shape) == 3:
        chain.add("Reshape", np.array((0, 1, *plan.output_shape[1:]), np.int64))
    if plan.activation == "softmax":
        # over the last axis: over another one it took all that follow before operator set 13
        if not last:
            chain.add("Transpose", perm=(0, 2, 3, 1))
        chain.add("Softmax", axis=-1)
        last = True
    if last:
        chain.add("Transpose", perm=(0, 3, 1, 2))
    if plan.activation == "sigmoid":
        chain.add("Sigmoid")
    elif plan.activation == "none":
        chain.add("Clip", np.array(0, np.float32), np.array(1, np.float32))
    if plan.has_background:
        start, end, axis = (np.array([n], np.int64) for n in (1, plan.n_maps, 1))
        chain.add("Slice", start, end, axis)
    if plan.shrink > 1:
        scales = np.array((1, 1, plan.shrink, plan.shrink), np.float32)
        chain.add(
            "Resize",
            np.zeros(0, np.float32),
            scales,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
