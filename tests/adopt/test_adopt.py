from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg.cli import app
from edgeseg.errors import ParityError
from edgeseg.images.frame import GrayImage
from edgeseg.network.preprocess import preprocess
from edgeseg.phantom.head import Phantom

onnx = pytest.importorskip("onnx", reason="the adopt extra is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edgeseg.adopt.adopt import AdoptReport, adopt  # noqa: E402
from edgeseg.adopt.plan import AdoptSpec  # noqa: E402
from tests.adopt.graphs import (  # noqa: E402
    MEAN,
    SD,
    H,
    W,
    assert_same,
    float_model,
    save,
    session,
    shaped,
    wrapped_probabilities,
)

THREE = ("background", "left", "right")


@pytest.fixture(scope="session")
def grays(phantoms: list[Phantom]) -> list[GrayImage]:
    noise = np.random.default_rng(5).integers(0, 256, (H, W), dtype=np.uint8)
    return [*(preprocess(p.image, H, W)[0, 0] for p in phantoms[:2]), noise]


def take(
    model: onnx.ModelProto, folder: Path, **values: Any
) -> tuple[Path, Path, AdoptReport, dict[str, Any]]:
    """Adopt a model as its user would; return it, the file, the report and the metadata."""
    source, out = save(model, folder), folder / "mine.onnx"
    values = {"mean": MEAN, "sd": SD} | values
    report = adopt(source, out, AdoptSpec(**values))
    wrapped = onnx.load(out)
    onnx.checker.check_model(wrapped, full_check=True)
    onnx.shape_inference.infer_shapes(wrapped, check_type=True, strict_mode=True, data_prop=True)
    assert {o.domain for o in wrapped.opset_import} == {""}
    assert wrapped.opset_import[0].version == model.opset_import[0].version == report.opset
    assert wrapped.ir_version == model.ir_version
    assert sorted(p.name for p in folder.iterdir()) == ["mine.onnx", "user.onnx"]
    texts = {p.key: p.value for p in wrapped.metadata_props}
    return source, out, report, json.loads(texts["edgeseg"])


@pytest.mark.parametrize("opset", [11, 17, 23])
@pytest.mark.parametrize("batch", ["batch", 1])
@pytest.mark.parametrize("nhwc", [False, True])
def test_logits_become_the_same_masks(
    tmp_path: Path, grays: list[GrayImage], opset: int, batch: int | str, nhwc: bool
) -> None:
    model = float_model(opset=opset, batch=batch, nhwc=nhwc)
    source, out, report, metadata = take(model, tmp_path, activation="sigmoid")
    assert_same(source, out, grays, activation="sigmoid", nhwc=nhwc)
    assert session(out).get_inputs()[0].shape[0] == "N"
    assert report.any_batch
    assert report.layout == ("nhwc" if nhwc else "nchw")
    assert metadata == {
        "schema_version": 2,
        "name": "user",
        "architecture": "adopted",
        "strategy": "adopted",
        "precision": "fp32",
        "input_height": H,
        "input_width": W,
        "task": {
            "kind": "regions",
            "classes": ["background", "structure"],
            "exclusive": False,
        },
        "interval": None,
        "train_data": None,
        "train_pixel_size_mm_range": None,
        "edgeseg_version": metadata["edgeseg_version"],
        "threshold": 0.5,
        "metrics": {},
        "licence": "unknown",
        "intended_use": metadata["intended_use"],
        "parameters": None,
        "gmac": None,
    }


# not a softmax of operator set 11 over channels first: it is none of pixels (and is refused)
@pytest.mark.parametrize(
    ("opset", "nhwc", "inside"),
    [(opset, nhwc, False) for opset in (11, 17) for nhwc in (False, True)]
    + [(11, True, True), (17, False, True), (17, True, True)],
)
def test_a_softmax_drops_the_background_and_excludes(
    tmp_path: Path, grays: list[GrayImage], opset: int, nhwc: bool, inside: bool
) -> None:
    model = float_model(maps=3, opset=opset, nhwc=nhwc, tail="Softmax" if inside else None)
    said = {} if inside else {"activation": "softmax"}
    source, out, report, metadata = take(model, tmp_path, classes=THREE, **said)
    assert_same(
        source,
        out,
        grays,
        activation="none" if inside else "softmax",
        nhwc=nhwc,
        background=True,
        exclusive=True,
    )
    assert report.activation == ("none" if inside else "softmax")
    assert metadata["task"] == {"kind": "regions", "classes": list(THREE), "exclusive": True}


@pytest.mark.parametrize("inside", [False, True])
def test_several_sigmoids_stay_independent(
    tmp_path: Path, grays: list[GrayImage], inside: bool
) -> None:
    model = float_model(maps=2, tail="Sigmoid" if inside else None)
    said = {} if inside else {"activation": "sigmoid"}
    source, out, _, metadata = take(model, tmp_path, classes=THREE, **said)
    assert_same(source, out, grays, activation="none" if inside else "sigmoid")
    assert metadata["task"]["exclusive"] is False


def test_probabilities_of_an_unknown_operator_are_taken_for_what_is_said(
    tmp_path: Path, grays: list[GrayImage]
) -> None:
    """As a softmax whose background was cut off already."""
    bounds = [numpy_helper.from_array(np.array([n])) for n in (1, 3, 1)]
    cut = [
        helper.make_node("Softmax", ["maps"], ["all"], axis=1),
        *(helper.make_node("Constant", [], [f"n{i}"], value=n) for i, n in enumerate(bounds)),
        helper.make_node("Slice", ["all", "n0", "n1", "n2"], ["end"]),
    ]
    model = float_model(maps=3, extra=cut, last="end")
    source, out, _, metadata = take(model, tmp_path, activation="none", classes=THREE)
    assert_same(source, out, grays, activation="none")
    assert metadata["task"]["exclusive"] is False


def test_open_sizes_are_fixed_to_the_input(tmp_path: Path, grays: list[GrayImage]) -> None:
    model = float_model(size=("height", "width"))
    said = {"activation": "sigmoid", "input_size": (H, W)}
    source, out, report, metadata = take(model, tmp_path, **said)
    assert_same(source, out, grays, activation="sigmoid")
    assert (report.input_height, metadata["input_width"]) == (H, W)


@pytest.mark.parametrize("mean", [(0.0,), (0.4,)])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_mean_goes_for_all_channels(
    tmp_path: Path, grays: list[GrayImage], channels: int, mean: tuple[float]
) -> None:
    said = {"activation": "sigmoid", "mean": mean, "sd": (1.0,)}
    source, out, _, _ = take(float_model(channels=channels), tmp_path, **said)
    assert_same(
        source, out, grays, activation="sigmoid", mean=mean * channels, sd=(1.0,) * channels
    )


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("nhwc", [False, True])
def test_small_maps_are_enlarged_inside(
    tmp_path: Path, grays: list[GrayImage], opset: int, nhwc: bool
) -> None:
    model = float_model(maps=2, opset=opset, stride=2, nhwc=nhwc)
    source, out, report, _ = take(model, tmp_path, activation="softmax")
    assert_same(source, out, grays, activation="softmax", background=True, nhwc=nhwc)
    assert "enlarged" in report.notices[0]


def test_half_precision_is_cast_inside(tmp_path: Path, grays: list[GrayImage]) -> None:
    model = float_model(kind=TensorProto.FLOAT16)
    source, out, report, metadata = take(model, tmp_path, activation="sigmoid")
    assert_same(source, out, grays, activation="sigmoid", tolerance=2e-3)
    assert report.precision == metadata["precision"] == "fp16"


def test_quantised_models_keep_their_integers(tmp_path: Path, grays: list[GrayImage]) -> None:
    scale, zero = np.array(0.02, np.float32), np.array(100, np.uint8)
    tensors = [numpy_helper.from_array(scale), numpy_helper.from_array(zero)]
    nodes = [
        helper.make_node("Constant", [], [name], value=tensor)
        for name, tensor in zip(("scale", "zero"), tensors, strict=True)
    ]
    nodes += [
        helper.make_node("QuantizeLinear", ["maps", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["end"]),
    ]
    model = float_model(extra=nodes, last="end")
    source, out, report, _ = take(model, tmp_path, activation="sigmoid")
    assert_same(source, out, grays, activation="sigmoid")
    assert report.precision == "int8"
    assert {"QuantizeLinear", "DequantizeLinear"} <= {n.op_type for n in onnx.load(out).graph.node}


@pytest.mark.parametrize("names", [("probability", "image"), ("image", "edgeseg_before_cast_0")])
def test_names_of_the_user_do_not_clash(
    tmp_path: Path, grays: list[GrayImage], names: tuple[str, str]
) -> None:
    """Also where a branch uses a value around it by name."""
    branches = [
        helper.make_graph(
            [
                helper.make_node("Shape", [names[0]], [f"edgeseg_before_div_{i}"]),
                helper.make_node("Identity", ["maps"], [f"kept_{i}"]),
            ],
            "branch",
            [],
            [helper.make_tensor_value_info(f"kept_{i}", TensorProto.FLOAT, None)],
        )
        for i in range(2)
    ]
    truth = numpy_helper.from_array(np.array(True))
    extra = [
        helper.make_node("Constant", [], ["always"], value=truth),
        helper.make_node(
            "If", ["always"], ["chosen"], then_branch=branches[0], else_branch=branches[1]
        ),
    ]
    model = float_model(names=names, extra=extra, last="chosen")
    source, out, _, _ = take(model, tmp_path, activation="sigmoid")
    assert_same(source, out, grays, activation="sigmoid")


def test_the_chosen_output_is_kept_without_the_others(
    tmp_path: Path, grays: list[GrayImage]
) -> None:
    model = float_model()
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.ones((9, 6, 1, 1), np.float32), "boxes_w"))
    graph.node.append(helper.make_node("Conv", ["t1", "boxes_w"], ["boxes"]))
    graph.node.append(helper.make_node("FusedThing", ["t1"], ["other"], domain="user.domain"))
    graph.output.append(helper.make_tensor_value_info("boxes", TensorProto.FLOAT, None))
    del graph.node[-1]
    model.opset_import.append(helper.make_opsetid("user.domain", 1))
    source, out, _, _ = take(model, tmp_path, activation="sigmoid", output="output")
    assert_same(source, out, grays, activation="sigmoid", output="output")
    assert {t.name for t in onnx.load(out).graph.initializer} == {"w1", "w2"}


def test_a_batch_fixed_in_constants_is_freed(tmp_path: Path, grays: list[GrayImage]) -> None:
    """In sizes and shapes of maps, but not in that of a constant of its own."""
    ramp = np.linspace(-0.3, 0.3, H * W).astype(np.float32)
    constants = {"ramp": ramp, "shape": np.array([1, 1, H, W]), "none": np.zeros(0, np.float32)}
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values))
        for name, values in constants.items()
    ]
    nodes += [
        helper.make_node("Reshape", ["ramp", "shape"], ["bias"]),
        helper.make_node("Add", ["maps", "bias"], ["sum"]),
        helper.make_node("Reshape", ["sum", "shape"], ["shaped"]),
        helper.make_node("MaxPool", ["shaped"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["half", "none", "none", "shape"], ["end"], mode="linear"),
    ]
    fixed = float_model(batch=1, extra=nodes, last="end")
    model = onnx.shape_inference.infer_shapes(fixed)
    source, out, report, _ = take(model, tmp_path, activation="sigmoid")
    assert report.any_batch
    assert not onnx.load(out).graph.value_info  # they say 1 where it is N now
    run = session(out)
    both = run.run(None, {"image": np.stack(grays[:2])[:, None]})[0]
    for gray, maps in zip(grays[:2], both, strict=True):
        np.testing.assert_allclose(maps, wrapped_probabilities(out, gray), atol=1e-5)
    assert_same(source, out, grays, activation="sigmoid")


@pytest.mark.parametrize(
    "one",
    [shaped("Gather", [0], axis=0), shaped("Reshape", [1, 1, -1, W])],
    ids=["first", "joined"],
)
def test_a_batch_that_cannot_be_freed_stays_one(
    tmp_path: Path, grays: list[GrayImage], one: list[onnx.NodeProto]
) -> None:
    model = float_model(extra=one, last="end")
    source, out, report, _ = take(model, tmp_path, activation="sigmoid")
    assert session(out).get_inputs()[0].shape[0] == 1
    assert not report.any_batch
    assert "one image at a time" in report.notices[0]
    assert_same(source, out, grays, activation="sigmoid")


def test_images_that_change_each_other_are_run_one_at_a_time(tmp_path: Path) -> None:
    mixed = [
        helper.make_node("ReduceMean", ["maps"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Add", ["maps", "mean"], ["end"]),
    ]
    _, _, report, _ = take(float_model(extra=mixed, last="end"), tmp_path, activation="sigmoid")
    assert not report.any_batch


def test_a_larger_fixed_batch_is_freed(tmp_path: Path, grays: list[GrayImage]) -> None:
    source, out, report, _ = take(float_model(batch=4), tmp_path, activation="sigmoid")
    assert report.any_batch
    assert_same(source, out, grays, activation="sigmoid")


def test_weights_beside_the_model_are_taken_in(tmp_path: Path, grays: list[GrayImage]) -> None:
    folder = tmp_path / "apart"
    folder.mkdir()
    source, out = folder / "user.onnx", tmp_path / "mine.onnx"
    onnx.save(
        float_model(), source, save_as_external_data=True, location="user.data", size_threshold=0
    )
    adopt(source, out, AdoptSpec(mean=MEAN, sd=SD, activation="sigmoid"))
    assert_same(source, out, grays, activation="sigmoid")


def test_a_head_is_named_as_one(tmp_path: Path) -> None:
    said = {"activation": "sigmoid", "task": "head", "name": "mine", "threshold": 0.4}
    _, _, report, metadata = take(float_model(), tmp_path, licence="MIT", **said)
    assert metadata["task"] == {"kind": "head"}
    assert (metadata["name"], metadata["threshold"], metadata["licence"]) == ("mine", 0.4, "MIT")
    assert report.classes == ("background", "head")


def test_a_model_that_sees_nothing_is_told(tmp_path: Path) -> None:
    said = {"activation": "sigmoid", "scale": 1e9, "mean": (0.0,), "sd": (1.0,)}
    _, _, report, _ = take(float_model(), tmp_path, **said)
    assert "check --scale" in report.notices[0]


def test_a_model_that_differs_leaves_no_file(tmp_path: Path) -> None:
    """As one that was exported while it was training, and still adds its noise."""
    noisy = [
        helper.make_node("RandomNormalLike", ["maps"], ["noise"]),
        helper.make_node("Add", ["maps", "noise"], ["end"]),
    ]
    source = save(float_model(extra=noisy, last="end"), tmp_path)
    spec = AdoptSpec(activation="sigmoid")
    out = tmp_path / "mine.onnx"
    with pytest.raises(ParityError, match=r"differ by up to .*pixels of 5 images"):
        adopt(source, out, spec)
    assert [p.name for p in tmp_path.iterdir()] == ["user.onnx"]
    out.write_bytes(b"mine")
    with pytest.raises(ParityError, match="no file was written"):
        adopt(source, out, spec, overwrite=True)
    assert out.read_bytes() == b"mine"


def test_the_command_says_what_it_did(tmp_path: Path, grays: list[GrayImage]) -> None:
    source, out = save(float_model(maps=3), tmp_path), tmp_path / "mine.onnx"
    numbers = (",".join(map(str, MEAN)), ",".join(map(str, SD)))
    command = ["adopt", source, "--out", out, "--input", f"{H}x{W}", "--channels", 3]
    command += ["--scale", 255, "--mean", numbers[0], "--sd", numbers[1], "--activation", "softmax"]
    command += ["--classes", "background, left,right", "--json", tmp_path / "report.json"]
    result = CliRunner().invoke(app, [str(part) for part in command])
    assert result.exit_code == 0, result.output
    assert "background, left, right" in result.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["classes"] == list(THREE)
    assert report["max_probability_difference"] <= 1e-5
    assert_same(source, out, grays, activation="softmax", background=True, exclusive=True)
    again = CliRunner().invoke(app, [str(part) for part in command])
    assert "--overwrite" in str(again.exception)


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [("--input", "256", "HEIGHTxWIDTH"), ("--mean", "0.4;0.5", "with commas")],
)
def test_values_that_are_none_are_wrong_usage(option: str, value: str, sentence: str) -> None:
    result = CliRunner().invoke(app, ["adopt", "m.onnx", "--out", "o.onnx", option, value])
    assert result.exit_code == 2
    assert sentence in result.stderr
