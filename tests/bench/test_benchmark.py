from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeseg import segmenter as segmenting
from edgeseg.bench import benchmark
from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, EdgesegError
from edgeseg.images import image_file
from edgeseg.measure import head
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network import zoo
from edgeseg.prediction import StageTimes
from tests.fakes import Clock, FakeSession, bright, head_image, open_fake


@pytest.fixture(scope="module")
def report(phantom_data: Path) -> dict[str, Any]:
    jobs = benchmark.plan(
        ["hc18-nano"], [1, 2], warmup=1, runs=5, batches=[1, 3], data=str(phantom_data)
    )
    seen: list[dict[str, Any]] = []
    report = benchmark.run(jobs, seen.append)
    assert seen == report["results"]
    return report


def test_keys_are_the_contract(report: dict[str, Any]) -> None:
    assert list(report) == ["host", "results"]
    assert {"cpu", "cores", "governor", "temperature_c", "versions"} <= report["host"].keys()
    assert report["host"]["before"].keys() == report["host"]["after"].keys()
    for result in report["results"]:
        assert list(result) == [
            "model", "sha256", "size_bytes", "parameters", "gmac", "precision", "provider",
            "threads", "batch", "load_ms", "first_ms", "latency_ms", "cpu_ms", "power_w",
            "stages_ms", "images_per_s", "peak_rss_mb", "accuracy",
        ]  # fmt: skip
        assert list(result["latency_ms"]) == ["mean", "p50", "p90", "p99", "min", "max"]
        assert list(result["stages_ms"]) == ["decode", "preprocess", "inference", "postprocess"]


def test_figures_make_sense(report: dict[str, Any]) -> None:
    rows = [(r["threads"], r["batch"]) for r in report["results"]]
    assert rows == [(1, 1), (1, 3), (2, 1), (2, 3)]
    for result in report["results"]:
        assert 30 < result["peak_rss_mb"] < 2000
        assert result["power_w"] is None or result["power_w"] > 0
        assert result["accuracy"]["data"]["n_images"] == 12
        assert result["accuracy"]["metrics"]["dice"]["mean"] > 0.9


def test_times_are_those_of_the_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Loading takes 500 ms; runs take 9, 7 twice (warming up), then 1 to 10 ms, then 4 each."""
    clock = Clock()
    lasts_ms = iter([9, 7, 7, *range(10, 0, -1), *[4] * 99])

    def answer(gray: np.ndarray) -> np.ndarray:
        clock.now_s += next(lasts_ms) / 1000
        return bright(gray)

    fake = open_fake(monkeypatch, FakeSession(answer))
    for name in ("edgeseg.bench.benchmark", "edgeseg.segmenter"):
        monkeypatch.setattr(f"{name}.time", clock)
    monkeypatch.setattr(benchmark, "Segmenter", clock.takes(500, lambda *_, **__: fake))
    slow = clock.takes(2, image_file.decode_gray)
    monkeypatch.setattr(benchmark.image_file, "decode_gray", slow)
    for name, ms in (("preprocess", 1), ("as_frame", 0.5)):  # of each image
        slow = clock.takes(ms, getattr(segmenting, name))
        monkeypatch.setattr(segmenting, name, slow)
    for name, ms in (("see", 1), ("judge", 2)):
        slow = clock.takes(ms, getattr(head, name))
        monkeypatch.setattr(head, name, slow)
    for i in range(2):
        image = head_image(Ellipse(280, 200, 140, 108, 0.3), (384, 576))
        (tmp_path / f"{i}.png").write_bytes(encode(".png", image))
    job = benchmark.Job("hc18-nano", 1, warmup=2, runs=10, batch=2, phantoms=str(tmp_path))
    result = benchmark.measure(job)
    assert result["load_ms"] == pytest.approx(500)
    assert result["first_ms"] == pytest.approx(9)
    assert result["latency_ms"] == pytest.approx(
        {"mean": 5.5, "p50": 5.5, "p90": 9.1, "p99": 9.91, "min": 1, "max": 10}
    )
    assert result["cpu_ms"] == pytest.approx(11)  # two threads' worth, of one run
    # of one image, which is looked at twice
    stages_ms = {"decode": 2, "preprocess": 2, "inference": 8, "postprocess": 4}
    assert result["stages_ms"] == pytest.approx(stages_ms)
    assert result["images_per_s"] == pytest.approx(1000 / 16)


def test_warming_up_counts_in_no_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    lasts_ms = iter([100, 100, 2, 4, 6])

    class Answers:
        def predict(self, gray: np.ndarray, size_mm: float) -> object:
            return SimpleNamespace(times_ms=StageTimes(1.0, float(next(lasts_ms)), 3.0))

    monkeypatch.setattr(benchmark, "time", clock)
    decode = clock.takes(5, lambda data: np.zeros((40, 40), np.uint8))
    monkeypatch.setattr(benchmark.image_file, "decode_gray", decode)
    job = benchmark.Job("x", 1, warmup=2, runs=3)
    stages_ms = benchmark._stages_ms(Answers(), [b""], job)  # type: ignore[arg-type]
    assert stages_ms == pytest.approx(
        {"decode": 5, "preprocess": 1, "inference": 4, "postprocess": 3}
    )


def test_every_row_is_planned_once_and_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    bundled = zoo.find("hc18-nano").path
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(bundled, tmp_path / folder / "model.onnx")
    first, second = (str(tmp_path / folder / "model.onnx") for folder in "ab")
    jobs = benchmark.plan([first, first], [1, 1, 2], batches=[1, 1])
    assert [(job.model, job.threads, job.batch) for job in jobs] == [(first, 1, 1), (first, 2, 1)]
    with pytest.raises(DataError, match=r"are both called 'model'; rename one"):
        benchmark.plan([first, second], [1])


def test_memory_is_that_of_the_model_with_and_without_data(report: dict[str, Any]) -> None:
    jobs = benchmark.plan(["hc18-nano"], [1], warmup=1, runs=5)
    (result,) = benchmark.run(jobs, lambda result: None)["results"]
    assert result["peak_rss_mb"] == pytest.approx(report["results"][0]["peak_rss_mb"], rel=0.15)


def test_a_job_s_error_is_the_benchmark_s(tmp_path: Path) -> None:
    job = benchmark.Job(str(tmp_path / "none.onnx"), 1)
    with pytest.raises(EdgesegError, match="neither a bundled model"):
        benchmark.run([job], lambda result: None)
