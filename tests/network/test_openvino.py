from __future__ import annotations

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import DeviceError, ModelError
from edgeseg.network import zoo
from edgeseg.network.adapter import preprocess
from edgeseg.phantom.head import Phantom
from edgeseg.segmenter import Segmenter
from edgeseg.system import host
from tests.fakes import METADATA

TWO = [2, 1, 192, 288]  # images at once


def test_without_its_package_the_device_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"not installed; run pip install 'edgeseg\[openvino\]'"):
        Segmenter("hc18-edge", device="openvino")


needs_openvino = pytest.mark.skipif(
    not importlib.util.find_spec("openvino"), reason="OpenVINO is not installed"
)


def opened(model: str | Path) -> Segmenter:
    return Segmenter(model, device="openvino", threads=1)


@needs_openvino
@pytest.mark.parametrize("model", zoo.manifest())
def test_it_measures_as_onnxruntime_does(model: str, phantoms: list[Phantom]) -> None:
    ours = Segmenter(model, device="cpu", threads=1)
    theirs = opened(model)
    assert theirs.provider == "OpenVINO"
    assert theirs.metadata == ours.metadata
    tolerance_mm = 0.3 if theirs.metadata.precision == "int8" else 0.002
    for phantom in phantoms[:4]:
        expected = ours.predict(phantom.image, phantom.pixel_size_mm).hc_mm
        got = theirs.predict(phantom.image, phantom.pixel_size_mm).hc_mm
        assert got == pytest.approx(expected, abs=tolerance_mm)
    assert "openvino" in host.versions()


@needs_openvino
def test_several_threads_and_images_at_once(phantoms: list[Phantom]) -> None:
    segmenter = opened("hc18-nano")
    tensors = np.concatenate([preprocess(phantom.image, 128, 192) for phantom in phantoms[:6]])
    parts = np.split(tensors, 6)
    alone = [segmenter.infer(part) for part in parts]  # none is written into the next one's
    assert segmenter.infer(tensors) == pytest.approx(np.concatenate(alone), abs=1e-4)
    with ThreadPoolExecutor(3) as pool:
        np.testing.assert_array_equal([*pool.map(segmenter.infer, parts * 3)], alone * 3)


@needs_openvino
@pytest.mark.nightly
def test_first_inferences_do_not_lock_each_other(phantom_data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgeseg", "infer", str(phantom_data), "--device", "openvino"]
    command += ["--model", "hc18-nano", "--threads", "4", "--pixel-size", "0.2"]
    for i in range(4):
        subprocess.run([*command, "--out", str(tmp_path / f"out{i}")], check=True, timeout=60)


@needs_openvino
def test_what_is_no_model_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"garbage")
    with pytest.raises(ModelError, match="not a model OpenVINO can load"):
        opened(path)
    path.write_bytes(zoo.find("hc18-nano").path.read_bytes().replace(b"edgeseg", b"someone", 1))
    with pytest.raises(ModelError, match="no edgeseg metadata"):
        opened(path)


@needs_openvino
@pytest.mark.parametrize("shape", [None, *(["N", 1, side, 288] for side in ("h", 192)), TWO])
def test_a_float_graph_runs_in_its_own_shape(tmp_path: Path, shape: list[int | str] | None) -> None:
    onnx = pytest.importorskip("onnx")
    path, kind = tmp_path / "model.onnx", onnx.TensorProto.FLOAT
    given, made = (
        onnx.helper.make_tensor_value_info(name, kind, shape) for name in ("image", "probability")
    )
    node = onnx.helper.make_node("Sigmoid", ["image"], ["probability"])
    graph = onnx.helper.make_graph([node], "g", [given], [made])
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    model.metadata_props.add(key="edgeseg", value=METADATA.to_json())
    path.write_bytes(model.SerializeToString())
    if not shape or shape[1:] != [1, 192, 288]:
        with pytest.raises(ModelError, match="expected one input"):
            opened(path)
        return
    gray = np.random.default_rng(0).integers(0, 256, (3, 1, 192, 288), dtype=np.uint8)
    expected = 1 / (1 + np.exp(-(gray.astype(np.float32) / 255)))
    np.testing.assert_allclose(opened(path).infer(gray), expected, atol=1e-6)
