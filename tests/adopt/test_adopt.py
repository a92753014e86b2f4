from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

from edgeseg import errors
from edgeseg.bench.verify import verify
from edgeseg.drawing.encode import encode
from edgeseg.errors import ModelError
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network.adapter import preprocess
from edgeseg.phantom.head import make_phantom
from edgeseg.segmenter import Segmenter
from edgeseg.serve.site import check_runs_in_page
from tests.cli.calls import call, rows

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, numpy_helper  # noqa: E402

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


CUT_SOFTMAX = ending_in(
    node("Softmax", ["maps"], ["all"], axis=1),
    *map(constant, "abc", ([1], [3], [1])),
    node("Slice", ["all", *"abc"], ["end"]),
    maps=3,
)
F16, U8, BOOL, I32 = (getattr(TensorProto, k) for k in ("FLOAT16", "UINT8", "BOOL", "INT32"))
PLAIN, ONE = {"mean": (0.0,), "sd": (1.0,)}, {"mean": (0.4,), "sd": (1.0,)}
BACKGROUND, LAST = {"background": True}, {"nhwc": True}
OCR_SIZE, OCR = (64, 160), {"mean": (0.5,) * 3, "sd": (0.5,) * 3}
TEXT = cv2.putText(np.zeros(OCR_SIZE, np.uint8), "HC 178 mm", (8, 42), 0, 0.8, 255, 2)


def smp_unet(classes: int = 1, opset: int = 17, tail: str = "Identity") -> onnx.ModelProto:
    """Export smp's U-Net, trained on nothing, but with each of its classes in the scans.

    Operator sets from 18 on are written by torch's newer exporter.
    """
    torch, smp = map(pytest.importorskip, ("torch", "segmentation_models_pytorch"))
    torch.manual_seed(3)
    values = {"encoder_weights": None, "encoder_depth": 2, "decoder_channels": (8, 8)}
    model = smp.Unet("resnet18", classes=classes, **values).eval()
    rgb = torch.from_numpy(np.stack(GRAYS))[:, None].repeat(1, 3, 1, 1) / 255
    head, dim = model.segmentation_head[0], {"dim": 1} if tail == "Softmax" else {}
    with torch.no_grad():
        logits = model((rgb - 0.4) / 0.25)
        spread, middle = logits.std(dim=(0, 2, 3)), logits.mean(dim=(0, 2, 3))
        head.weight /= spread[:, None, None, None]
        head.bias.copy_((head.bias - middle) / spread)
    model = torch.nn.Sequential(model, getattr(torch.nn, tail)(**dim))
    axes = {0: "batch", 2: "height", 3: "width"}
    how: dict[str, Any] = {"dynamo": opset >= 18, "opset_version": opset, "verbose": False}
    if how["dynamo"]:
        how["dynamic_shapes"] = [dict.fromkeys(axes, torch.export.Dim.AUTO)]
    else:
        how |= {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": axes, "y": axes}}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the exporters
        path = Path(folder) / "unet.onnx"
        torch.onnx.export(model, (torch.zeros(1, 3, H, W),), str(path), **how)
        return onnx.load(path)


def enlarging(opset: int) -> onnx.ModelProto:
    """Return a model that enlarges its maps, by the operator that its set has for that."""
    name, by = "Upsample" if opset < 10 else "Resize", np.array([1, 1, 2, 2], np.float32)
    extra = chain(name, *([by[:0]] if opset > 10 else []), by)
    return float_model(stride=2, opset=opset, extra=extra)


def is_run(opset: int) -> bool:
    """Tell whether onnxruntime runs an operator set; the oldest taken, 1.20, runs 21."""
    with contextlib.suppress(Exception):
        onnxruntime.InferenceSession(float_model(opset=opset).SerializeToString())
        return True
    return opset <= 21


def quantized() -> onnx.ModelProto:
    """Return a model whose weights and maps are of 8 bits, as QDQ pairs say."""
    quantize = node("QuantizeLinear", ["maps", "s", "z"], ["q"])
    model = float_model(extra=[quantize, node("DequantizeLinear", ["q", "s", "z"], ["end"])])
    weights = next(each for each in model.graph.initializer if each.name == "w1")
    whole = np.round(numpy_helper.to_array(weights) / 0.02).astype(np.int8)
    weights.CopyFrom(numpy_helper.from_array(whole, "q1"))
    model.graph.node.insert(0, node("DequantizeLinear", ["q1", "s", "z"], ["w1"]))
    for name, value in (("s", np.float32(0.02)), ("z", np.int8(0))):
        model.graph.node.insert(0, constant(name, value))
    return model


def text_detector() -> onnx.ModelProto:
    """Return that of PP-OCRv4, from a wheel of which nothing else is used."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder]
        if subprocess.run([*command, "rapidocr-onnxruntime"], capture_output=True).returncode:
            pytest.skip("offline: rapidocr-onnxruntime cannot be downloaded")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as parts:
            name = "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"
            return onnx.load_from_string(parts.read(name))


OPEN, UNDER_HALF = {"input_size": (H, W)}, np.nextafter(0.5, 0)
# Rows of the table in docs/networks.md; of each a model, what its user says, and what its own
# code does.
TAKEN: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
    ("plain `smp.Unet` with logits", smp_unet, SIGMOID | OPEN, SIGMOID),
    ("plain `smp.Unet` with logits", lambda: smp_unet(3, 11),
     SOFTMAX | NAMES | OPEN, SOFTMAX | BACKGROUND),
    ("torch's newer exporter", lambda: smp_unet(3, 23, "Softmax"), NAMES | OPEN, NONE | BACKGROUND),
    ("softmax of three", ending_in(maps=3), SOFTMAX | NAMES, SOFTMAX | BACKGROUND),
    ("softmax inside", ending_in(maps=3, tail="Softmax"), NAMES, NONE | BACKGROUND),
    ("sigmoid inside", ending_in(tail="Sigmoid"), {}, NONE),
    ("several sigmoids", ending_in(maps=2), SIGMOID | NAMES, SIGMOID),
    ("probabilities without a Sigmoid node", ending_in(tail="HardSigmoid"), {}, NONE),
    ("probabilities without a Sigmoid node", CUT_SOFTMAX, NAMES, NONE),
    ("ArgMax inside", class_indices, NAMES, INDICES),
    ("ArgMax inside", lambda: class_indices(I32, 0), NAMES, INDICES),
    ("ArgMax inside", lambda: class_indices(U8, nhwc=True), NAMES, INDICES | LAST),
    ("ArgMax inside", ending_in(*chain("Greater", np.float32(0)), made=BOOL), LESION, INDICES),
    ("bytes in", ending_in(given=U8), SIGMOID | PLAIN, SIGMOID | {"how": "bytes"}),
    ("channels last", ending_in(nhwc=True), SIGMOID, SIGMOID | LAST),
    ("channels last", ending_in(maps=2, stride=2, nhwc=True),
     SOFTMAX, SOFTMAX | BACKGROUND | LAST),
    ("one channel", ending_in(channels=1), SIGMOID | ONE, SIGMOID | ONE),
    ("fixed or open batch", ending_in(batch=1), SIGMOID, SIGMOID),
    ("fixed or open batch", ending_in(batch=4), SIGMOID, SIGMOID),
    ("fixed or open size", ending_in(size=("h", "w")), SIGMOID | OPEN, SIGMOID),
    ("maps of half the size", ending_in(stride=2), SIGMOID, SIGMOID),
    ("one mean for all", float_model, SIGMOID | ONE,
     SIGMOID | {"mean": (0.4,) * 3, "sd": (1.0,) * 3}),
    ("normalised by the image", float_model, SIGMOID | PLAIN | {"normalise": "zscore"},
     SIGMOID | {"mean": (0,) * 3, "sd": (1,) * 3, "how": "zscore"}),
    ("normalised by the image", float_model, SIGMOID | {"normalise": "max"},
     SIGMOID | {"how": "max"}),
    *[("operator sets from 9 on", partial(enlarging, opset), SIGMOID, SIGMOID)
      for opset in range(9, 1 + onnx.defs.onnx_opset_version()) if is_run(opset)],
    ("float16", ending_in(kind=F16), SIGMOID, SIGMOID | {"tolerance": 2e-3}),
    ("QDQ int8", quantized, SIGMOID, SIGMOID),
    ("PP-OCRv4's text detector", text_detector,
     OCR | {"input_size": OCR_SIZE}, OCR | NONE | {"grays": [TEXT]}),
]  # fmt: skip
NIGHTLY = ("torch's newer exporter", "PP-OCRv4's text detector")
# OpenVINO is tried where what is fed or read differs
NOT_IN_OPENVINO = (*NIGHTLY, "operator sets from 9 on", "QDQ int8", "fixed or open batch")


@pytest.mark.parametrize(
    ("row", "make", "said", "how"),
    [
        pytest.param(*each, id=each[0], marks=[pytest.mark.nightly] * (each[0] in NIGHTLY))
        for each in TAKEN
    ],
)
def test_it_answers_as_its_original(
    tmp_path: Path, row: str, make: Any, said: dict[str, Any], how: dict[str, Any]
) -> None:
    source, out, report, metadata = take(make(), tmp_path, **said)
    how = {"grays": GRAYS} | how
    theirs, segmenter = assert_same(source, out, **how), Segmenter(out, device="cpu", threads=1)
    for gray, maps in zip(how["grays"], theirs, strict=True):
        rest = 1 - maps.sum(axis=0) if "background" in how else np.full(gray.shape, UNDER_HALF)
        classes = np.stack([rest, *maps]).argmax(axis=0)
        np.testing.assert_array_equal(segmenter.predict(gray).mask(), classes)  # IoU 1.0
    precision = {"float16": "fp16", "QDQ int8": "int8"}.get(row, "fp32")
    assert report.precision == metadata["precision"] == precision
    assert report.activation == how["activation"]
    assert report.layout == ("nhwc" if how.get("nhwc") else "nchw")
    assert metadata["schema_version"] == 3  # refused by those that do not know adapters
    if "classes" in said:
        exclusive = "background" in how or report.activation == "indices"
        task = {"kind": "regions", "classes": list(said["classes"]), "exclusive": exclusive}
        assert metadata["task"] == task
    if importlib.util.find_spec("openvino") and row not in NOT_IN_OPENVINO:
        assert_same(source, out, device="openvino", **(how | {"tolerance": 2e-3}))


def test_the_docs_list_what_is_taken() -> None:
    text = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
    table = text.partition("| your network")[2].partition("\n\n")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert rows == list(dict.fromkeys(each[0] for each in TAKEN))


def test_a_model_wrapped_by_version_0_2_still_runs(tmp_path: Path) -> None:
    """Its graph takes gray bytes and gives probabilities at the input's size."""
    model = float_model(maps=3, stride=2, size=(24, 40))
    source, out = save(model, tmp_path), tmp_path / "old.onnx"
    shutil.copy(Path(__file__).with_name("adopted-by-0.2.onnx"), out)
    grays = [gray[:24, :40] for gray in GRAYS]
    assert_same(source, out, grays, activation="softmax", background=True)
    with pytest.raises(ModelError, match="model of edgeseg already"):
        adopt(out, tmp_path / "again.onnx", AdoptSpec())


def test_what_lies_between_0_and_1_gets_no_activation_unless_asked_for(tmp_path: Path) -> None:
    source, out = save(float_model(tail="Sigmoid"), tmp_path), tmp_path / "mine.onnx"
    with pytest.raises(ModelError, match="--logits"):
        adopt(source, out, AdoptSpec(**NORMALIZED, **SIGMOID))
    report = adopt(source, out, AdoptSpec(**NORMALIZED, **SIGMOID, logits=True))
    assert report.activation == "sigmoid"
    report = adopt(source, out, AdoptSpec(**NORMALIZED), overwrite=True)
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


def test_a_round_structure_is_measured_under_its_own_name(tmp_path: Path) -> None:
    """By a network of its gray values, which are seen as shares of the largest one."""
    above = [node("Sub", ["input", "half"], ["high"]), node("Mul", ["high", "steep"], ["end"])]
    values = map(constant, ("half", "steep"), (np.float32(0.5), np.float32(40)))
    source = save(float_model(channels=1, size=(96, 144), extra=[*values, *above]), tmp_path)
    cyst = Ellipse(200.0, 130.0, 90.0, 60.0, 0.3)
    (tmp_path / "scan.png").write_bytes(encode(".png", cyst.mask(270, 400) // 4))
    said = ("--task", "ellipse", "--classes", "cyst", "--normalise", "max", "--activation")
    for command in (
        ("adopt", source, "--out", tmp_path / "mine.onnx", *said, "sigmoid"),
        ("infer", tmp_path / "scan.png", "--model", tmp_path / "mine.onnx", "--out", tmp_path / "r",
         "--pixel-size", 0.5),
    ):  # fmt: skip
        result = call(*command)
        assert result.exit_code == 0, result.output
    (row,) = rows(tmp_path / "r")
    circumference_mm = float(row["cyst_circumference_mm"])
    assert circumference_mm == pytest.approx(0.5 * cyst.circumference_px, rel=0.01)


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
