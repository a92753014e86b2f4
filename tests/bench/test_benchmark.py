from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg import segmenter as segmenting
from edgeseg.bench import benchmark
from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, EdgesegError
from edgeseg.images import image_file
from edgeseg.measure import outline
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network import zoo
from tests.fakes import Clock, FakeSession, bright, head_image, open_fake


@pytest.fixture(scope="module")
def report(phantom_data: Path) -> dict[str, Any]:
    jobs = benchmark.plan(["hc18-nano"], [1, 2], [1, 3], str(phantom_data), warmup=1, runs=5)
    seen: list[dict[str, Any]] = []
    report = benchmark.run(jobs, seen.append)
    assert seen == report["results"]
    return report


def test_keys_are_the_contract_and_figures_make_sense(report: dict[str, Any]) -> None:
    assert list(report) == ["host", "results"]
    assert {"cpu", "cores", "governor", "temperature_c", "versions"} <= report["host"].keys()
    assert report["host"]["before"].keys() == report["host"]["after"].keys()
    rows = [(r["threads"], r["batch"]) for r in report["results"]]
    assert rows == [(1, 1), (1, 3), (2, 1), (2, 3)]
    for result in report["results"]:
        assert list(result) == [
            "model", "sha256", "size_bytes", "parameters", "gmac", "precision", "provider",
            "threads", "batch", "load_ms", "first_ms", "latency_ms", "cpu_ms", "power_w",
            "stages_ms", "images_per_s", "peak_rss_mb", "accuracy",
        ]  # fmt: skip
        assert list(result["latency_ms"]) == ["mean", "p50", "p90", "p99", "min", "max"]
        assert list(result["stages_ms"]) == ["decode", "preprocess", "inference", "postprocess"]
        assert 30 < result["peak_rss_mb"] < 2000
        assert result["power_w"] is None or result["power_w"] > 0
        assert result["accuracy"]["data"]["n_images"] == 12
        assert result["accuracy"]["metrics"]["dice"]["mean"] > 0.9


def test_memory_is_that_of_the_model_with_and_without_data(report: dict[str, Any]) -> None:
    jobs = benchmark.plan(["hc18-nano"], [1], warmup=1, runs=5)
    (result,) = benchmark.run(jobs, lambda result: None)["results"]
    assert result["peak_rss_mb"] == pytest.approx(report["results"][0]["peak_rss_mb"], rel=0.15)


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
    slow = clock.takes(2, image_file.decode_frame)
    monkeypatch.setattr(benchmark.image_file, "decode_frame", slow)
    for module, name, ms in ((segmenting, "preprocess", 1), (outline, "see", 2)):  # of each look
        monkeypatch.setattr(module, name, clock.takes(ms, getattr(module, name)))
    image = tmp_path / "a.png"
    image.write_bytes(encode(".png", head_image(Ellipse(280, 200, 140, 108, 0.3), (384, 576))))
    job = benchmark.Job("hc18-nano", 1, warmup=2, runs=10, batch=2, images=[str(image)])
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


def test_every_row_is_planned_once_and_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    first, second = (tmp_path / folder / "model.onnx" for folder in "ab")
    for path in (first, second):
        path.parent.mkdir()
        shutil.copy(zoo.find("hc18-nano").path, path)
    jobs = benchmark.plan([str(first)] * 2, [1, 1, 2], [1, 1])
    expected = [(str(first), 1, 1), (str(first), 2, 1)]
    assert [(job.model, job.threads, job.batch) for job in jobs] == expected
    with pytest.raises(DataError, match=r"are both called 'model'; rename one"):
        benchmark.plan([str(first), str(second)], [1])


@pytest.mark.parametrize(
    ("name", "code", "error"),
    [
        ("none.onnx", "", "neither a bundled model"),
        ("hc18-nano", "raise SystemExit('broken')", "ended with status 1: broken"),
    ],
)
def test_a_job_s_error_is_the_benchmark_s(
    name: str, code: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees the modules of who asks first, and none of the working folder."""
    (tmp_path / "asked").mkdir()
    if code:
        (tmp_path / "asked" / "numpy.py").write_text(code)
    (tmp_path / "subprocess.py").write_text("raise SystemExit('taken')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "asked"))
    with pytest.raises(EdgesegError, match=error):
        benchmark.run([benchmark.Job(name, 1)], lambda result: None)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are seen in /proc")
def test_a_job_ends_with_the_process_that_asked(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(".png", np.zeros((40, 60), np.uint8)))
    code = "import sys; from edgeseg.bench.benchmark import Job, _in_fresh_process as ask; "
    code += "ask(Job('hc18-nano', 1, runs=10**8, images=[sys.argv[1]]))"
    command = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    ends = time.monotonic() + 60
    with subprocess.Popen(command) as asking:
        children = Path(f"/proc/{asking.pid}/task/{asking.pid}/children")
        while not (job := children.read_text().strip()):
            assert asking.poll() is None and time.monotonic() < ends
        asking.kill()
    stat = Path(f"/proc/{job}/stat")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":  # nobody waits for it
            assert time.monotonic() < ends, "it was left behind"
