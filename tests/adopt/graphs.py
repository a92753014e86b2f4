"""Small float models as users have them, in plain onnx, and their answers in numpy."""

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

H, W = 24, 40
MEAN, SD = (0.1, 0.3, 0.55), (0.5, 0.25, 0.125)
IR = {11: 6, 17: 8, 23: 11}
Map = npt.NDArray[np.float64]


def session(model: Path | onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def float_model(
    *,
    maps: int = 1,
    tail: str | None = None,
    channels: int = 3,
    nhwc: bool = False,
    opset: int = 17,
    batch: int | str = "batch",
    size: tuple[int | str, int | str] = (H, W),
    stride: int = 1,
    names: tuple[str, str] = ("input", "output"),
    kind: int = TensorProto.FLOAT,
    extra: Sequence[onnx.NodeProto] = (),
    last: str = "maps",
) -> onnx.ModelProto:
    """Return two convolutions in the layout, with the tail (Sigmoid, Softmax) that is asked for.

    ``extra`` nodes go from the value ``maps`` to the value ``last``.
    """
    rng = np.random.default_rng(7)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    first = rng.normal(size=(6, channels, 5, 5)) * 0.3
    second = rng.normal(size=(maps, 6, 3, 3)) * np.linspace(0.2, 0.3, maps).reshape(-1, 1, 1, 1)
    weights = [
        numpy_helper.from_array(first.astype(dtype), "w1"),
        numpy_helper.from_array(second.astype(dtype), "w2"),
    ]
    source, target = names
    nodes = []
    if nhwc:
        nodes.append(helper.make_node("Transpose", [source], ["nchw"], perm=[0, 3, 1, 2]))
    nodes += [
        helper.make_node("Conv", ["nchw" if nhwc else source, "w1"], ["c1"], pads=[2] * 4),
        helper.make_node("Tanh", ["c1"], ["t1"]),
        helper.make_node("Conv", ["t1", "w2"], ["maps"], pads=[1] * 4, strides=[stride] * 2),
        *extra,
    ]
    value = last
    if nhwc:
        nodes.append(helper.make_node("Transpose", [value], ["back"], perm=[0, 2, 3, 1]))
        value = "back"
    axis = {"axis": 3 if nhwc else 1} if tail == "Softmax" else {}
    nodes.append(helper.make_node(tail or "Identity", [value], [target], **axis))
    height, width = size
    shape = (batch, height, width, channels) if nhwc else (batch, channels, height, width)
    sides = [side // stride if isinstance(side, int) else f"{side}_out" for side in size]
    out = (batch, *sides, maps) if nhwc else (batch, maps, *sides)
    graph = helper.make_graph(
        nodes,
        "user",
        [helper.make_tensor_value_info(source, kind, shape)],
        [helper.make_tensor_value_info(target, kind, out)],
        weights,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR[opset]
    )


def shaped(operator: str, constant: Any, **attributes: Any) -> list[onnx.NodeProto]:
    """Return a node whose second input is a constant, from ``maps`` to ``end``."""
    tensor = numpy_helper.from_array(np.array(constant))
    return [
        helper.make_node("Constant", [], ["c"], value=tensor),
        helper.make_node(operator, ["maps", "c"], ["end"], **attributes),
    ]


def save(model: onnx.ModelProto, folder: Path, name: str = "user.onnx") -> Path:
    onnx.save(model, folder / name)
    return folder / name


def probabilities(
    source: Path,
    gray: GrayImage,
    activation: str,
    *,
    nhwc: bool = False,
    background: bool = False,
    mean: Sequence[float] = MEAN,
    sd: Sequence[float] = SD,
    output: str | None = None,
) -> Map:
    """Return what the user's own code would: (C, h, w) of the structures for one gray image."""
    run = session(source)
    given = run.get_inputs()[0]
    rgb = np.stack([gray / 255.0] * len(mean), axis=-1)
    tensor = ((rgb - np.array(mean)) / np.array(sd))[None]
    if not nhwc:
        tensor = tensor.transpose(0, 3, 1, 2)
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    count = given.shape[0] if isinstance(given.shape[0], int) else 1
    tensor = np.repeat(tensor, count, axis=0).astype(kinds[given.type])
    maps = run.run([output or run.get_outputs()[0].name], {given.name: tensor})[0]
    maps = maps[0].astype(np.float64)
    if nhwc:
        maps = maps.transpose(2, 0, 1)
    if activation == "sigmoid":
        maps = 1 / (1 + np.exp(-maps))
    elif activation == "softmax":
        maps = np.exp(maps) / np.exp(maps).sum(axis=0)
    maps = maps[1:] if background else maps
    return np.stack([cv2.resize(m, gray.shape[::-1]) for m in maps])


def masks(maps: Map, exclusive: bool) -> npt.NDArray[np.intp]:
    """Return each pixel's structure, or 0, from the structures' maps, (C, h, w)."""
    if exclusive:
        return np.concatenate([1 - maps.sum(axis=0, keepdims=True), maps]).argmax(axis=0)
    return np.where(maps.max(axis=0) >= 0.5, maps.argmax(axis=0) + 1, 0)


def wrapped_probabilities(path: Path, gray: GrayImage) -> Map:
    """Run a wrapped file by plain onnxruntime on one image, (h, w): (C, h, w)."""
    run = session(path)
    (given,), (made,) = run.get_inputs(), run.get_outputs()
    assert (given.name, given.type, given.shape[1:]) == ("image", "tensor(uint8)", [1, *gray.shape])
    assert (made.name, made.type) == ("probability", "tensor(float)")
    (maps,) = run.run(None, {"image": gray[None, None]})
    assert list(maps.shape[1:]) == made.shape[1:]
    assert 0 <= maps.min() <= maps.max() <= 1
    found: Any = maps[0]
    return np.asarray(found, np.float64)


def assert_same(source: Path, out: Path, grays: Sequence[GrayImage], **how: Any) -> None:
    """Hold masks and probabilities of a wrapped file to the user's own model."""
    exclusive = how.pop("exclusive", False)
    tolerance = how.pop("tolerance", 1e-5)
    seen = set()
    for gray in grays:
        theirs = probabilities(source, gray, **how)
        ours = wrapped_probabilities(out, gray)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=tolerance)
        mask = masks(theirs, exclusive)
        np.testing.assert_array_equal(masks(ours, exclusive), mask)
        seen |= set(np.unique(mask))
    assert len(seen) > 1  # a mask of one value only would show nothing
