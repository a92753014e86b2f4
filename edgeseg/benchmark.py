"""Latency, memory and accuracy of models on this machine, each measured in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg import evaluate, hc18, host, image, phantom
from edgeseg.errors import EdgesegError
from edgeseg.segmenter import Segmenter

_MAX_IMAGES = 20
TITLES = (
    "model",
    "precision",
    "threads",
    "provider",
    "p50 ms",
    "p90 ms",
    "images/s",
    "peak MiB",
    "size MB",
    "Dice %",
    "HC MAD mm",
)
"""Titles of the columns that `cells` fills."""


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the benchmark.

    Attributes
    ----------
    model
        Bundled name or path.
    threads
        Threads inside one inference.
    device
        As `Segmenter` takes it.
    warmup, runs
        Untimed and timed runs of the network, and of all stages together.
    data
        An HC18-shaped folder whose images are used; "" takes phantoms.
    accuracy
        Whether the accuracy on ``data`` is measured too, after timing and memory.
    """

    model: str
    threads: int
    device: str = "cpu"
    warmup: int = 10
    runs: int = 100
    data: str = ""
    accuracy: bool = False


def run(jobs: Sequence[Job], on_result: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Measure every job in a process of its own, one after the other.

    Peak memory never falls within a process, and live sessions disturb each other's timings.

    Returns
    -------
    dict
        ``host`` and ``results``, JSON-ready; accuracy is measured once for each model and
        repeated in its other rows.

    Raises
    ------
    EdgesegError
        If a job fails; the text is the job's own.
    """
    results: list[dict[str, Any]] = []
    for job in jobs:
        result = _in_fresh_process(job)
        if result["accuracy"] is None:
            same = (r for r in results if r["sha256"] == result["sha256"])
            result["accuracy"] = next((r["accuracy"] for r in same), None)
        results.append(result)
        on_result(result)
    return {"host": host.describe() | {"versions": host.versions()}, "results": results}


def plan(
    models: Sequence[str],
    threads: Sequence[int],
    *,
    device: str = "cpu",
    warmup: int = 10,
    runs: int = 100,
    data: str = "",
) -> list[Job]:
    """Return a job for each model and thread count; the first of each model measures accuracy."""
    return [
        Job(model, count, device, warmup, runs, data, bool(data) and count == threads[0])
        for model in models
        for count in threads
    ]


def measure(job: Job) -> dict[str, Any]:
    """Measure one job in this process; see `run` for the usual way.

    Returns
    -------
    dict
        ``latency_ms`` is the wall time of the session on one image; ``stages_ms`` are means over
        images of decoding from memory, preprocessing, inference and postprocessing, and
        ``images_per_s`` is one image after another through all of them; ``peak_rss_mb`` is taken
        before the accuracy is measured.
    """
    started = time.perf_counter()
    segmenter = Segmenter(job.model, device=job.device, threads=job.threads)
    load_ms = (time.perf_counter() - started) * 1000
    encoded = _encoded_images(job.data)
    metadata = segmenter.metadata
    first = image.preprocess(
        image.decode_gray(encoded[0]), metadata.input_height, metadata.input_width
    )
    first_ms = _timed_ms(lambda: segmenter.infer(first))
    for _ in range(job.warmup):
        segmenter.infer(first)
    latency = np.array([_timed_ms(lambda: segmenter.infer(first)) for _ in range(job.runs)])
    stages_ms = _stages_ms(segmenter, encoded, job)
    percentiles = np.percentile(latency, [50, 90, 99])
    result: dict[str, Any] = {
        "model": segmenter.file.name,
        "sha256": segmenter.file.sha256,
        "size_bytes": segmenter.file.size_bytes,
        "parameters": metadata.parameters,
        "gmac": metadata.gmac,
        "precision": metadata.precision,
        "provider": segmenter.provider,
        "threads": job.threads,
        "load_ms": load_ms,
        "first_ms": first_ms,
        "latency_ms": {
            "mean": float(latency.mean()),
            **{f"p{p}": float(v) for p, v in zip((50, 90, 99), percentiles, strict=True)},
            "min": float(latency.min()),
            "max": float(latency.max()),
        },
        "stages_ms": stages_ms,
        "images_per_s": 1000 / sum(stages_ms.values()),
        "peak_rss_mb": host.peak_rss_mb(),
        "accuracy": None,
    }
    if job.accuracy:
        cases = hc18.load_cases(Path(job.data))
        scores = evaluate.score_all(segmenter, cases, workers=1)
        summary = evaluate.summarize(segmenter, cases, scores, job.threads)
        result["accuracy"] = {"data": summary["data"], "metrics": summary["metrics"]}
    return result


def markdown(report: dict[str, Any]) -> str:
    """Return a benchmark's table as Markdown, with the machine it was measured on."""
    lines = [
        "| " + " | ".join(TITLES) + " |",
        "|---|---|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += ["| " + " | ".join(cells(result)) + " |" for result in report["results"]]
    machine, versions = report["host"], report["host"]["versions"]
    lines += [
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['os']}; onnxruntime "
        f"{versions.get('onnxruntime', versions.get('onnxruntime-gpu', '?'))}, "
        f"edgeseg {versions['edgeseg']}.",
        "",
    ]
    return "\n".join(lines)


def cells(result: dict[str, Any]) -> list[str]:
    """Return one result as the cells of the table in `markdown`."""
    accuracy, rss = result["accuracy"], result["peak_rss_mb"]
    dice = f"{100 * accuracy['metrics']['dice']['mean']:.2f}" if accuracy else "-"
    mad = f"{accuracy['metrics']['hc_error_mm']['mad']:.2f}" if accuracy else "-"
    return [
        result["model"],
        result["precision"],
        str(result["threads"]),
        result["provider"].removesuffix("ExecutionProvider"),
        f"{result['latency_ms']['p50']:.2f}",
        f"{result['latency_ms']['p90']:.2f}",
        f"{result['images_per_s']:.1f}",
        f"{rss:.0f}" if rss else "-",
        f"{result['size_bytes'] / 1e6:.2f}",
        dice,
        mad,
    ]


def worker() -> None:
    """Measure the job on stdin and write its result, or its error, to stdout as JSON."""
    try:
        answer: dict[str, Any] = {"result": measure(Job(**json.load(sys.stdin)))}
    except EdgesegError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


def _in_fresh_process(job: Job) -> dict[str, Any]:
    command = [sys.executable, "-c", "from edgeseg.benchmark import worker; worker()"]
    done = subprocess.run(
        command, input=json.dumps(asdict(job)), capture_output=True, text=True, check=False
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EdgesegError(
            f"measuring {job.model} with {job.threads} threads ended with status "
            f"{done.returncode}: {last}"
        ) from None
    if "error" in answer:
        raise EdgesegError(answer["error"])
    result: dict[str, Any] = answer["result"]
    return result


def _encoded_images(data: str) -> list[bytes]:
    """Return image files' bytes: of the data's first cases, or of phantoms."""
    if data:
        return [c.image_path.read_bytes() for c in hc18.load_cases(Path(data))[:_MAX_IMAGES]]
    return [image.encode(".png", p.image) for p in phantom.demo_phantoms()]


def _stages_ms(segmenter: Segmenter, encoded: Sequence[bytes], job: Job) -> dict[str, float]:
    """Return the mean time of each stage over single images, warmed up."""
    rows = []
    for i in range(job.warmup + max(job.runs, len(encoded))):
        started = time.perf_counter()
        gray = image.decode_gray(encoded[i % len(encoded)])
        decode_ms = (time.perf_counter() - started) * 1000
        times = segmenter.predict(gray, 0.1).times_ms
        rows.append((decode_ms, times.preprocess, times.inference, times.postprocess))
    means = np.mean(rows[job.warmup :], axis=0)
    names = ("decode", "preprocess", "inference", "postprocess")
    return {name: float(mean) for name, mean in zip(names, means, strict=True)}


def _timed_ms(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000
