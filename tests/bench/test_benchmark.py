from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from edgeseg.bench import benchmark
from edgeseg.errors import DataError, EdgesegError
from edgeseg.network import zoo


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
        latency = result["latency_ms"]
        assert 0 < latency["min"] <= latency["p50"] <= latency["p90"] <= latency["max"]
        assert latency["p90"] <= latency["p99"] <= latency["max"]
        assert result["images_per_s"] == pytest.approx(1000 / sum(result["stages_ms"].values()))
        assert 30 < result["peak_rss_mb"] < 2000
        assert result["power_w"] is None or result["power_w"] > 0
        assert result["accuracy"]["data"]["n_images"] == 12
        assert result["accuracy"]["metrics"]["dice"]["mean"] > 0.9
    # one thread works no longer than the clock runs
    single = report["results"][0]
    assert 0 < single["cpu_ms"] < 1.1 * single["latency_ms"]["mean"] + 1
    # three images at once cost more than one
    assert report["results"][1]["latency_ms"]["p50"] > 1.5 * single["latency_ms"]["p50"]


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
