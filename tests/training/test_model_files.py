"""Every ONNX file of the project is one that any reader of ONNX takes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from edgeseg.drawing.encode import encode
from edgeseg.errors import ModelError
from edgeseg.network import zoo
from edgeseg.network.adapter import preprocess
from edgeseg.phantom.head import make_phantom
from edgeseg.segmenter import Segmenter
from edgeseg_training import bundle
from edgeseg_training.graph import add_moments
from tests.fakes import METADATA, FakeSession, open_fake

ROOT = Path(__file__).parents[2]
README = ROOT / "training" / "README.md"
FOLDS = (ROOT / "benchmarks" / "folds").glob("*.onnx")
FILES = [*(zoo.find(name).path for name in zoo.manifest()), *FOLDS]


@pytest.mark.parametrize("path", sorted(FILES), ids=lambda path: path.name)
def test_a_model_file_is_valid_and_imports_what_it_uses(path: Path) -> None:
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert {opset.domain for opset in model.opset_import} == {n.domain for n in model.graph.node}
    assert ([opset.version for opset in model.opset_import], model.ir_version) == ([18], 10)
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "N"


def moments_of(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return a map's sum, centre and central second moments, one by one."""
    weight = probability.astype(float)
    y, x = np.indices(weight.shape)
    total = weight.sum()
    dx, dy = x - (weight * x).sum() / total, y - (weight * y).sum() / total
    spread = [(weight * d).sum() / total for d in (dx * dx, dx * dy, dy * dy)]
    return np.array([total, (weight * x).sum() / total, (weight * y).sum() / total, *spread])


@pytest.mark.parametrize("name", zoo.manifest())
def test_moments_are_those_of_each_map(name: str) -> None:
    session = onnxruntime.InferenceSession(zoo.find(name).path)
    height, width = session.get_inputs()[0].shape[2:]
    scans = [make_phantom(seed).image for seed in (81, 3)]
    tensor = np.concatenate([preprocess(scan, height, width) for scan in scans])
    probability, moments = session.run(["probability", "moments"], {"image": tensor})
    assert moments.shape == (2, 1, 6)
    for found, (outline,) in zip(moments[:, 0], probability, strict=True):
        np.testing.assert_allclose(found, moments_of(outline), rtol=1e-4, atol=1e-2)


def test_moments_of_several_maps_and_of_an_empty_one() -> None:
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2, 5, 8])
        for name in ("image", "probability")
    ]
    node = helper.make_node("Identity", ["image"], ["probability"])
    graph = helper.make_graph([node], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    add_moments(model)
    onnx.checker.check_model(model, full_check=True)
    maps = np.zeros((1, 2, 5, 8), np.float32)
    maps[0, 1] = np.random.default_rng(0).random((5, 8))
    _, moments = ReferenceEvaluator(model).run(None, {"image": maps})
    np.testing.assert_allclose(moments[0, 0], [0, 3.5, 2, 0, 0, 0])
    np.testing.assert_allclose(moments[0, 1], moments_of(maps[0, 1]), rtol=1e-4, atol=1e-5)


def test_the_map_is_found_by_its_name_and_no_other_is_taken(tmp_path: Path) -> None:
    model, path = onnx.load(zoo.find("hc18-nano").path), tmp_path / "model.onnx"
    scan = make_phantom(81)
    expected = Segmenter("hc18-nano", device="cpu").predict(scan.image).ellipse
    model.graph.output.sort(key=lambda output: output.name)  # moments come first
    onnx.save(model, path)
    assert Segmenter(path, device="cpu").predict(scan.image).ellipse == expected
    logits = next(node.input[0] for node in model.graph.node if "probability" in node.output)
    hidden = helper.make_tensor_value_info(logits, TensorProto.FLOAT, ["N", 1, 128, 192])
    model.graph.output[-1].CopyFrom(hidden)
    onnx.save(model, path)
    with pytest.raises(ModelError, match="an output 'probability'"):
        Segmenter(path, device="cpu")


def test_the_readme_s_lines_measure_a_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = README.read_text(encoding="utf-8").partition("## The model file")[2]
    lines = section.partition("```python\n")[2].partition("```")[0]
    scan = make_phantom(81)
    (tmp_path / "scan.png").write_bytes(encode(".png", scan.image))
    (tmp_path / "hc18-nano.onnx").write_bytes(zoo.find("hc18-nano").path.read_bytes())
    monkeypatch.chdir(tmp_path)
    found: dict[str, float] = {}
    exec(lines, found)
    ellipse = Segmenter("hc18-nano", device="cpu").predict(scan.image).ellipse
    for name in ("semi_major_px", "semi_minor_px", "area_px"):
        assert found[name] == pytest.approx(getattr(ellipse, name), rel=0.01)
    assert found["center_px"] == pytest.approx(tuple(ellipse.center), abs=0.5)
    turned = (found["angle_rad"] - ellipse.angle_rad + np.pi / 2) % np.pi - np.pi / 2
    assert turned == pytest.approx(0, abs=0.01)


def test_the_readme_s_triton_config_is_that_of_the_file() -> None:
    text = README.read_text(encoding="utf-8")
    pattern = r'name: "(\w+)", data_type: TYPE_(\w+), dims: \[ ([\d, ]+) \]'
    told = {(n, kind, *map(int, dims.split(","))) for n, kind, dims in re.findall(pattern, text)}
    session = onnxruntime.InferenceSession(zoo.find("hc18-nano").path)
    kinds = {"tensor(uint8)": "UINT8", "tensor(float)": "FP32"}
    ports = (*session.get_inputs(), *session.get_outputs())
    assert told == {(port.name, kinds[port.type], *port.shape[1:]) for port in ports}


FIGURES = {
    "n_images": 799, "large_error_fraction": 0.01, "auroc": {"a": 0.9},
    "dice": {"mean": 0.975}, "dice_ellipse": {"mean": 0.976}, "hausdorff_mm": {"mean": 1.2},
    "n_refused": 0, "of_measured": {"dice": {"mean": 0.975}, "hc_error_mm": {"mad": 1.9}},
    "hc_error_mm": {"mad": 1.9, "mad_sd": 1.5, "bias": 0.1, "p95": 4.0},
}  # fmt: skip


def test_the_card_is_the_model_s_own_description(tmp_path: Path) -> None:
    name = "hc18-nano"
    (tmp_path / "manifest.json").write_text(json.dumps({"models": {"other": {}}}))
    model = zoo.find(name).path
    bundle.bundle(model, FIGURES, "five folds", "edgeseg train", "r-*.csv", tmp_path)
    assert (tmp_path / f"{name}.onnx").read_bytes() == model.read_bytes()
    listed = json.loads((tmp_path / "manifest.json").read_text())["models"]
    assert list(listed) == sorted(["other", name])
    card, shipped = listed[name], zoo.manifest()[name]
    assert list(card) == list(shipped)
    for key in card.keys() - {"metrics", "train_command", "limits"}:
        assert card[key] == shipped[key], key
    assert card["metrics"]["figures"]["hc_mad_mm"] == 1.9
    assert card["metrics"]["data"] == "HC18, 799 images"
    assert card["train_command"] == "edgeseg train"


def test_unknown_training_data_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = open_fake(monkeypatch, FakeSession(metadata=replace(METADATA, name="mine")))
    monkeypatch.setattr(bundle, "Segmenter", lambda *_, **__: fake)
    with pytest.raises(ModelError, match="does not say what it was trained on"):
        bundle.bundle(tmp_path / "mine.onnx", FIGURES, "", "", "", tmp_path)
