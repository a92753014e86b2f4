from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import quantize_dynamic
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

from edgeseg import errors
from edgeseg.bench.verify import verify
from edgeseg.cli import app
from edgeseg.measure.ellipse import Ellipse
from edgeseg.segmenter import Segmenter
from edgeseg_training import export as exporting
from edgeseg_training import graph as graphs
from edgeseg_training import recentre as recentring
from edgeseg_training.checkpoint import Trained, load_trained
from edgeseg_training.export import ExportReport, export
from edgeseg_training.parity import Bounds, Differences, Sample, compare, find_samples
from edgeseg_training.recentre import logit_shift

pytestmark = pytest.mark.slow
LOOSE = {"max_dice_drop": 0.5, "max_hc_change_mm": 50.0}  # a model of few epochs is no judge


@pytest.fixture(scope="module", autouse=True)
def graph(trained: Path) -> Iterator[onnx.ModelProto]:
    """Trace the model once for all tests: it takes torch many seconds and gives the same graph."""
    traced = graphs.to_onnx(load_trained(trained))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "to_onnx", lambda _: copy.deepcopy(traced))
        yield traced


@pytest.fixture(scope="module")
def exports(
    trained: Path, phantom_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, ExportReport]:
    """Export the model once in each precision."""
    folder = tmp_path_factory.mktemp("exports")
    reports = {
        precision: export(
            trained, folder / f"{precision}.onnx",
            precision=precision, calibration_data=phantom_data, **LOOSE,
        )
        for precision in ("fp32", "fp16", "int8")
    }  # fmt: skip
    assert len(list(folder.iterdir())) == 3
    return reports


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_precision_agrees_with_torch_and_runs(
    trained: Path, exports: dict[str, ExportReport], tmp_path: Path, precision: str
) -> None:
    report, size_limit = exports[precision], {"fp32": 1, "fp16": 0.65, "int8": 0.45}[precision]
    out = report.path
    assert report.size_bytes == out.stat().st_size <= size_limit * exports["fp32"].size_bytes
    assert all(check.holds for check in verify(out))
    model = onnx.load(out)
    assert [n.op_type for n in model.graph.node].count("ConvTranspose") == 1
    assert [value.name for value in model.graph.output] == ["probability", "moments"]
    onnx.checker.check_model(out, full_check=True)
    if precision == "fp32":
        assert report.max_probability_difference <= 1e-4
        quantize_dynamic(out, tmp_path / "by-others.onnx")
    segmenter = Segmenter(out, threads=1)
    metadata = segmenter.metadata
    assert (metadata.name, metadata.precision, metadata.strategy) == ("tiny", precision, "full")
    assert metadata.metrics["figures"]["dice"] > 0
    assert metadata.train_data.count == load_trained(trained).facts["data"]["n_training"]
    assert segmenter.infer(np.zeros((3, 1, 64, 96), np.uint8)).shape == (3, 1, 64, 96)


def test_the_graph_is_static_but_for_the_batch_and_names_no_path(graph: onnx.ModelProto) -> None:
    assert not {n.op_type for n in graph.graph.node} & {"Shape", "Gather", "BatchNormalization"}
    constants = {tensor.name for tensor in graph.graph.initializer}
    resizes = [node for node in graph.graph.node if node.op_type == "Resize"]
    assert all(node.input[2] in constants for node in resizes)
    assert str(Path(__file__).parents[2]).encode() not in graph.SerializeToString()


def test_a_head_that_only_torch_finds_counts_in_full(trained: Path, phantom_data: Path) -> None:
    loaded = load_trained(trained)
    blind: Any = SimpleNamespace(infer=lambda tensor: np.zeros(tensor.shape, np.float32))
    samples = find_samples(loaded, phantom_data).parity
    differences = compare(loaded, blind, samples)
    assert differences.mean_dice == 0
    assert differences.mean_hc_mm > 10
    # and where torch finds none, there is nothing to compare
    loaded.model.network.segmentation_head[0].bias.data.fill_(-1000.0)
    assert compare(loaded, blind, samples).n_compared == 0


def test_weights_checkpoint_and_folder_give_the_same_model(trained: Path) -> None:
    whole = load_trained(trained).model.state_dict()
    for name in ("model.safetensors", "last.ckpt"):
        found = load_trained(trained / name)
        assert found.facts["split"] == load_trained(trained).facts["split"]
        for key, tensor in found.model.state_dict().items():
            np.testing.assert_array_equal(tensor.numpy(), whole[key].numpy(), err_msg=key)


def test_the_weights_carry_their_facts_but_no_path(trained: Path, phantom_data: Path) -> None:
    with safe_open(trained / "model.safetensors", framework="pt") as opened:
        text = opened.metadata()["edgeseg"]
    assert json.loads(text)["data"]["name"] == phantom_data.name
    assert str(phantom_data.parent) not in text
    history = json.loads((trained / "run.json").read_text())["history"]
    losses = [epoch["train_loss"] for epoch in history]
    assert losses[-1] < 0.7 * losses[0]


def test_without_its_data_it_takes_phantoms_and_says_so(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "last.ckpt", tmp_path / "alone.ckpt")
    report = export(tmp_path / "alone.ckpt", tmp_path / "model.onnx")
    assert report.data == "phantoms"
    assert "--calibration-data" in report.notices[0]


def test_a_model_that_differs_leaves_no_file(
    trained: Path, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(trained: Trained) -> onnx.ModelProto:
        model = right(trained)
        for tensor in (each for each in model.graph.initializer if len(each.dims) == 4):
            changed = numpy_helper.to_array(tensor) * 1.01
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
        return model

    right = exporting.to_onnx
    monkeypatch.setattr(exporting, "to_onnx", broken)
    with pytest.raises(errors.ParityError, match="No file was written"):
        export(trained, tmp_path / "model.onnx", calibration_data=phantom_data)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("precision", "differences", "holds"),
    [
        ("fp32", (4e-4, 0.04, 1.0, 0.001, None, 9), True),
        ("fp16", (4e-3, 0.03, 1.0, 0.001, None, 9), False),
        ("int8", (0.9, 9.0, 0.995, 0.5, None, 9), True),
        ("int8", (0.0, 0.0, 0.9949, 0.0, None, 9), False),
        ("int8", (0.9, None, math.nan, None, None, 0), True),
        # of own structures the labels decide: what is another mask may be a better one
        ("int8", (0.9, None, 0.9, None, -0.0025, 9), True),
        ("int8", (0.9, None, 0.999, None, 0.0051, 9), False),
    ],
)
def test_bounds(precision: str, differences: tuple[float, ...], holds: bool) -> None:
    found, bounds = Differences(*differences), Bounds(precision, 0.005, 0.5)  # type: ignore[arg-type]
    if holds:
        found.judge(bounds)
        return
    with pytest.raises(errors.ParityError, match="is too far") as refused:
        found.judge(bounds)
    assert ("--max-dice-drop 0.005" in str(refused.value)) == (precision == "int8")
    assert ("HC" in str(refused.value)) == (found.max_hc_mm is not None)


def test_what_exists_is_kept_and_figures_go_to_standard_output(
    trained: Path, phantom_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model.onnx"
    out.write_text("mine")
    with pytest.raises(errors.OutputExistsError, match="--overwrite"):
        export(trained, out, calibration_data=phantom_data)
    assert out.read_text() == "mine"
    command = ["export", trained, "--out", out, "--calibration-data", phantom_data]
    result = CliRunner().invoke(app, [*map(str, command), "--overwrite", "--json", "-"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["precision"] == "fp32"
    assert "precision" in result.stderr
    assert Segmenter(out).metadata.name == "tiny"


def test_files_that_training_did_not_write_are_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.ModelNotFoundError, match="no such file"):
        load_trained(tmp_path)
    for name in ("a.ckpt", "a.safetensors"):
        (tmp_path / name).write_text("hello")
        with pytest.raises(errors.ModelError):
            load_trained(tmp_path / name)
    loaded, path = load_trained(trained), tmp_path / "b.safetensors"
    save_file(loaded.model.state_dict(), path)
    with pytest.raises(errors.ModelError, match="not weights that 'edgeseg train' wrote"):
        load_trained(path)
    facts = json.loads(json.dumps(loaded.facts))
    del facts["data"]["training_sha256"]
    save_file(loaded.model.state_dict(), path, metadata={"edgeseg": json.dumps(facts)})
    with pytest.raises(errors.ModelError, match="lacks 'training_sha256'"):
        load_trained(path)
    with pytest.raises(errors.ConfigError, match="expected one of fp32"):
        export(trained, tmp_path / "m.onnx", precision="fp8")


def make_model(
    nodes: list[onnx.NodeProto], shapes: list[list[Any]], weights: dict[str, np.ndarray]
) -> onnx.ModelProto:
    """Return a model from ``x`` to ``y``."""
    x, y = map(helper.make_tensor_value_info, "xy", (1, 1), shapes)
    tensors = [numpy_helper.from_array(v.astype(np.float32), n) for n, v in weights.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 2, 1, 0]])
def test_a_turned_convolution_gives_the_same(pads: list[int]) -> None:
    rng = np.random.default_rng(0)
    weights = {"w": (1, 4, 3, 3), "bias": (1,), "wide": (2, 4, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "wide"], ["two"], pads=[0] * 4),
        helper.make_node("Conv", ["x", "w", "bias"], ["y"], pads=pads),
    ]
    drawn = {name: rng.random(shape) for name, shape in weights.items()}
    model = make_model(nodes, [[1, None, None, None]] * 2, drawn)
    graph = model.graph
    feed = {"x": rng.random((1, 4, 6, 7), np.float32)}
    (expected,) = ReferenceEvaluator(model).run(None, feed)
    before = model.SerializeToString()
    graphs.turn_thin_convolutions(model)
    assert [node.op_type for node in graph.node] == ["Conv", "ConvTranspose"]
    onnx.checker.check_model(model)
    np.testing.assert_allclose(ReferenceEvaluator(model).run(None, feed)[0], expected, rtol=1e-5)
    graphs.turn_convolution(graph.node[1], graph.initializer[0])
    assert model.SerializeToString() == before


def test_multiply_accumulates_of_a_known_convolution() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    shapes = [["N", 4, 8, 6], ["N", 5, 8, 6]]
    model = make_model([node], shapes, {"w": np.zeros((5, 4, 3, 3))})
    assert graphs.multiply_accumulates(model) == 8 * 6 * 5 * 4 * 9


SIZE = (128, 192)


def soft_map(logit: float, semi_major_px: float) -> npt.NDArray[np.float32]:
    """A head whose outline lies where the logit is 0, soft over some pixels, all moved by one."""
    rows, columns = np.indices(SIZE)
    ellipse = Ellipse(95.0, 64.0, semi_major_px, 0.8 * semi_major_px, 0.3)
    z = -ellipse.signed_distance(columns, rows) / 2 + logit
    return (1 / (1 + np.exp(-z.clip(-12, 12)))).astype(np.float32)


@pytest.mark.parametrize("moved", [0.0, -0.7])
def test_maps_that_were_moved_are_moved_back(moved: float) -> None:
    """Those without a sure head move nothing."""
    noise = np.random.default_rng(0).uniform(0.3, 0.7, SIZE).astype(np.float32)
    source = [*(soft_map(0.0, axis) for axis in (40.0, 50.0, 60.0)), noise]
    maps = [*(soft_map(moved, axis) for axis in (40.0, 50.0, 60.0)), noise**2]
    empty = [np.full(SIZE, 0.01, np.float32)]

    def answers(shift: float, maps: Sequence[Any] = maps) -> list[Any]:
        odds = [m / (1 - m) * np.exp(shift) for m in maps]
        return [(o / (1 + o)).astype(np.float32) for o in odds]

    samples = [Sample(np.zeros(SIZE, np.uint8), 0.5)] * 4
    assert logit_shift(source, answers, samples) == pytest.approx(-moved, abs=0.01)
    assert logit_shift(empty, lambda shift: answers(shift, empty), samples[:1]) == 0


def test_the_last_bias_takes_the_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w", "first"], ["hidden"]),
        helper.make_node("Conv", ["hidden", "w", "last"], ["y"]),
    ]
    weights = {"w": np.ones((1, 1, 1, 1)), "first": np.array([2.0]), "last": np.array([-1.0])}
    model = make_model(nodes, [[1, 1, 4, 4]] * 2, weights)
    monkeypatch.setattr(recentring, "logit_shift", lambda *_: 0.25)
    monkeypatch.setattr(recentring, "_maps", lambda *_: [])
    assert recentring.recentre(model, model, [], []) == 0.25
    found = {t.name: numpy_helper.to_array(t).item() for t in model.graph.initializer}
    assert found == {"w": 1.0, "first": 2.0, "last": -0.75}
