from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import EdgesegError, ModelError
from edgeseg.network import zoo
from edgeseg.segmenter import Segmenter
from tests.conftest import benchmark_script

onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

RECIPES = Path(__file__).parents[2] / "training"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    benchmark_script("library.plain_onnx").plain(zoo.find("hc18-nano").path, path)
    return path


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, 1, 128, 192), dtype=np.uint8)


@pytest.fixture(scope="module")
def expected(image: np.ndarray) -> np.ndarray:
    return Segmenter("hc18-nano", device="cpu", threads=1).infer(image)


def answer(path: Path, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (probability,) = session.run(None, {"image": image})
    return probability


def test_plain_forms_answer_as_the_bundled_file(
    plain: Path, image: np.ndarray, expected: np.ndarray, tmp_path: Path
) -> None:
    np.testing.assert_allclose(answer(plain, image), expected, atol=1e-6)
    kinds = {node.op_type for node in onnx.load(plain).graph.node}
    assert "Conv" in kinds and "ConvTranspose" not in kinds
    benchmark_script("library.plain_onnx").with_float_input(plain, tmp_path / "float.onnx")
    got = answer(tmp_path / "float.onnx", image.astype(np.float32))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    kinds = {i.data_type for i in onnx.load(tmp_path / "float.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 not in kinds


def test_torch_answers_with_the_export_s_weights(
    plain: Path, image: np.ndarray, expected: np.ndarray
) -> None:
    load_network = benchmark_script("library.torch_weights").load_network
    network = load_network(RECIPES / "hc18-nano.toml", plain)
    with torch.inference_mode():
        got = network(torch.from_numpy(image)).sigmoid().numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)
    with pytest.raises(ModelError, match=r"not an export of .*hc18\.toml"):
        load_network(RECIPES / "hc18.toml", plain)


def task(plain: Path, image: np.ndarray, folder: Path) -> Any:
    np.save(folder / "image.npy", image)
    return benchmark_script("library.engines").Task(
        shipped=str(zoo.find("hc18-nano").path), plain=str(plain), plain_float="", int8="",
        recipe=str(RECIPES / "hc18-nano.toml"), threads=1, image=str(folder / "image.npy"),
        answer=str(folder / "answer.npy"), folder=str(folder),
    )  # fmt: skip


def test_an_engine_answers_from_its_own_process(
    plain: Path, image: np.ndarray, expected: np.ndarray, tmp_path: Path
) -> None:
    runtimes, engines = benchmark_script("runtimes"), benchmark_script("library.engines")
    engine = engines.ENGINES["edgeseg"]
    worker = runtimes.Worker("edgeseg", engine, task(plain, image, tmp_path), tmp_path)
    try:
        worker.run(2, keep=False)
        worker.run(3)
        np.testing.assert_array_equal(worker.answer, expected)
        assert len(worker.latency_ms) == 3 and min(worker.latency_ms) > 0
        row = runtimes.row("edgeseg", engine, worker, worker)
        assert row["ratio"] == pytest.approx(1) and row["dice"] == 1
    finally:
        worker.close()
    with pytest.raises(EdgesegError, match="no int8 export was given"):
        runtimes.Worker(
            "edgeseg int8", engines.ENGINES["edgeseg int8"], task(plain, image, tmp_path), tmp_path
        )


def test_an_engine_that_cannot_be_installed_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtimes = benchmark_script("runtimes")
    monkeypatch.setitem(runtimes.PACKAGES, "mnn", [[str(tmp_path / "no-such-package")]])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(EdgesegError, match="no-such-package"):
        runtimes.venv_python("mnn", tmp_path)
    assert not (tmp_path / "mnn" / ".installed").exists()


def test_the_table_names_what_was_left_out() -> None:
    result = {
        "model": "hc18-nano", "gmac": 0.11, "threads": 2, "peak_gflops": 188.4,
        "host": {"cpu": "some processor"},
        "engines": [
            {
                "engine": name, "version": "1.0", "arithmetic": "float32", "ratio": ratio,
                "latency_ms": {"p50": 2.5 * ratio}, "cpu_ms": 2.4, "share_of_peak": 0.31,
                "largest_difference": 2e-7, "dice": 1.0,
            }
            for name, ratio in (("slow", 1.5), ("edgeseg", 1.0))
        ],
        "skipped": {"litert": "no wheel"},
    }  # fmt: skip
    text = benchmark_script("runtimes").table([json.loads(json.dumps(result))])
    lines = text.splitlines()
    assert lines[4].startswith("| edgeseg | 1.0 | float32 | 2.50 | 1.00 |")
    assert lines[5].startswith("| slow | 1.0 | float32 | 3.75 | 1.50 |")
    assert "litert: no wheel." in text and "2 threads" in text
