from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import (
    ConfigError,
    EdgesegError,
    ModelError,
    ModelNotFoundError,
    OutputExistsError,
    OutputWriteError,
)

onnx = pytest.importorskip("onnx", reason="the adopt extra is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edgeseg.adopt.adopt import adopt  # noqa: E402
from edgeseg.adopt.spec import AdoptSpec  # noqa: E402
from edgeseg.bench.verify import verify  # noqa: E402
from tests.adopt.graphs import MEAN, SD, H, W, chain, class_indices, float_model, save  # noqa: E402

SIGMOID = {"activation": "sigmoid"}


def info(name: str, kind: int, shape: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def with_input(kind: int, shape: Any) -> onnx.ModelProto:
    """Return a model that does nothing with an input of this type and shape."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "user",
        [info("x", kind, shape)],
        [info("y", kind, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def several_inputs() -> onnx.ModelProto:
    model = with_input(TensorProto.FLOAT, ("n", 3, H, W))
    model.graph.input.append(info("prompt", TensorProto.FLOAT, (1, 4)))
    return model


def detection() -> onnx.ModelProto:
    """Return a model with boxes and prototypes of masks, as ultralytics exports them."""
    model = float_model(maps=32)
    boxes = numpy_helper.from_array(np.zeros((1, 37, 84), np.float32), "boxes")
    model.graph.initializer.append(boxes)
    model.graph.node.append(helper.make_node("Identity", ["boxes"], ["output0"]))
    model.graph.output.insert(0, info("output0", TensorProto.FLOAT, (1, 37, 84)))
    return model


def ending_in(operator: str, maps: int = 1, **attributes: Any) -> onnx.ModelProto:
    return float_model(maps=maps, extra=chain(operator, **attributes), last="end")


def needs_even_sides() -> onnx.ModelProto:
    halves = helper.make_node("SpaceToDepth", ["maps"], ["deep"], blocksize=16)
    back = helper.make_node("DepthToSpace", ["deep"], ["end"], blocksize=16)
    return float_model(extra=[halves, back], last="end", size=("height", "width"))


def marked() -> onnx.ModelProto:
    model = float_model()
    helper.set_model_props(model, {"edgeseg": "{}"})
    return model


def of_opset(version: int) -> onnx.ModelProto:
    model = with_input(TensorProto.FLOAT, ("n", 3, H, W))
    model.opset_import[0].version = version
    return model


def four_together() -> onnx.ModelProto:
    each = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    return float_model(batch=4, extra=chain("Add", each), last="end")


FLOAT, LESION = TensorProto.FLOAT, {"classes": ("background", "lesion")}
# a model, what its user says of it, and what the refusal must name
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "edgeseg": (marked, SIGMOID, "already"),
    "future": (lambda: of_opset(99), SIGMOID, "onnxruntime"),
    "inputs": (several_inputs, SIGMOID, "prompt"),
    "integers": (lambda: with_input(TensorProto.INT32, (1, 3, H, W)), SIGMOID, "floats or bytes"),
    "scaled bytes": (lambda: with_input(TensorProto.UINT8, (1, 3, H, W)), {}, "--scale"),
    "volumes": (lambda: with_input(FLOAT, (1, 1, 8, H, W)), SIGMOID, "volumes"),
    "vectors": (lambda: with_input(FLOAT, (1, 9)), SIGMOID, "four axes"),
    "4 channels": (lambda: with_input(FLOAT, (1, 4, H, W)), SIGMOID, "4 channels.*nhwc"),
    "other channels": (float_model, SIGMOID | {"channels": 1}, "--channels"),
    "other size": (float_model, SIGMOID | {"input_size": (64, W)}, "--input"),
    "other layout": (float_model, SIGMOID | {"layout": "nhwc"}, f"{W} channels"),
    "open size": (lambda: float_model(size=("height", "width")), SIGMOID, "give --input"),
    "open channels": (lambda: with_input(FLOAT, ("n", "c", H, W)), SIGMOID, "give --channels"),
    "two means": (float_model, SIGMOID | {"mean": (0.1, 0.2)}, "--mean has 2"),
    "outputs": (detection, SIGMOID, "output0 .*output1|output0 .*--output NAME"),
    "no such output": (detection, SIGMOID | {"output": "masks"}, "'masks'.* output0"),
    "boxes": (detection, SIGMOID | {"output": "output0"}, r"\[1, 37, 84\]"),
    "labels": (lambda: ending_in("GlobalMaxPool"), SIGMOID, r"\[1, 1, 1, 1\]"),
    "cropped": (lambda: ending_in("MaxPool", kernel_shape=[3, 3]), SIGMOID, r"\[1, 1, 22, 38\]"),
    "no activation": (float_model, {}, "give --activation"),
    "twice": (lambda: float_model(tail="Sigmoid"), SIGMOID, "leave --activation out"),
    "one softmax": (float_model, {"activation": "softmax"}, "softmax over one map"),
    "no names": (lambda: float_model(maps=3), {"activation": "softmax"}, "expected 3 names"),
    "two names": (lambda: float_model(maps=2), SIGMOID | LESION, "expected 3 names"),
    "open meaning": (lambda: float_model(maps=2, tail="Sigmoid"), {}, "first is the background"),
    "no probabilities": (float_model, {"activation": "none"}, "no probabilities"),
    "both signs": (lambda: ending_in("Tanh"), {"activation": "none"}, "no probabilities"),
    "no sum": (lambda: ending_in("HardSigmoid", 2), {"activation": "none"} | LESION, "add up to 1"),
    "old softmax": (lambda: float_model(maps=2, tail="Softmax", opset=11), LESION, "add up to 1"),
    "two heads": (lambda: float_model(maps=2), SIGMOID | {"task": "head"}, "--task head"),
    "not finite": (lambda: ending_in("Log"), SIGMOID, "not finite"),
    "sides": (needs_even_sides, SIGMOID | {"input_size": (48, 72)}, "--input"),
    "three answers": (
        lambda: float_model(extra=chain("Gather", [0, -1, 0], axis=0), last="end"), SIGMOID,
        r"\[3, 1, 24, 40\]",
    ),
    "four": (four_together, SIGMOID, "4 images at once"),
    "indices without names": (class_indices, {}, "--classes"),
    "more indices than names": (class_indices, LESION, "index 2"),
    "activated indices": (class_indices, SIGMOID | LESION, "leave --activation out"),
    "halves for indices": (float_model, {"activation": "indices"} | LESION, "class indices"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_adopted_is_refused(tmp_path: Path, case: str) -> None:
    make, said, sentence = REFUSED[case]
    source = save(make(), tmp_path)
    with pytest.raises(ModelError, match=sentence):
        adopt(source, tmp_path / "mine.onnx", AdoptSpec(**({"mean": MEAN, "sd": SD} | said)))
    assert [p.name for p in tmp_path.iterdir()] == ["user.onnx"]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"scale": 0.0}, "scale is 0.0; expected the gray value"),
        ({"sd": (1.0, 0.0, 1.0)}, "SD above 0"),
        ({"mean": (float("nan"),)}, "expected finite"),
        ({"scale": 1.0, "per_image": "z-score"}, "exclude each other"),
        ({"per_image": "median"}, "expected z-score or maximum"),
        ({"threshold": 1.0}, "threshold is 1.0; expected a value between"),
        ({"input_size": (0, 5)}, "expected HEIGHTxWIDTH"),
        ({"channels": 2}, "channels is 2; expected 1 or 3"),
        ({"layout": "hwc"}, "layout is 'hwc'; expected nchw or nhwc"),
        (
            {"activation": "relu"},
            "expected sigmoid or softmax or none",
        ),
        ({"task": "heart"}, "task is 'heart'; expected regions or head"),
        ({"classes": ("lesion",)}, "classes is 'lesion'; expected background and then"),
        ({"classes": ("background",)}, "expected background and then"),
        ({"classes": ("background", "a", "a")}, "name of each structure once"),
        ({"classes": ("background", "")}, "expected background and then"),
    ],
)
def test_values_that_no_model_has_are_refused(
    tmp_path: Path, said: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        adopt(tmp_path / "never-read.onnx", tmp_path / "mine.onnx", AdoptSpec(**said))


def refused(source: Path, out: Path) -> EdgesegError:
    with pytest.raises(EdgesegError) as caught:
        adopt(source, out, AdoptSpec(activation="sigmoid"))
    return caught.value


def test_files_that_are_no_models_are_sentences(tmp_path: Path) -> None:
    out = tmp_path / "mine.onnx"
    gone = refused(tmp_path / "gone.onnx", out)
    assert isinstance(gone, ModelNotFoundError)
    assert "gone.onnx: no such file" in str(gone)
    assert "is a folder" in str(refused(tmp_path, out))
    for content in (b"", b"not a model at all", b"\x08\x07"):
        (tmp_path / "text.onnx").write_bytes(content)
        assert "text.onnx" in str(refused(tmp_path / "text.onnx", out))
    for content, word in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html>", "web page"),
    ):
        (tmp_path / "text.onnx").write_bytes(content)
        assert word in str(refused(tmp_path / "text.onnx", out))


def test_an_output_is_not_replaced(tmp_path: Path) -> None:
    source, out = save(float_model(), tmp_path), tmp_path / "mine.onnx"
    out.write_bytes(b"mine")
    assert isinstance(refused(source, out), OutputExistsError)
    assert out.read_bytes() == b"mine"
    assert isinstance(refused(source, tmp_path), OutputWriteError)


def test_a_plain_model_is_led_to_adopt(tmp_path: Path) -> None:
    source = save(float_model(), tmp_path)
    with pytest.raises(ModelError, match=r"'edgeseg adopt .*user.onnx --out FILE --sca"):
        verify(source)
