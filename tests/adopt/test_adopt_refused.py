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
from edgeseg.adopt.plan import AdoptSpec  # noqa: E402
from edgeseg.bench.verify import verify  # noqa: E402
from tests.adopt.graphs import MEAN, SD, H, W, float_model, save, shaped  # noqa: E402

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


def detection(prototypes: str = "output1") -> onnx.ModelProto:
    """Return a model with boxes and prototypes of masks, as ultralytics exports them."""
    model = float_model(maps=32, names=("images", prototypes))
    boxes = numpy_helper.from_array(np.zeros((1, 37, 84), np.float32), "boxes")
    model.graph.initializer.append(boxes)
    model.graph.node.append(helper.make_node("Identity", ["boxes"], ["output0"]))
    model.graph.output.insert(0, info("output0", TensorProto.FLOAT, (1, 37, 84)))
    return model


def class_indices() -> onnx.ModelProto:
    model = float_model(maps=3, extra=[helper.make_node("ArgMax", ["maps"], ["end"], axis=1)])
    model.graph.node[-1].input[0] = "end"
    del model.graph.output[:]
    model.graph.output.append(info("output", TensorProto.INT64, None))
    return model


def unknown_shape(extra: list[onnx.NodeProto], **values: Any) -> onnx.ModelProto:
    model = float_model(extra=extra, last="end", **values)
    del model.graph.output[:]
    model.graph.output.append(info("output", TensorProto.FLOAT, None))
    return model


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
    return float_model(batch=4, extra=shaped("Add", each), last="end")


FLOAT = TensorProto.FLOAT
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "edgeseg": (marked, SIGMOID, "is a model of edgeseg already"),
    "opset": (lambda: of_opset(9), SIGMOID, "operator set 9 is too old; expected 11 or later"),
    "future": (lambda: of_opset(99), SIGMOID, "not a model onnxruntime can load"),
    "inputs": (several_inputs, SIGMOID, r"has 2 inputs \(x .*prompt .*constants of the others"),
    "integers": (lambda: with_input(TensorProto.UINT8, (1, 3, H, W)), SIGMOID, "expected floats"),
    "volumes": (lambda: with_input(FLOAT, (1, 1, 8, H, W)), SIGMOID, "models of volumes are not"),
    "vectors": (lambda: with_input(FLOAT, (1, 9)), SIGMOID, "expected four axes"),
    "4 channels": (lambda: with_input(FLOAT, (1, 4, H, W)), SIGMOID, "takes 4 channels; exp.*nhwc"),
    "other channels": (float_model, SIGMOID | {"channels": 1}, "--channels gives 1 where .* has 3"),
    "other size": (float_model, SIGMOID | {"input_size": (64, W)}, "--input gives 64 where .* 24"),
    "other layout": (float_model, SIGMOID | {"layout": "nhwc"}, f"takes {W} channels; expected 1"),
    "open size": (
        lambda: float_model(size=("height", "width")),
        SIGMOID,
        "leaves open its input size, HEIGHTxWIDTH; give --input",
    ),
    "open channels": (
        lambda: with_input(FLOAT, ("n", "c", H, W)),
        SIGMOID,
        "leaves open how many channels it takes, 1 or 3; give --channels",
    ),
    "two means": (float_model, SIGMOID | {"mean": (0.1, 0.2)}, "--mean has 2 values and .* 3 chan"),
    "outputs": (
        detection,
        SIGMOID,
        r"has 2 outputs \(output0 .*; output1 .*--output NAME \(a detection model's",
    ),
    "no such output": (detection, SIGMOID | {"output": "masks"}, "no output 'masks'; .* output0"),
    "boxes": (detection, SIGMOID | {"output": "output0"}, r"has the shape \[1, 37, 84\] for an"),
    "indices": (class_indices, SIGMOID, "so class indices .* without its argmax"),
    "labels": (
        lambda: unknown_shape([helper.make_node("GlobalMaxPool", ["maps"], ["end"])]),
        SIGMOID,
        r"has the shape \[1, 1, 1, 1\] for an input of 24x40",
    ),
    "cropped": (
        lambda: unknown_shape(
            [helper.make_node("MaxPool", ["maps"], ["end"], kernel_shape=[3, 3])]
        ),
        SIGMOID,
        r"has the shape \[1, 1, 22, 38\] .*whole fraction",
    ),
    "no activation": (float_model, {}, "output 'output' comes from Conv.*give --activation sigm"),
    "twice": (lambda: float_model(tail="Sigmoid"), SIGMOID, "has passed Sigmoid already; leave"),
    "one softmax": (float_model, {"activation": "softmax"}, "a softmax over one map is 1 every"),
    "no names": (
        lambda: float_model(maps=3),
        {"activation": "softmax"},
        "3 maps, the background and 2 structures, and --classes is not given; expected 3 names",
    ),
    "two names": (
        lambda: float_model(maps=2),
        SIGMOID | {"classes": ("background", "lesion")},
        "2 maps, 2 structures, and --classes names 2; expected 3 names",
    ),
    "open meaning": (
        lambda: float_model(maps=2),
        {"activation": "none"},
        "open whether the first is the background",
    ),
    "no probabilities": (float_model, {"activation": "none"}, "has values from .*no probabilities"),
    "both signs": (
        lambda: float_model(extra=[helper.make_node("Tanh", ["maps"], ["end"])], last="end"),
        {"activation": "none"},
        "has values from -.*no probabilities",
    ),
    "no sum": (
        lambda: float_model(maps=2, extra=[helper.make_node("HardSigmoid", ["maps"], ["end"])],
                            last="end"),
        {"activation": "none", "classes": ("background", "lesion")},
        "do not add up to 1, so the first is not the background",
    ),
    "old softmax": (
        lambda: float_model(maps=2, tail="Softmax", opset=11),
        {},
        "do not add up to 1",
    ),
    "two heads": (
        lambda: float_model(maps=2),
        SIGMOID | {"task": "head"},
        "has 2 structures; --task head needs one",
    ),
    "not finite": (
        lambda: float_model(extra=[helper.make_node("Log", ["maps"], ["end"])], last="end"),
        SIGMOID,
        "is not finite on a test image",
    ),
    "sides": (
        needs_even_sides,
        SIGMOID | {"input_size": (48, 72)},
        "does not run on 48x72 pixels with 3 channels .*sides that 32 divides",
    ),
    "three answers": (
        lambda: float_model(extra=shaped("Gather", [0, -1, 0], axis=0), last="end"),
        SIGMOID,
        r"has the shape \[3, 1, 24, 40\] for 1 image; expected maps of each image",
    ),
    "four": (four_together, SIGMOID, "takes 4 images at once and no other number"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_wrapped_is_a_sentence(tmp_path: Path, case: str) -> None:
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
        ({"threshold": 1.0}, "threshold is 1.0; expected a value between"),
        ({"input_size": (0, 5)}, "expected HEIGHTxWIDTH"),
        ({"channels": 2}, "channels is 2; expected 1 or 3"),
        ({"layout": "hwc"}, "layout is 'hwc'; expected nchw or nhwc"),
        ({"activation": "relu"}, "activation is 'relu'; expected sigmoid or softmax or none"),
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
        assert "text.onnx: not an ONNX file" in str(refused(tmp_path / "text.onnx", out))


def test_an_output_is_not_replaced(tmp_path: Path) -> None:
    source, out = save(float_model(), tmp_path), tmp_path / "mine.onnx"
    out.write_bytes(b"mine")
    assert isinstance(refused(source, out), OutputExistsError)
    assert out.read_bytes() == b"mine"
    assert isinstance(refused(source, tmp_path), OutputWriteError)


def test_weights_are_read_from_the_models_own_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "apart"
    folder.mkdir()
    source, out = folder / "user.onnx", tmp_path / "mine.onnx"
    onnx.save(
        float_model(), source, save_as_external_data=True, location="user.data", size_threshold=0
    )
    data = folder / "user.data"
    data.rename(tmp_path / "user.data")
    assert "weights in other files, which cannot be read" in str(refused(source, out))
    model = onnx.load(source, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../user.data"
    source.write_bytes(model.SerializeToString())
    assert "weights in other files, which cannot be read" in str(refused(source, out))
    assert not out.exists()


def test_a_plain_model_is_led_to_adopt(tmp_path: Path) -> None:
    source = save(float_model(), tmp_path)
    with pytest.raises(
        ModelError, match=r"wrap it with 'edgeseg adopt .*user.onnx --out FILE --sca"
    ):
        verify(source)
