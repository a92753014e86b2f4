"""Models, values and files that cannot be adopted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg import errors
from edgeseg.bench.verify import verify
from edgeseg.errors import EdgesegError, ModelError

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402

from edgeseg.adopt.adopt import adopt  # noqa: E402
from edgeseg.adopt.spec import AdoptSpec  # noqa: E402
from tests.adopt.graphs import (  # noqa: E402
    INDICES,
    LESION,
    NAMES,
    NONE,
    NORMALIZED,
    SIGMOID,
    SOFTMAX,
    H,
    W,
    chain,
    class_indices,
    constant,
    ending_in,
    float_model,
    node,
    save,
)

U8 = TensorProto.UINT8


def with_input(kind: int, shape: Any, *others: Any) -> onnx.ModelProto:
    """Return a model that does nothing with an input of this type and shape."""
    given, made = (helper.make_tensor_value_info(name, kind, shape) for name in "xy")
    graph = helper.make_graph([node("Identity", "x", "y")], "user", [given, *others], [made])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def detection() -> onnx.ModelProto:
    """Return a model with boxes and prototypes of masks, as ultralytics exports them."""
    model = float_model(maps=32)
    model.graph.node.append(constant("output0", np.zeros((1, 37, 84), np.float32)))
    port = helper.make_tensor_value_info("output0", FLOAT, (1, 37, 84))
    model.graph.output.insert(0, port)
    return model


HALVES = (
    node("SpaceToDepth", ["maps"], ["deep"], blocksize=16),
    node("DepthToSpace", ["deep"], ["end"], blocksize=16),
)
EACH = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
FLOAT = TensorProto.FLOAT
PROMPT = helper.make_tensor_value_info("prompt", FLOAT, (1, 4))
# a model, what its user says of it, and what the refusal must name
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "inputs": (lambda: with_input(FLOAT, (1, 3, H, W), PROMPT), SIGMOID, "prompt"),
    "scaled bytes": (lambda: with_input(U8, (1, 3, H, W)), {}, "--scale"),
    "volumes": (lambda: with_input(FLOAT, (1, 1, 8, H, W)), SIGMOID, "four axes"),
    "4 channels": (lambda: with_input(FLOAT, (1, 4, H, W)), SIGMOID, "4 channels.*--layout"),
    "other channels": (float_model, SIGMOID | {"channels": 1}, "--channels"),
    "open size": (ending_in(size=("height", "width")), SIGMOID, "--input.*give it"),
    "two means": (float_model, SIGMOID | {"mean": (0.1, 0.2)}, "--mean has 2"),
    "outputs": (detection, SIGMOID, "output0 .*--output NAME"),
    "boxes": (detection, SIGMOID | {"output": "output0"}, r"\[1, 37, 84\]"),
    "cropped": (ending_in(*chain("MaxPool", kernel_shape=[3, 3])), SIGMOID, r"\[1, 1, 30, 46\]"),
    "no activation": (float_model, {}, "give --activation"),
    "one softmax": (float_model, SOFTMAX, "2 names in --classes"),
    "no names": (ending_in(maps=3), SOFTMAX, "3 maps.*--classes"),
    "both signs": (ending_in(*chain("Tanh")), NONE, "no probabilities"),
    "two heads": (ending_in(maps=2), SIGMOID | NAMES | {"task": "head"}, "--task head"),
    "two ellipses": (ending_in(maps=2), SIGMOID | NAMES | {"task": "ellipse"}, "--task ellipse"),
    "not finite": (ending_in(*chain("Log")), SIGMOID, "not finite"),
    "sides": (ending_in(*HALVES, size=("h", "w")), SIGMOID | {"input_size": (48, 72)}, "--input"),
    "answers": (ending_in(*chain("Gather", [0, -1, 0], axis=0)), SIGMOID, r"\[3, 1, 32, 48\]"),
    "four": (ending_in(*chain("Add", EACH), batch=4), SIGMOID, "4 images at once"),
    "more indices than names": (class_indices, LESION, "to 2, class indices"),
    "halves for indices": (float_model, INDICES | LESION, "class indices"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_adopted_is_refused(tmp_path: Path, case: str) -> None:
    make, said, sentence = REFUSED[case]
    source = save(make(), tmp_path)
    with pytest.raises(ModelError, match=sentence):
        adopt(source, tmp_path / "mine.onnx", AdoptSpec(**(NORMALIZED | said)))
    assert [p.name for p in tmp_path.iterdir()] == ["user.onnx"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("scale", 0.0), ("sd", (1.0, 0.0, 1.0)), ("mean", (float("nan"),)), ("threshold", 1.0)],
        *[("normalise", "median"), ("input_size", (0, 5)), ("channels", 2), ("layout", "hwc")],
        *[("activation", "relu"), ("task", "heart"), ("classes", ("lesion",))],
        *[("classes", ("background",)), ("classes", ("background", "a", "a"))],
    ],
)
def test_values_that_no_model_has_are_refused(name: str, value: Any) -> None:
    with pytest.raises(errors.ConfigError, match=f"^{name} is .*; expected"):
        adopt(Path("never-read.onnx"), Path("mine.onnx"), AdoptSpec(**{name: value}))
    with pytest.raises(errors.ConfigError, match="no scale"):
        AdoptSpec(scale=1.0, normalise="zscore").check()


def test_files_that_are_no_models_and_outputs_that_exist_are_sentences(tmp_path: Path) -> None:
    source, text, out = save(float_model(), tmp_path), tmp_path / "a.onnx", tmp_path / "mine.onnx"

    def refused(model: Path, out: Path, error: type[EdgesegError], word: str) -> None:
        with pytest.raises(error, match=word):
            adopt(model, out, AdoptSpec(activation="sigmoid"))

    refused(tmp_path / "gone.onnx", out, errors.ModelNotFoundError, "gone.onnx")
    refused(tmp_path, out, errors.ModelNotFoundError, "expected an ONNX file")
    text.write_bytes(b"not a model at all")
    refused(text, out, ModelError, "a.onnx")
    text.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    refused(text, out, ModelError, "git lfs pull")
    out.write_bytes(b"mine")
    refused(source, out, errors.OutputExistsError, "mine.onnx")
    assert out.read_bytes() == b"mine"
    refused(source, tmp_path, errors.OutputWriteError, tmp_path.name)
    with pytest.raises(ModelError, match=r"'edgeseg adopt .*user.onnx --out FILE --sca"):
        verify(source)
