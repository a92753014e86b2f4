from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeseg import benchmark
from edgeseg.errors import EdgesegError


@pytest.fixture(scope="module")
def report(phantom_data: Path) -> dict[str, Any]:
    jobs = benchmark.plan(["hc18-edge"], [1, 2], warmup=1, runs=5, data=str(phantom_data))
    seen: list[dict[str, Any]] = []
    report = benchmark.run(jobs, seen.append)
    assert seen == report["results"]
    return report


def test_keys_are_the_contract(report: dict[str, Any]) -> None:
    assert list(report) == ["host", "results"]
    for result in report["results"]:
        assert list(result) == [
            "model", "sha256", "size_bytes", "parameters", "gmac", "precision", "provider",
            "threads", "load_ms", "first_ms", "latency_ms", "stages_ms", "images_per_s",
            "peak_rss_mb", "accuracy",
        ]  # fmt: skip
        assert list(result["latency_ms"]) == ["mean", "p50", "p90", "p99", "min", "max"]
        assert list(result["stages_ms"]) == ["decode", "preprocess", "inference", "postprocess"]


def test_figures_make_sense(report: dict[str, Any]) -> None:
    assert [r["threads"] for r in report["results"]] == [1, 2]
    for result in report["results"]:
        latency = result["latency_ms"]
        assert 0 < latency["min"] <= latency["p50"] <= latency["p90"] <= latency["max"]
        assert latency["p90"] <= latency["p99"] <= latency["max"]
        assert result["images_per_s"] == pytest.approx(1000 / sum(result["stages_ms"].values()))
        assert 30 < result["peak_rss_mb"] < 2000
        assert result["accuracy"]["data"]["n_images"] == 12
        assert result["accuracy"]["metrics"]["dice"]["mean"] > 0.9


def test_the_table_has_a_row_a_result(report: dict[str, Any]) -> None:
    lines = benchmark.markdown(report).splitlines()
    assert sum(line.startswith("| hc18-edge |") for line in lines) == 2
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert "onnxruntime" in lines[-2] or "onnxruntime" in lines[-1]


def test_a_job_s_error_is_the_benchmark_s(tmp_path: Path) -> None:
    job = benchmark.Job(str(tmp_path / "none.onnx"), 1)
    with pytest.raises(EdgesegError, match="neither a bundled model"):
        benchmark.run([job], lambda result: None)
