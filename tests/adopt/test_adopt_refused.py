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
from edgeseg.adopt.spec import BACKGROUND, AdoptSpec  # noqa: E402
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


def four_together() -> onnx.ModelProto:
    each = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    return float_model(batch=4, extra=chain("Add", each), last="end")


FLOAT, LESION = TensorProto.FLOAT, {"classes": ("background", "lesion")}
# a model, what its user says of it, and what the refusal must name
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "edgeseg": (marked, SIGMOID, "already"),
    "inputs": (several_inputs, SIGMOID, "prompt"),
    "scaled bytes": (lambda: with_input(TensorProto.UINT8, (1, 3, H, W)), {}, "--scale"),
    "volumes": (lambda: with_input(FLOAT, (1, 1, 8, H, W)), SIGMOID, "four axes"),
    "4 channels": (lambda: with_input(FLOAT, (1, 4, H, W)), SIGMOID, "4 channels.*--layout"),
    "other channels": (float_model, SIGMOID | {"channels": 1}, "--channels"),
    "open size": (lambda: float_model(size=("height", "width")), SIGMOID, "give --input"),
    "two means": (float_model, SIGMOID | {"mean": (0.1, 0.2)}, "--mean has 2"),
    "outputs": (detection, SIGMOID, "output0 .*--output NAME"),
    "no such output": (detection, SIGMOID | {"output": "masks"}, "output0 .*--output NAME"),
    "boxes": (detection, SIGMOID | {"output": "output0"}, r"\[1, 37, 84\]"),
    "cropped": (lambda: ending_in("MaxPool", kernel_shape=[3, 3]), SIGMOID, r"\[1, 1, 22, 38\]"),
    "no activation": (float_model, {}, "give --activation"),
    "twice": (lambda: float_model(tail="Sigmoid"), SIGMOID, "leave --activation out"),
    "one softmax": (float_model, {"activation": "softmax"}, "at least one structure"),
    "no names": (lambda: float_model(maps=3), {"activation": "softmax"}, "3 names in --classes"),
    "open meaning": (lambda: float_model(maps=2, tail="Sigmoid"), {}, "add up to 1"),
    "both signs": (lambda: ending_in("Tanh"), {"activation": "none"}, "no probabilities"),
    "two heads": (
        lambda: float_model(maps=2),
        SIGMOID | {"task": "head", "classes": ("background", "a", "b")},
        "--task head",
    ),
    "not finite": (lambda: ending_in("Log"), SIGMOID, "not finite"),
    "sides": (needs_even_sides, SIGMOID | {"input_size": (48, 72)}, "--input"),
    "three answers": (
        lambda: float_model(extra=chain("Gather", [0, -1, 0], axis=0), last="end"),
        SIGMOID,
        r"\[3, 1, 24, 40\]",
    ),
    "four": (four_together, SIGMOID, "4 images at once"),
    "more indices than names": (class_indices, LESION, "index 2"),
    "activated indices": (class_indices, SIGMOID | LESION, "leave --activation out"),
    "halves for indices": (float_model, {"activation": "indices"} | LESION, "class indices"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_adopted_is_refused(tmp_path: Path, case: str) -> None:
    make, said, sentence = REFUSED[case]
    source = save(make(), tmp_path)
    with pytest.raises(ModelError, match=sentence):
        adopt(source, tmp_path / "mine.onnx", AdoptSpec(**({"mean": MEAN, "sd": SD} | said)))
    assert [p.name for p in tmp_path.iterdir()] == ["user.onnx"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("scale", value) for value in (0.0, float("inf"))],
        *[("sd", (1.0, 0.0, 1.0)), ("mean", (float("nan"),)), ("per_image", "median")],
        *[("threshold", 1.0), ("input_size", (0, 5)), ("channels", 2), ("layout", "hwc")],
        *[("activation", "relu"), ("task", "heart")],
        *[
            ("classes", names)
            for names in (("lesion",), (BACKGROUND,), (BACKGROUND, "a", "a"), (BACKGROUND, ""))
        ],
    ],
)
def test_values_that_no_model_has_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is .*; expected"):
        adopt(tmp_path / "never-read.onnx", tmp_path / "mine.onnx", AdoptSpec(**{name: value}))


def test_a_scale_and_a_normalisation_by_the_image_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="no scale"):
        AdoptSpec(scale=1.0, per_image="z-score").check()


def refused(source: Path, out: Path) -> EdgesegError:
    with pytest.raises(EdgesegError) as caught:
        adopt(source, out, AdoptSpec(activation="sigmoid"))
    return caught.value


def test_files_that_are_no_models_are_sentences(tmp_path: Path) -> None:
    out, text = tmp_path / "mine.onnx", tmp_path / "text.onnx"
    for missing in (tmp_path / "gone.onnx", tmp_path):
        error = refused(missing, out)
        assert isinstance(error, ModelNotFoundError)
        assert str(missing) in str(error)
    for content, word in (
        *[(content, "text.onnx") for content in (b"", b"not a model at all", b"\x08\x07")],
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html>", "web page"),
    ):
        text.write_bytes(content)
        assert word in str(refused(text, out))


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
