"""Latency, memory and accuracy of models on this machine, each measured in a fresh process."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, EdgesegError
from edgeseg.images import image_file
from edgeseg.network import zoo
from edgeseg.network.adapter import preprocess
from edgeseg.phantom.head import demo_phantoms
from edgeseg.score import evaluate
from edgeseg.score.labelled import load_for, load_labelled
from edgeseg.segmenter import Segmenter
from edgeseg.system import host

_MAX_IMAGES = 20


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the benchmark: a model, timed on image files, and measured on labelled ``data``.

    ``warmup`` and ``runs`` count untimed and timed runs of the network, on ``batch`` images each,
    and of all stages together.
    """

    model: str
    threads: int
    device: str = "cpu"
    warmup: int = 10
    runs: int = 100
    batch: int = 1
    images: Sequence[str] = ()
    data: str = ""


def run(jobs: Sequence[Job], on_result: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Measure every job in a process of its own, one after the other, or raise its `EdgesegError`.

    Peak memory never falls within a process, and live sessions disturb each other's timings.
    Returns ``host``, with the processor's state ``before`` and ``after``, and ``results``,
    JSON-ready; accuracy is measured once for each model and repeated in its other rows.
    """
    versions = host.versions()
    machine = host.describe() | {"versions": versions, "before": host.state()}
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        if data := next((job.data for job in jobs if job.data), ""):
            paths = [case.image_path for case in load_labelled(Path(data)).cases[:_MAX_IMAGES]]
        else:
            phantoms = demo_phantoms()  # here, since drawing takes more memory than a model
            paths = [Path(folder) / phantom.name for phantom in phantoms]
            for path, phantom in zip(paths, phantoms, strict=True):
                path.write_bytes(encode(".png", phantom.image))
        for job in jobs:
            result, used = _in_fresh_process(replace(job, images=[*map(str, paths)]))
            versions |= used
            if result["accuracy"] is None:
                same = (r for r in results if r["sha256"] == result["sha256"])
                result["accuracy"] = next((r["accuracy"] for r in same), None)
            results.append(result)
            on_result(result)
    return {"host": machine | {"after": host.state()}, "results": results}


def plan(
    models: Sequence[str],
    threads: Sequence[int],
    batches: Sequence[int] = (1,),
    data: str = "",
    **options: Any,
) -> list[Job]:
    """Return a job for each model, thread count and batch size, each once, with a `Job`'s options.

    The first job of each model measures accuracy too, if there is data. `DataError` if two models
    have one name: their rows could not be told apart.
    """
    chosen: dict[str, tuple[str, Path]] = {}
    for model in models:
        file = zoo.find(model)
        _, first = chosen.setdefault(file.name, (model, file.path))
        if first.resolve() != file.path.resolve():
            raise DataError(f"{first} and {file.path} are both called {file.name!r}; rename one")
    kinds = list(itertools.product(dict.fromkeys(threads), dict.fromkeys(batches)))
    return [
        Job(model, count, batch=batch, data="" if i else data, **options)
        for model, _ in chosen.values()
        for i, (count, batch) in enumerate(kinds)
    ]


def measure(job: Job) -> dict[str, Any]:
    """Measure one job in this process; see `run` for the usual way.

    ``latency_ms`` is the wall time of one run of the session, ``cpu_ms`` the processor time of all
    its threads, spinning included, and ``power_w`` the processor's mean power meanwhile, None where
    the system does not say; each is for ``batch`` images. ``stages_ms`` are means of decoding from
    memory, preprocessing, inference and postprocessing of one image, and ``images_per_s`` is one
    image after another through all of them; ``peak_rss_mb`` is taken before the accuracy is
    measured.
    """
    started = time.perf_counter()
    segmenter = Segmenter(job.model, device=job.device, threads=job.threads)
    load_ms = (time.perf_counter() - started) * 1000
    encoded = [Path(image).read_bytes() for image in job.images]
    metadata = segmenter.metadata
    sides = metadata.input_height, metadata.input_width
    images = (image_file.decode_frame(data).pixels for data in itertools.cycle(encoded))
    tensor = np.concatenate([preprocess(next(images), *sides) for _ in range(job.batch)])
    first_ms = _timed_ms(lambda: segmenter.infer(tensor))
    for _ in range(job.warmup):
        segmenter.infer(tensor)
    meter, cpu_started = host.EnergyMeter(), time.process_time()
    latency = np.array([_timed_ms(lambda: segmenter.infer(tensor)) for _ in range(job.runs)])
    cpu_ms = (time.process_time() - cpu_started) * 1000 / job.runs
    power_w = meter.power_w()
    stages_ms = _stages_ms(segmenter, encoded, job)
    p50, p90, p99 = map(float, np.percentile(latency, [50, 90, 99]))
    result: dict[str, Any] = {
        "model": segmenter.file.name,
        "sha256": segmenter.file.sha256,
        "size_bytes": segmenter.file.size_bytes,
        "parameters": metadata.parameters,
        "gmac": metadata.gmac,
        "precision": metadata.precision,
        "provider": segmenter.provider,
        "threads": job.threads,
        "batch": job.batch,
        "load_ms": load_ms,
        "first_ms": first_ms,
        "latency_ms": {
            "mean": float(latency.mean()),
            **{"p50": p50, "p90": p90, "p99": p99},
            **{"min": float(latency.min()), "max": float(latency.max())},
        },
        "cpu_ms": cpu_ms,
        "power_w": power_w,
        "stages_ms": stages_ms,
        "images_per_s": 1000 / sum(stages_ms.values()),
        "peak_rss_mb": host.peak_rss_mb(),
        "accuracy": None,
    }
    if job.data:
        cases = load_for(segmenter, Path(job.data)).cases
        scores = evaluate.score_all(segmenter, cases, workers=1)
        summary = evaluate.summarize(segmenter, cases, scores, job.threads)
        result["accuracy"] = {"data": summary["data"], "metrics": summary["metrics"]}
    return result


def worker(job: str) -> None:
    """Measure a job, as JSON, and write its result, or its error, to stdout as JSON."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        answer: dict[str, Any] = {"result": measure(Job(**json.loads(job)))}
        answer["versions"] = host.versions()
    except EdgesegError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


def _end_with_stdin() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _in_fresh_process(job: Job) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a job's result and the versions of the packages it used."""
    # -P and this process's own path: the same modules, whatever lies in the working folder
    code = f"import sys; sys.path[:] = {sys.path!r}; from edgeseg.bench.benchmark import worker; "
    code += f"worker({json.dumps(asdict(job))!r})"
    stdin, open_end = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            stdin=stdin, capture_output=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
    finally:
        os.close(stdin)  # the process ends when this one's end closes, however that ends
        os.close(open_end)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise EdgesegError(
            f"measuring {job.model} with {job.threads} threads ended with status "
            f"{done.returncode}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        ) from None
    if "error" in answer:
        raise EdgesegError(answer["error"])
    return answer["result"], answer["versions"]


def _stages_ms(segmenter: Segmenter, encoded: Sequence[bytes], job: Job) -> dict[str, float]:
    """Return the mean time of each stage of an image, warmed up."""
    rows = []
    for i in range(job.warmup + max(job.runs, len(encoded))):
        started = time.perf_counter()
        gray = image_file.decode_frame(encoded[i % len(encoded)]).pixels
        decode_ms = (time.perf_counter() - started) * 1000
        times = segmenter.predict(gray, 0.1).times_ms
        if i >= job.warmup:
            rows.append((decode_ms, times.preprocess, times.inference, times.postprocess))
    means = np.mean(rows, axis=0).tolist()
    return dict(zip(("decode", "preprocess", "inference", "postprocess"), means, strict=True))


def _timed_ms(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000
