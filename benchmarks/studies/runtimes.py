r"""Run the same weights on the same image through several inference engines, turn by turn.

    PYTHONPATH=benchmarks python benchmarks/studies/runtimes.py \
        hc18-edge hc18-nano --venvs build/engines
    PYTHONPATH=benchmarks python benchmarks/studies/runtimes.py --table

Every engine answers in a process of its own and they take turns, so that the machine's mood hits
all alike; what each answers is held against onnxruntime's float32, so that none wins by being
wrong. An engine that cannot be installed or cannot convert the model is listed with its reason.
One JSON a model and thread count is left under ``results/runtimes``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from engine_loaders import Task
from engines import ENGINES, PACKAGES, Engine
from matrix_product import matrix_product_gflops
from plain_onnx import plain, with_float_input

from edgeseg.errors import EdgesegError
from edgeseg.network import zoo
from edgeseg.network.adapter import preprocess
from edgeseg.phantom import head as phantom
from edgeseg.score import metrics
from edgeseg.segmenter import Segmenter
from edgeseg.system import host
from edgeseg.system.files import write_json

STUDIES = Path(__file__).parent
HERE = STUDIES.parent
RESULTS = HERE / "results" / "runtimes"
RECIPES = {
    "hc18-edge": "hc18.toml",
    "hc18-nano": "hc18-nano.toml",
    "hc18-unet": "hc18-unet.toml",
}
_REFERENCE = "edgeseg"
_INT8 = "-int8"
_REST_S = 0.3  # threads of an engine that has just run may still spin


class Worker:
    """An engine's process.

    Raises
    ------
    EdgesegError
        If the engine cannot be installed, or cannot load or run the model.
    """

    def __init__(self, name: str, engine: Engine, task: Task, venvs: Path) -> None:
        python = venv_python(engine.venv, venvs) if engine.venv else sys.executable
        description = Path(task.folder) / "task.json"
        description.write_text(json.dumps(task._asdict()), encoding="utf-8")
        sources = os.pathsep.join(map(str, [STUDIES, HERE, HERE.parent, HERE.parent / "training"]))
        self._process = subprocess.Popen(
            [python, "-m", "engines", name, str(description)],
            env=os.environ | {"PYTHONPATH": sources},  # the network in torch, in any venv
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.version: str = self._answer()["version"]
        self.answer: npt.NDArray[np.float32] = np.load(task.answer)
        self.latency_ms: list[float] = []
        self.cpu_ms: list[float] = []

    def run(self, count: int, *, keep: bool = True) -> None:
        """Let the engine run the image a number of times, and keep the times unless told."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        answer = self._answer()
        if keep:
            self.latency_ms += answer["latency_ms"]
            self.cpu_ms.append(answer["cpu_ms"])

    def close(self) -> None:
        """End the process."""
        with self._process as process:  # which closes its pipes
            process.kill()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise EdgesegError(f"its process ended with status {self._process.returncode}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            self.close()
            raise EdgesegError(answer["error"])
        return answer


def venv_python(name: str, venvs: Path) -> str:
    """Return the interpreter of an engine's virtual environment, which is made if missing.

    Raises
    ------
    EdgesegError
        If its packages cannot be installed.
    """
    folder = venvs / name
    python, finished = folder / "bin" / "python", folder / ".installed"
    if not finished.is_file():
        commands = [[sys.executable, "-m", "venv", str(folder)]]
        commands += [
            [str(python), "-m", "pip", "install", "--quiet", *packages]
            for packages in [["numpy"], *PACKAGES[name]]
        ]
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr.strip() or "no message").splitlines()[-1]
                raise EdgesegError(f"{' '.join(command[-2:])}: {last}")
        finished.touch()
    return str(python)


def compare(name: str, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure every engine on one model, in turns."""
    file = zoo.find(name)
    shape = Segmenter(file.path, device="cpu", threads=1).metadata
    scan = phantom.demo_phantoms()[0].image
    tensor = preprocess(scan, shape.input_height, shape.input_width)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        np.save(root / "image.npy", tensor)
        plain(file.path, root / "plain.onnx")
        with_float_input(root / "plain.onnx", root / "plain_float.onnx")
        workers: dict[str, Worker] = {}
        skipped: dict[str, str] = {}
        try:
            for i, engine_name in enumerate(options.engines):
                folder = root / str(i)
                folder.mkdir()
                task = Task(
                    shipped=str(file.path.resolve()),
                    plain=str(root / "plain.onnx"),
                    plain_float=str(root / "plain_float.onnx"),
                    int8=options.int8.get(name, ""),
                    recipe=str(HERE.parent / "training" / RECIPES.get(shape.name, "none")),
                    threads=threads,
                    image=str(root / "image.npy"),
                    answer=str(folder / "answer.npy"),
                    folder=str(folder),
                )
                try:
                    workers[engine_name] = Worker(
                        engine_name, ENGINES[engine_name], task, options.venvs
                    )
                except EdgesegError as error:
                    skipped[engine_name] = str(error)
                print(f"{engine_name}: {skipped.get(engine_name, 'ready')}", flush=True)  # noqa: T201
            peak = take_turns(workers, options.rounds, options.runs, threads)
        finally:
            for worker in workers.values():
                worker.close()
    rows = [row(name, ENGINES[name], w, workers[_REFERENCE]) for name, w in workers.items()]
    for line in rows:
        gflops = 2 * (shape.gmac or 0) / line["latency_ms"]["p50"] * 1000
        line["share_of_peak"] = gflops / peak
    return {
        "model": file.name,
        "sha256": file.sha256,
        "gmac": shape.gmac,
        "threads": threads,
        "rounds": options.rounds,
        "runs": options.runs,
        "peak_gflops": peak,
        "host": host.describe() | {"versions": host.versions()},
        "engines": rows,
        "skipped": skipped,
    }


def take_turns(workers: dict[str, Worker], rounds: int, runs: int, threads: int) -> float:
    """Let the engines run one after the other, again and again; return the machine's GFLOP/s.

    The first round is not kept. The machine's peak is that of a float32 matrix product in the same
    rounds, on as many threads.
    """
    peaks = []
    for turn in range(rounds + 1):
        for worker in workers.values():
            worker.run(runs, keep=turn > 0)
            time.sleep(_REST_S)
        peaks.append(matrix_product_gflops(threads))
        time.sleep(_REST_S)
    return statistics.median(peaks[1:])


def row(name: str, engine: Engine, worker: Worker, reference: Worker) -> dict[str, Any]:
    """Return an engine's figures; ratios are to edgeseg's own, above 1 is slower."""
    p50, p90, p99 = (float(v) for v in np.percentile(worker.latency_ms, [50, 90, 99]))
    masks = [(answer[0, 0] >= 0.5).astype(np.uint8) for answer in (worker.answer, reference.answer)]
    return {
        "engine": name,
        "version": worker.version,
        "arithmetic": engine.arithmetic,
        "latency_ms": {"p50": p50, "p90": p90, "p99": p99, "min": min(worker.latency_ms)},
        "cpu_ms": statistics.median(worker.cpu_ms),
        "ratio": p50 / statistics.median(reference.latency_ms),
        "largest_difference": float(np.abs(worker.answer - reference.answer).max()),
        "dice": metrics.overlap(*masks).dice,
    }


def table(results: Iterable[dict[str, Any]]) -> str:
    """Return results as Markdown."""
    lines = []
    for result in results:
        lines += [
            f"**{result['model']}**, {result['gmac']} GMAC, {result['threads']} thread"
            f"{'s' * (result['threads'] > 1)}; a float32 matrix product reaches "
            f"{result['peak_gflops']:.0f} GFLOP/s; {result['host']['cpu']}.",
            "",
            "| engine | version | arithmetic | p50 ms | of edgeseg's | CPU ms | of the peak "
            "| largest difference | Dice to float32 |",
            "|---|---|---|--:|--:|--:|--:|--:|--:|",
        ]
        for r in sorted(result["engines"], key=lambda r: r["latency_ms"]["p50"]):
            lines.append(
                f"| {r['engine']} | {r['version']} | {r['arithmetic']} "
                f"| {r['latency_ms']['p50']:.2f} | {r['ratio']:.2f} | {r['cpu_ms']:.2f} "
                f"| {100 * r['share_of_peak']:.0f} % | {r['largest_difference']:.1e} "
                f"| {r['dice']:.4f} |"
            )
        lines += [f"\n{name}: {reason}." for name, reason in result["skipped"].items()]
        lines.append("")
    return "\n".join(lines)


def _int8_files(texts: Sequence[str]) -> dict[str, str]:
    """Return the int8 export of each model: the bundled one, or the one that was given."""
    bundled = {
        name: str(zoo.find(f"{name}{_INT8}").path)
        for name in zoo.manifest()
        if f"{name}{_INT8}" in zoo.manifest()
    }
    pairs = [text.partition("=") for text in texts]
    return bundled | {name: str(Path(path).resolve()) for name, _, path in pairs}


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description="The same model on several engines.")
    parser.add_argument("models", nargs="*", help="models or files; all bundled ones, unless told")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument(
        "--int8",
        nargs="*",
        default=[],
        metavar="NAME=FILE",
        help="int8 exports of models given as files",
    )
    parser.add_argument("--venvs", type=Path, default=Path("build/engines"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=20, help="runs a round")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print what is there, measure nothing")
    options = parser.parse_args()
    options.int8 = _int8_files(options.int8)
    if _REFERENCE not in options.engines:
        options.engines = [_REFERENCE, *options.engines]
    try:
        if not options.table:
            bundled = [name for name in zoo.manifest() if not name.endswith(_INT8)]
            for name in options.models or bundled:
                for threads in options.threads:
                    result = compare(name, threads, options)
                    options.results.mkdir(parents=True, exist_ok=True)
                    path = options.results / f"{result['model']}-{threads}.json"
                    write_json(path, result)
    except EdgesegError as error:
        parser.exit(1, f"error: {error}\n")
    found = [json.loads(path.read_text()) for path in sorted(options.results.glob("*.json"))]
    print(table(found))  # noqa: T201


if __name__ == "__main__":
    main()
