from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg import errors
from edgeseg.bench.verify import verify
from edgeseg.errors import ModelError
from edgeseg.network.adapter import preprocess
from edgeseg.phantom.head import make_phantom
from edgeseg.segmenter import Segmenter
from edgeseg.serve.site import check_runs_in_page
from tests.cli.calls import call

onnx = pytest.importorskip("onnx")

from onnx import TensorProto  # noqa: E402

from edgeseg.adopt.adopt import AdoptReport, adopt  # noqa: E402
from edgeseg.adopt.spec import AdoptSpec  # noqa: E402
from tests.adopt.graphs import (  # noqa: E402
    INDICES,
    LESION,
    MEAN,
    NAMES,
    NONE,
    NORMALIZED,
    SD,
    SIGMOID,
    SOFTMAX,
    THREE,
    H,
    W,
    assert_same,
    chain,
    class_indices,
    constant,
    ending_in,
    float_model,
    node,
    save,
)

SCANS = [make_phantom(seed, height=270, width=400).image for seed in (0, 1)]
NOISE = np.random.default_rng(5).integers(0, 256, (H, W), dtype=np.uint8)
GRAYS = [*(preprocess(scan, H, W)[0, 0] for scan in SCANS), NOISE]


def take(
    model: onnx.ModelProto, folder: Path, **values: Any
) -> tuple[Path, Path, AdoptReport, dict[str, Any]]:
    """Adopt a model as its user would; return it, the file, the report and the metadata."""
    source, out = save(model, folder), folder / "mine.onnx"
    report = adopt(source, out, AdoptSpec(**(NORMALIZED | values)))
    assert out.read_bytes().startswith(source.read_bytes())  # nothing but what is appended
    adopted = onnx.load(out)
    onnx.checker.check_model(adopted)
    assert sorted(p.name for p in folder.iterdir()) == ["mine.onnx", "user.onnx"]
    texts = {p.key: p.value for p in adopted.metadata_props}
    return source, out, report, json.loads(texts["edgeseg"])


QUANTIZED = ending_in(
    *map(constant, "sz", (np.array(0.02, np.float32), np.array(100, np.uint8))),
    node("QuantizeLinear", ["maps", "s", "z"], ["q"]),
    node("DequantizeLinear", ["q", "s", "z"], ["end"]),
)
CUT_SOFTMAX = ending_in(
    node("Softmax", ["maps"], ["all"], axis=1),
    *map(constant, "abc", ([1], [3], [1])),
    node("Slice", ["all", *"abc"], ["end"]),
    maps=3,
)
F16, U8, BOOL, I32 = (getattr(TensorProto, k) for k in ("FLOAT16", "UINT8", "BOOL", "INT32"))
PLAIN, ONE = {"mean": (0.0,), "sd": (1.0,)}, {"mean": (0.4,), "sd": (1.0,)}
BACKGROUND, LAST = {"background": True}, {"nhwc": True}
# a model, what its user says of it, and what its own code does
TAKEN: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "opset 9, batch 1": (ending_in(opset=9, batch=1), SIGMOID, SIGMOID),
    "opset 11, last": (ending_in(opset=11, nhwc=True), SIGMOID, SIGMOID | LAST),
    "opset 23, batch 4": (ending_in(opset=23, batch=4), SIGMOID, SIGMOID),
    "softmax": (ending_in(maps=3), SOFTMAX | NAMES, SOFTMAX | BACKGROUND),
    "softmax inside": (ending_in(maps=3, tail="Softmax"), NAMES, NONE | BACKGROUND),
    "two sigmoids": (ending_in(maps=2), SIGMOID | NAMES, SIGMOID),
    "a softmax that was cut": (CUT_SOFTMAX, NAMES, NONE),
    "open sizes": (ending_in(size=("h", "w")), SIGMOID | {"input_size": (H, W)}, SIGMOID),
    "one channel": (ending_in(channels=1), SIGMOID | ONE, SIGMOID | ONE),
    "one mean for all": (float_model, SIGMOID | ONE,
                         SIGMOID | {"mean": (0.4,) * 3, "sd": (1.0,) * 3}),
    "half the size": (ending_in(maps=2, stride=2, nhwc=True), SOFTMAX, SOFTMAX | BACKGROUND | LAST),
    "float16": (ending_in(kind=F16), SIGMOID, SIGMOID | {"tolerance": 2e-3}),
    "8 bits": (QUANTIZED, SIGMOID, SIGMOID),
    "z-score": (float_model, SIGMOID | PLAIN | {"per_image": "z-score"},
                SIGMOID | {"mean": (0,) * 3, "sd": (1,) * 3, "how": "z-score"}),
    "own maximum": (float_model, SIGMOID | {"per_image": "maximum"}, SIGMOID | {"how": "maximum"}),
    "bytes": (ending_in(given=U8, nhwc=True), SIGMOID | PLAIN, SIGMOID | LAST | {"how": "bytes"}),
    "indices": (class_indices, NAMES, INDICES),
    "indices (N, h, w)": (lambda: class_indices(I32, 0), NAMES, INDICES),
    "bits": (ending_in(*chain("Greater", np.float32(0)), made=BOOL), LESION, INDICES),
    "indices last": (lambda: class_indices(U8, nhwc=True), NAMES, INDICES | LAST),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_it_answers_as_its_original(tmp_path: Path, case: str) -> None:
    make, said, how = TAKEN[case]
    source, out, report, metadata = take(make(), tmp_path, **said)
    assert_same(source, out, GRAYS, **how)
    precision = {"float16": "fp16", "8 bits": "int8"}.get(case, "fp32")
    assert report.precision == metadata["precision"] == precision
    assert report.activation == how["activation"]
    assert report.layout == ("nhwc" if how.get("nhwc") else "nchw")
    assert metadata["schema_version"] == 3  # refused by those that do not know adapters
    if "classes" in said:
        exclusive = "background" in how or report.activation == "indices"
        task = {"kind": "regions", "classes": list(said["classes"]), "exclusive": exclusive}
        assert metadata["task"] == task
    if importlib.util.find_spec("openvino") and case not in ("opset 9, batch 1", "8 bits"):
        assert_same(source, out, GRAYS, "openvino", **(how | {"tolerance": 2e-3}))


def test_a_model_wrapped_by_version_0_2_still_runs(tmp_path: Path) -> None:
    """Its graph takes gray bytes and gives probabilities at the input's size."""
    source, out = save(float_model(maps=3, stride=2), tmp_path), tmp_path / "old.onnx"
    shutil.copy(Path(__file__).with_name("adopted-by-0.2.onnx"), out)
    assert_same(source, out, GRAYS, activation="softmax", background=True)
    with pytest.raises(ModelError, match="model of edgeseg already"):
        adopt(out, tmp_path / "again.onnx", AdoptSpec())


def test_what_lies_between_0_and_1_gets_no_activation_unless_asked_for(tmp_path: Path) -> None:
    source, out = save(float_model(tail="Sigmoid"), tmp_path), tmp_path / "mine.onnx"
    with pytest.raises(ModelError, match="--logits"):
        adopt(source, out, AdoptSpec(**NORMALIZED, **SIGMOID))
    report = adopt(source, out, AdoptSpec(**NORMALIZED, **SIGMOID, logits=True))
    assert report.activation == "sigmoid"
    report = adopt(source, out, AdoptSpec(**NORMALIZED), overwrite=True)
    assert report.activation == "none"
    assert any("taken for probabilities" in text for text in report.notices)
    (folder := tmp_path / "blind").mkdir()
    said = {"scale": 1e9, "logits": True, **SIGMOID, **PLAIN}
    assert "check --scale" in take(float_model(), folder, **said)[2].notices[0]


def test_a_model_of_heads_is_not_for_the_page(tmp_path: Path) -> None:
    model = float_model(channels=1, given=U8)
    values = {"task": "head", "name": "mine", "threshold": 0.4, "licence": "MIT"}
    _, out, report, metadata = take(model, tmp_path, **values, **SIGMOID, **PLAIN)
    assert all(check.holds for check in verify(out))
    assert metadata["task"] == {"kind": "head"}
    assert (metadata["name"], metadata["threshold"], metadata["licence"]) == ("mine", 0.4, "MIT")
    assert report.classes == ("background", "head")
    with pytest.raises(ModelError, match="another input"):
        check_runs_in_page(Segmenter(out, device="cpu"))


MIXED = [node("ReduceMean", ["maps"], ["m"], axes=[0]), node("Add", ["maps", "m"], ["end"])]


@pytest.mark.parametrize(
    ("extra", "any_batch"),
    [
        *[(chain("Gather", [0], axis=0), False), (chain("Reshape", [1, 1, -1, W]), False)],
        *[(MIXED, False), (chain("Add", np.float32(0)), True)],
    ],
)
def test_images_may_run_one_at_a_time(
    tmp_path: Path, extra: list[onnx.NodeProto], any_batch: bool
) -> None:
    source, out, report, metadata = take(float_model(extra=extra), tmp_path, **SIGMOID)
    assert report.any_batch == any_batch
    assert metadata["adapter"]["batch"] == (None if any_batch else 1)
    assert any("one image at a time" in text for text in report.notices) != any_batch
    assert_same(source, out, GRAYS, activation="sigmoid")


def test_weights_come_from_the_models_own_folder_only(tmp_path: Path) -> None:
    """They lie beside a model that torch's newer exporter writes."""
    (folder := tmp_path / "apart").mkdir()
    source, out = folder / "user.onnx", tmp_path / "mine.onnx"
    values = {"save_as_external_data": True, "location": "user.data", "size_threshold": 0}
    onnx.save(float_model(), source, **values)
    shutil.copy(folder / "user.data", tmp_path / "outside.data")
    model = onnx.load(source, load_external_data=False)
    said = AdoptSpec(**NORMALIZED, **SIGMOID)
    for location in ("gone.data", "../outside.data", "user.data"):
        for tensor in model.graph.initializer:
            tensor.external_data[0].value = location
        source.write_bytes(model.SerializeToString())
        if location != "user.data":
            with pytest.raises(ModelError):
                adopt(source, out, said)
            assert not out.exists()
    adopt(source, out, said)
    assert_same(source, out, GRAYS, activation="sigmoid")
    onnx.checker.check_model(onnx.load(out))


def test_a_model_that_differs_leaves_no_file(tmp_path: Path) -> None:
    """As one that was exported while it was training, and still adds its noise."""
    noise = node("RandomNormalLike", ["maps"], ["noise"])
    model = float_model(extra=[noise, node("Add", ["maps", "noise"], ["end"])])
    source, out = save(model, tmp_path), tmp_path / "mine.onnx"
    out.write_bytes(b"mine")
    with pytest.raises(errors.ParityError):
        adopt(source, out, AdoptSpec(activation="sigmoid"), overwrite=True)
    assert out.read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_the_command_prints_what_it_did(tmp_path: Path) -> None:
    source, out = save(float_model(maps=3), tmp_path), tmp_path / "mine.onnx"
    numbers = (",".join(map(str, MEAN)), ",".join(map(str, SD)))
    command = ["adopt", source, "--out", out, "--input", f"{H}x{W}", "--channels", 3, "--logits"]
    command += ["--scale", 255, "--mean", numbers[0], "--sd", numbers[1], "--activation", "softmax"]
    command += ["--classes", "background, left,right", "--json", tmp_path / "report.json"]
    result = call(*command)
    assert result.exit_code == 0, result.output
    assert "background, left, right" in result.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["classes"] == list(THREE)
    assert report["max_probability_difference"] <= 1e-5
    assert_same(source, out, GRAYS, activation="softmax", background=True)
    again = call(*command)
    assert "--overwrite" in str(again.exception)
    for option, value in (("--input", "256"), ("--mean", "0.4;0.5")):
        result = call("adopt", "m.onnx", "--out", "o.onnx", option, value)
        assert result.exit_code == 2 and option in result.stderr
