"""Latency, memory and accuracy of models on this machine, each measured in a fresh process."""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.bench.processes import ask, read_question
from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, EdgesegError
from edgeseg.images import image_file
from edgeseg.network import zoo
from edgeseg.network.preprocess import preprocess
from edgeseg.phantom import head as phantom
from edgeseg.score import evaluate
from edgeseg.score.labelled import load_for, load_labelled
from edgeseg.segmenter import Segmenter
from edgeseg.system import host, sensors

_MAX_IMAGES = 20


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
    batch
        Images in one run of the network.
    data
        A folder of labelled data whose images are used; "" takes phantoms.
    accuracy
        Whether the accuracy on ``data`` is measured too, after timing and memory.
    phantoms
        Folder of the phantoms used where there is no data; `run` draws them, since drawing takes
        more memory than the model.
    """

    model: str
    threads: int
    device: str = "cpu"
    warmup: int = 10
    runs: int = 100
    batch: int = 1
    data: str = ""
    accuracy: bool = False
    phantoms: str = ""


def run(jobs: Sequence[Job], on_result: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Measure every job in a process of its own, one after the other.

    Peak memory never falls within a process, and live sessions disturb each other's timings.

    Returns
    -------
    dict
        ``host``, with the processor's state ``before`` and ``after``, and ``results``, JSON-ready;
        accuracy is measured once for each model and repeated in its other rows.

    Raises
    ------
    EdgesegError
        If a job fails; the text is the job's own.
    """
    versions = host.versions()
    machine = host.describe() | {"versions": versions, "before": sensors.state()}
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        if not all(job.data for job in jobs):
            for drawn in phantom.demo_phantoms():
                (Path(folder) / drawn.name).write_bytes(encode(".png", drawn.image))
        for job in jobs:
            result, used = _in_fresh_process(replace(job, phantoms=folder))
            versions |= used
            if result["accuracy"] is None:
                same = (r for r in results if r["sha256"] == result["sha256"])
                result["accuracy"] = next((r["accuracy"] for r in same), None)
            results.append(result)
            on_result(result)
    return {"host": machine | {"after": sensors.state()}, "results": results}


def plan(
    models: Sequence[str],
    threads: Sequence[int],
    *,
    device: str = "cpu",
    warmup: int = 10,
    runs: int = 100,
    batches: Sequence[int] = (1,),
    data: str = "",
) -> list[Job]:
    """Return a job for each model, thread count and batch size, each once.

    The first job of each model measures accuracy too, if there is data.

    Raises
    ------
    ModelNotFoundError, ModelError
        If there is no such model.
    DataError
        If two models have one name: their rows could not be told apart.
    """
    paths: dict[str, Path] = {}
    chosen: dict[str, str] = {}
    for model in models:
        file = zoo.find(model)
        first = paths.setdefault(file.name, file.path)
        if first.resolve() != file.path.resolve():
            raise DataError(f"{first} and {file.path} are both called {file.name!r}; rename one")
        chosen.setdefault(file.name, model)
    kinds = list(itertools.product(dict.fromkeys(threads), dict.fromkeys(batches)))
    return [
        Job(model, count, device, warmup, runs, batch, data, bool(data) and i == 0)
        for model in chosen.values()
        for i, (count, batch) in enumerate(kinds)
    ]


def measure(job: Job) -> dict[str, Any]:
    """Measure one job in this process; see `run` for the usual way.

    Returns
    -------
    dict
        ``latency_ms`` is the wall time of one run of the session, ``cpu_ms`` the processor time of
        all its threads, spinning included, and ``power_w`` the processor's mean power meanwhile,
        None where the system does not say; each is for ``batch`` images. ``stages_ms`` are means
        of decoding from memory, preprocessing, inference and postprocessing of one image, and
        ``images_per_s`` is one image after another through all of them; ``peak_rss_mb`` is taken
        before the accuracy is measured.
    """
    started = time.perf_counter()
    segmenter = Segmenter(job.model, device=job.device, threads=job.threads)
    load_ms = (time.perf_counter() - started) * 1000
    encoded = _encoded_images(job)
    metadata = segmenter.metadata
    tensor = np.concatenate(
        [
            preprocess(image_file.decode_gray(data), metadata.input_height, metadata.input_width)
            for data in itertools.islice(itertools.cycle(encoded), job.batch)
        ]
    )
    first_ms = _timed_ms(lambda: segmenter.infer(tensor))
    for _ in range(job.warmup):
        segmenter.infer(tensor)
    meter, cpu_started = sensors.EnergyMeter(), time.process_time()
    latency = np.array([_timed_ms(lambda: segmenter.infer(tensor)) for _ in range(job.runs)])
    cpu_ms = (time.process_time() - cpu_started) * 1000 / job.runs
    power_w = meter.power_w()
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
        "batch": job.batch,
        "load_ms": load_ms,
        "first_ms": first_ms,
        "latency_ms": {
            "mean": float(latency.mean()),
            **{f"p{p}": float(v) for p, v in zip((50, 90, 99), percentiles, strict=True)},
            "min": float(latency.min()),
            "max": float(latency.max()),
        },
        "cpu_ms": cpu_ms,
        "power_w": power_w,
        "stages_ms": stages_ms,
        "images_per_s": 1000 / sum(stages_ms.values()),
        "peak_rss_mb": host.peak_rss_mb(),
        "accuracy": None,
    }
    if job.accuracy:
        cases = load_for(segmenter, Path(job.data)).cases
        scores = evaluate.score_all(segmenter, cases, workers=1)
        summary = evaluate.summarize(segmenter, cases, scores, job.threads)
        result["accuracy"] = {"data": summary["data"], "metrics": summary["metrics"]}
    return result


def worker() -> None:
    """Measure the job asked for and write its result, or its error, to stdout as JSON."""
    question = read_question()
    try:
        answer: dict[str, Any] = {"result": measure(Job(**json.loads(question)))}
        answer["versions"] = host.versions()
    except EdgesegError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


def _in_fresh_process(job: Job) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a job's result and the versions of the packages it used."""
    code = "from edgeseg.bench.benchmark import worker; worker()"
    done = ask(code, json.dumps(asdict(job)))
    try:
        answer = json.loads(done.text)
    except ValueError:
        raise EdgesegError(
            f"measuring {job.model} with {job.threads} threads ended with status {done.status}: "
            f"{done.last_line}"
        ) from None
    if "error" in answer:
        raise EdgesegError(answer["error"])
    return answer["result"], answer["versions"]


def _encoded_images(job: Job) -> list[bytes]:
    """Return image files' bytes: of the data's first cases, or of phantoms."""
    if job.data:
        cases = load_labelled(Path(job.data)).cases
        return [case.image_path.read_bytes() for case in cases[:_MAX_IMAGES]]
    return [path.read_bytes() for path in sorted(Path(job.phantoms).iterdir())]


def _stages_ms(segmenter: Segmenter, encoded: Sequence[bytes], job: Job) -> dict[str, float]:
    """Return the mean time of each stage of an image, warmed up."""
    rows = []
    for i in range(job.warmup + max(job.runs, len(encoded))):
        started = time.perf_counter()
        gray = image_file.decode_gray(encoded[i % len(encoded)])
        decode_ms = (time.perf_counter() - started) * 1000
        times = segmenter.predict(gray, 0.1).times_ms
        if i >= job.warmup:
            rows.append((decode_ms, times.preprocess, times.inference, times.postprocess))
    means = np.mean(rows, axis=0)
    names = ("decode", "preprocess", "inference", "postprocess")
    return {name: float(mean) for name, mean in zip(names, means, strict=True)}


def _timed_ms(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000
