from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgeseg import host, zoo
from edgeseg.errors import DeviceError, ModelError
from edgeseg.phantom import Phantom
from edgeseg.segmenter import Segmenter


def test_without_its_package_the_device_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"not installed; run pip install 'edgeseg\[openvino\]'"):
        Segmenter("hc18-edge", device="openvino")


@pytest.fixture(scope="module")
def opened() -> Callable[[str], Segmenter]:
    pytest.importorskip("openvino")
    return lambda model: Segmenter(model, device="openvino", threads=1)


@pytest.mark.parametrize("model", zoo.manifest())
def test_it_measures_as_onnxruntime_does(
    opened: Callable[[str], Segmenter], model: str, phantoms: list[Phantom]
) -> None:
    ours = Segmenter(model, device="cpu", threads=1)
    theirs = opened(model)
    assert theirs.provider == "OpenVINO"
    assert theirs.metadata == ours.metadata
    tolerance_mm = 0.2 if theirs.metadata.precision == "int8" else 0.002
    for phantom in phantoms[:4]:
        expected = ours.predict(phantom.image, phantom.pixel_size_mm).hc_mm
        got = theirs.predict(phantom.image, phantom.pixel_size_mm).hc_mm
        assert got == pytest.approx(expected, abs=tolerance_mm)
    assert "openvino" in host.versions()


def test_batches_and_threads(opened: Callable[[str], Segmenter], phantoms: list[Phantom]) -> None:
    segmenter = opened("hc18-nano")
    scans = [phantom.image for phantom in phantoms[:6]]
    alone = [segmenter.predict(scan).hc_px for scan in scans]
    together = [p.hc_px for p in segmenter.predict_batch(scans)]
    assert together == pytest.approx(alone, abs=0.01)
    with ThreadPoolExecutor(3) as pool:
        assert [p.hc_px for p in pool.map(segmenter.predict, scans * 3)] == alone * 3


def test_an_answer_is_not_overwritten_by_the_next(opened: Callable[[str], Segmenter]) -> None:
    segmenter = opened("hc18-nano")
    shape = (1, 1, segmenter.metadata.input_height, segmenter.metadata.input_width)
    first = segmenter.infer(np.zeros(shape, dtype=np.uint8))
    kept = first.copy()
    segmenter.infer(np.full(shape, 200, dtype=np.uint8))
    assert np.array_equal(first, kept)


def test_what_is_no_model_of_ours_is_refused(
    opened: Callable[[str], Segmenter], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"garbage")
    with pytest.raises(ModelError, match="not a model OpenVINO can load"):
        opened(str(path))
    shutil.copy(zoo.find("hc18-nano").path, path)
    path.write_bytes(path.read_bytes().replace(b"edgeseg", b"someone", 1))
    with pytest.raises(ModelError, match="no edgeseg metadata"):
        opened(str(path))
