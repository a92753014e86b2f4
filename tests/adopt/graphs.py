"""Small models as users have them, in plain onnx, and their answers in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgeseg.images.frame import GrayImage
from edgeseg.segmenter import Segmenter

H, W = 32, 48
MEAN, SD = (0.1, 0.3, 0.55), (0.5, 0.25, 0.125)
# what users say of their models
SIGMOID, SOFTMAX, NONE, INDICES = (
    {"activation": name} for name in ("sigmoid", "softmax", "none", "indices")
)
NORMALIZED = {"mean": MEAN, "sd": SD}
THREE = ("background", "left", "right")
NAMES, LESION = {"classes": THREE}, {"classes": ("background", "lesion")}
node = helper.make_node
Map = npt.NDArray[np.float64]
INPUT_TYPES = {f"tensor({name})": kind for name, kind in (
    ("float", np.float32), ("float16", np.float16), ("uint8", np.uint8),
)}  # fmt: skip


def float_model(
    *,
    maps: int = 1,
    tail: str = "Identity",
    channels: int = 3,
    nhwc: bool = False,
    opset: int = 17,
    batch: int | str = "batch",
    size: tuple[int | str, int | str] = (H, W),
    stride: int = 1,
    kind: int = TensorProto.FLOAT,
    extra: Sequence[onnx.NodeProto] = (),
    given: int | None = None,
    made: int | None = None,
    rank: int = 4,
) -> onnx.ModelProto:
    """Return two convolutions in the layout, with the tail (Sigmoid, Softmax) that is asked for.

    ``extra`` nodes go from the value ``maps`` to the value ``end``; ``given`` and ``made`` are the
    types of input and output, where they are not ``kind``.
    """
    rng = np.random.default_rng(7)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    first = rng.normal(size=(6, channels, 5, 5)) * 0.3
    second = rng.normal(size=(maps, 6, 3, 3)) * np.linspace(0.2, 0.3, maps).reshape(-1, 1, 1, 1)
    values = {"w1": first, "w2": second, "scale": np.array(255)}
    weights = [numpy_helper.from_array(v.astype(dtype), name) for name, v in values.items()]
    value, nodes = "input", []
    if given is not None:
        nodes.append(node("Cast", [value], ["cast"], to=kind))
        nodes.append(node("Div", ["cast", "scale"], ["over_scale"]))
        value = "over_scale"
    if nhwc:
        nodes.append(node("Transpose", [value], ["nchw"], perm=[0, 3, 1, 2]))
        value = "nchw"
    nodes += [node("Conv", [value, "w1"], ["c1"], pads=[2] * 4), node("Tanh", ["c1"], ["t1"])]
    nodes += [node("Conv", ["t1", "w2"], ["maps"], pads=[1] * 4, strides=[stride] * 2), *extra]
    value = "end" if extra else "maps"
    if nhwc and rank == 4:
        nodes.append(node("Transpose", [value], ["back"], perm=[0, 2, 3, 1]))
        value = "back"
    axis = {"axis": 3 if nhwc else 1} if tail == "Softmax" else {}
    nodes.append(node(tail, [value], ["output"], **axis))
    shape = (batch, *size, channels) if nhwc else (batch, channels, *size)
    taken = helper.make_tensor_value_info("input", given or kind, shape)
    answer = helper.make_tensor_value_info("output", made or kind, [None] * rank)
    graph = helper.make_graph(nodes, "user", [taken], [answer], weights)
    opsets = [helper.make_opsetid("", opset)]
    ir_version = helper.find_min_ir_version_for(opsets)
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def constant(name: str, values: Any) -> onnx.NodeProto:
    tensor = numpy_helper.from_array(np.array(values))
    return node("Constant", [], [name], value=tensor)


def chain(operator: str, *constants: Any, **attributes: Any) -> list[onnx.NodeProto]:
    """Return a node whose other inputs are constants, from ``maps`` to ``end``."""
    names = [f"constant{i}" for i in range(len(constants))]
    last = node(operator, ["maps", *names], ["end"], **attributes)
    return [*map(constant, names, constants), last]


def ending_in(*nodes: Any, **values: Any) -> Any:
    """Return a maker of a model of these nodes, from ``maps`` to ``end``."""
    return lambda: float_model(extra=[*nodes], **values)


def class_indices(kind: int = TensorProto.INT64, keepdims: int = 1, **values: Any) -> Any:
    """Return a model that ends in ArgMax, as mmsegmentation and PaddleSeg export them."""
    extra = [
        node("ArgMax", ["maps"], ["index"], axis=1, keepdims=keepdims),
        node("Cast", ["index"], ["end"], to=kind),
    ]
    return float_model(maps=3, extra=extra, made=kind, rank=3 + keepdims, **values)


def save(model: onnx.ModelProto, folder: Path) -> Path:
    (folder / "user.onnx").write_bytes(model.SerializeToString())
    return folder / "user.onnx"


def probabilities(
    source: Path,
    gray: GrayImage,
    activation: str,
    *,
    nhwc: bool = False,
    background: bool = False,
    mean: Sequence[float] = MEAN,
    sd: Sequence[float] = SD,
    how: str = "scale",
) -> Map:
    """Return what the user's own code would: (C, h, w) of the structures for one gray image."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    run = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    given = run.get_inputs()[0]
    values = gray.astype(np.float64)
    if how == "zscore":
        values = (values - values.mean()) / values.std()
    elif how != "bytes":
        values = values / (values.max() if how == "max" else 255)
    tensor = np.stack([values] * len(mean), axis=-1)[None]
    if how != "bytes":
        tensor = (tensor - np.array(mean)) / np.array(sd)
    if not nhwc:
        tensor = tensor.transpose(0, 3, 1, 2)
    count = given.shape[0] if isinstance(given.shape[0], int) else 1
    tensor = np.repeat(tensor, count, axis=0).astype(INPUT_TYPES[given.type])
    maps = run.run(None, {given.name: tensor})[0][0]
    if activation == "indices":
        n_structures = 1 if maps.dtype == bool else 2
        maps = np.stack([maps.reshape(gray.shape) == i + 1 for i in range(n_structures)])
    elif nhwc:
        maps = maps.transpose(2, 0, 1)
    maps = maps.astype(np.float64)
    if activation == "sigmoid":
        maps = 1 / (1 + np.exp(-maps))
    elif activation == "softmax":
        maps = np.exp(maps) / np.exp(maps).sum(axis=0)
    maps = maps[1:] if background else maps
    return np.stack([cv2.resize(m, gray.shape[::-1]) for m in maps])


def assert_same(
    source: Path,
    out: Path,
    grays: Sequence[GrayImage],
    device: str = "cpu",
    tolerance: float = 1e-5,
    **how: Any,
) -> Map:
    """Hold probabilities of an adopted file to the user's own model; return the latter's."""
    theirs = np.stack([probabilities(source, gray, **how) for gray in grays])
    segmenter = Segmenter(out, device=device, threads=1)
    alone = np.concatenate([segmenter.infer(gray[None, None]) for gray in grays])
    together = segmenter.infer(np.stack(grays)[:, None])
    np.testing.assert_allclose(together, alone, atol=tolerance)
    assert alone.shape == theirs.shape
    np.testing.assert_allclose(alone, theirs, atol=tolerance)
    assert theirs.min() < 0.5 < theirs.max()  # a mask of one value only would show nothing
    return theirs
