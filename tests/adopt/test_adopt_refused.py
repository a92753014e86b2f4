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


def with_input(kind: int, shape: Any, *others: Any) -> onnx.ModelProto:
    """Return a model that does nothing with an input of this type and shape."""
    node = helper.make_node("Identity", ["x"], ["y"])
    given, made = (helper.make_tensor_value_info(name, kind, shape) for name in "xy")
    graph = helper.make_graph([node], "user", [given, *others], [made])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def detection() -> onnx.ModelProto:
    """Return a model with boxes and prototypes of masks, as ultralytics exports them."""
    model = float_model(maps=32)
    boxes = numpy_helper.from_array(np.zeros((1, 37, 84), np.float32), "boxes")
    model.graph.initializer.append(boxes)
    model.graph.node.append(helper.make_node("Identity", ["boxes"], ["output0"]))
    port = helper.make_tensor_value_info("output0", FLOAT, (1, 37, 84))
    model.graph.output.insert(0, port)
    return model


def ending_in(*nodes: Any, **values: Any) -> Any:
    return lambda: float_model(extra=[*nodes], **values)


def marked() -> onnx.ModelProto:
    model = float_model()
    helper.set_model_props(model, {"edgeseg": "{}"})
    return model


HALVES = (
    helper.make_node("SpaceToDepth", ["maps"], ["deep"], blocksize=16),
    helper.make_node("DepthToSpace", ["deep"], ["end"], blocksize=16),
)
EACH = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
FLOAT, LESION = TensorProto.FLOAT, {"classes": ("background", "lesion")}
PROMPT = helper.make_tensor_value_info("prompt", FLOAT, (1, 4))
# a model, what its user says of it, and what the refusal must name
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "edgeseg": (marked, SIGMOID, "already"),
    "inputs": (lambda: with_input(FLOAT, (1, 3, H, W), PROMPT), SIGMOID, "prompt"),
    "scaled bytes": (lambda: with_input(TensorProto.UINT8, (1, 3, H, W)), {}, "--scale"),
    "volumes": (lambda: with_input(FLOAT, (1, 1, 8, H, W)), SIGMOID, "four axes"),
    "4 channels": (lambda: with_input(FLOAT, (1, 4, H, W)), SIGMOID, "4 channels.*--layout"),
    "other channels": (float_model, SIGMOID | {"channels": 1}, "--channels"),
    "open size": (lambda: float_model(size=("height", "width")), SIGMOID, "--input.*give it"),
    "two means": (float_model, SIGMOID | {"mean": (0.1, 0.2)}, "--mean has 2"),
    "outputs": (detection, SIGMOID, "output0 .*--output NAME"),
    "no such output": (detection, SIGMOID | {"output": "masks"}, "output0 .*--output NAME"),
    "boxes": (detection, SIGMOID | {"output": "output0"}, r"\[1, 37, 84\]"),
    "cropped": (ending_in(*chain("MaxPool", kernel_shape=[3, 3])), SIGMOID, r"\[1, 1, 22, 38\]"),
    "no activation": (float_model, {}, "give --activation"),
    "twice": (lambda: float_model(tail="Sigmoid"), SIGMOID, "leave --activation out"),
    "one softmax": (float_model, {"activation": "softmax"}, "in --classes, at least one"),
    "no names": (lambda: float_model(maps=3), {"activation": "softmax"}, "3 maps.*--classes"),
    "open meaning": (lambda: float_model(maps=2, tail="Sigmoid"), {}, "add up to 1"),
    "both signs": (ending_in(*chain("Tanh")), {"activation": "none"}, "no probabilities"),
    "two heads": (
        lambda: float_model(maps=2),
        SIGMOID | {"task": "head", "classes": ("background", "a", "b")},
        "--task head",
    ),
    "not finite": (ending_in(*chain("Log")), SIGMOID, "not finite"),
    "sides": (ending_in(*HALVES, size=("h", "w")), SIGMOID | {"input_size": (48, 72)}, "--input"),
    "three answers": (
        ending_in(*chain("Gather", [0, -1, 0], axis=0)),
        SIGMOID,
        r"\[3, 1, 24, 40\]",
    ),
    "four": (ending_in(*chain("Add", EACH), batch=4), SIGMOID, "4 images at once"),
    "more indices than names": (class_indices, LESION, "to 2, class indices"),
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
        *[("scale", 0.0), ("sd", (1.0, 0.0, 1.0)), ("mean", (float("nan"),)), ("threshold", 1.0)],
        *[("per_image", "median"), ("input_size", (0, 5)), ("channels", 2), ("layout", "hwc")],
        *[("activation", "relu"), ("task", "heart"), ("classes", ("lesion",))],
        *[("classes", (BACKGROUND,)), ("classes", (BACKGROUND, "a", "a"))],
    ],
)
def test_values_that_no_model_has_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is .*; expected"):
        adopt(tmp_path / "never-read.onnx", tmp_path / "mine.onnx", AdoptSpec(**{name: value}))


def test_a_scale_and_a_normalisation_by_the_image_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="no scale"):
        AdoptSpec(scale=1.0, per_image="z-score").check()


def refused(source: Path, out: Path, error: type[EdgesegError]) -> str:
    with pytest.raises(error) as caught:
        adopt(source, out, AdoptSpec(activation="sigmoid"))
    return str(caught.value)


def test_files_that_are_no_models_are_sentences(tmp_path: Path) -> None:
    out, text = tmp_path / "mine.onnx", tmp_path / "text.onnx"
    for missing in (tmp_path / "gone.onnx", tmp_path):
        assert str(missing) in refused(missing, out, ModelNotFoundError)
    for content, word in (
        *[(content, "text.onnx") for content in (b"", b"not a model at all")],
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ):
        text.write_bytes(content)
        assert word in refused(text, out, ModelError)


def test_an_output_is_not_replaced(tmp_path: Path) -> None:
    source, out = save(float_model(), tmp_path), tmp_path / "mine.onnx"
    out.write_bytes(b"mine")
    refused(source, out, OutputExistsError)
    assert out.read_bytes() == b"mine"
    refused(source, tmp_path, OutputWriteError)


def test_a_plain_model_is_led_to_adopt(tmp_path: Path) -> None:
    source = save(float_model(), tmp_path)
    with pytest.raises(ModelError, match=r"'edgeseg adopt .*user.onnx --out FILE --sca"):
        verify(source)
