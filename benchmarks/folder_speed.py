"""Time `edgeseg infer` on a folder: on all cores, on one, and against a plain loop.

    python benchmarks/folder_speed.py --data HC18

The same images, pictures and report included, as whole processes that take turns: `edgeseg infer`
as it comes, the same pinned to one core, other shares of threads and images, a loop over the same
functions without any thread, and one process pinned to each core, which is what the cores give
together where nothing is shared. Every run writes into a new folder, in memory where the system
has such a place: ext4 can take a millisecond to make a file for minutes after many were deleted, as
they are between runs. Medians go to ``results/folder-speed.json``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from library.processes import EDGESEG, Cost, run, take_turns, write_result

_MEMORY = Path("/dev/shm")
_NEEDED_BYTES = 500 * 10**6


def loop(model: str, folder: Path, out: Path) -> None:
    """Measure a folder image by image with the functions that `edgeseg infer` calls."""
    import cv2

    from edgeseg.inputs.discover import discover
    from edgeseg.inputs.facts import PixelSizes
    from edgeseg.run.results import open_results
    from edgeseg.run.store import FileRows
    from edgeseg.run.worker import Worker
    from edgeseg.segmenter import Segmenter

    def write(name: str, data: bytes) -> None:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(data)

    cv2.setNumThreads(1)
    worker = Worker(Segmenter(model, device="cpu", threads=1), PixelSizes((), 0.1))
    with open_results(worker, out, {}) as results:
        for source in discover([str(folder)]).items:
            rows = [worker.measure(source, write)]
            results.store.replace_rows([FileRows(source.file, "", worker.kinds, rows)])
        results.export("done")


def memory_folder() -> Path | None:
    """Return a folder in memory that holds what the runs write, if there is one."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _NEEDED_BYTES:
        return _MEMORY
    return None


def measure_folder(command: Sequence[str], scratch: Path | None, cores: Sequence[int]) -> Cost:
    """Run a command that ends with where it writes, on some cores; what it wrote is removed."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        return run([*command, f"{folder}/out"], cores)


def one_on_each_core(command: Sequence[str], scratch: Path | None, cores: Sequence[int]) -> Cost:
    """Run the whole folder once on each core at the same time; return the cost of one folder."""

    def pinned(core: int) -> Cost:
        return measure_folder(command, scratch, [core])

    with ThreadPoolExecutor(len(cores)) as pool:
        walls, cpus, peaks = zip(*pool.map(pinned, cores), strict=True)
    return Cost(max(walls) / len(cores), sum(cpus) / len(cores), sum(peaks))


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description="How fast a folder is measured.")
    parser.add_argument("--data", type=Path, required=True, help="HC18 folder")
    parser.add_argument("--models", nargs="+", default=["hc18-edge", "hc18-edge-int8", "hc18-nano"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, nargs="+", default=sorted(os.sched_getaffinity(0)))
    parser.add_argument(
        "--scratch", type=Path, default=memory_folder(), help="where the runs write"
    )
    parser.add_argument("--loop", nargs=3, metavar=("MODEL", "FOLDER", "OUT"), help="inner use")
    options = parser.parse_args()
    if options.loop:
        model, folder, out = options.loop
        loop(model, Path(folder), Path(out))
        return
    scans = options.data / "training_set"
    n_images = sum(not p.stem.endswith("_Annotation") for p in scans.glob("*.png"))
    count = len(options.cores)
    results = []
    for model in options.models:
        command = [*EDGESEG, "infer", str(scans), "--model", model, "--device", "cpu"]
        command += ["--pixel-size", "0.1"]
        inner = ["--threads", "1", "--inference-threads", str(count)]
        plain = [sys.executable, __file__, "--data", str(options.data)]
        plain += ["--loop", model, str(scans)]
        infer, scratch, cores = [*command, "--out"], options.scratch, options.cores
        rows = {
            "all cores": partial(measure_folder, infer, scratch, cores),
            "one core": partial(measure_folder, infer, scratch, cores[:1]),
            "plain loop": partial(measure_folder, plain, scratch, cores),
            f"one image at a time, {count} threads": partial(
                measure_folder, [*command, *inner, "--out"], scratch, cores
            ),
            "a process on each core": partial(one_on_each_core, infer, scratch, cores),
        }
        costs = take_turns(rows, options.rounds)
        results += [row(model, name, c, costs, n_images) for name, c in costs.items()]
    write_result("folder-speed", {"rounds": options.rounds, "n_images": n_images, "rows": results})
    for line in results:
        print(line)  # noqa: T201


def row(
    model: str, name: str, cost: Cost, costs: dict[str, Cost], n_images: int
) -> dict[str, str | float]:
    """Return one line of the result; ``speedup`` is how much faster all cores are than it."""
    return {
        "model": model,
        "row": name,
        "wall_s": round(cost.wall_s, 3),
        "images_per_s": round(n_images / cost.wall_s, 1),
        "cpu_ms_per_image": round(1000 * cost.cpu_s / n_images, 3),
        "peak_rss_mb": round(cost.peak_rss_mb, 1),
        "speedup": round(cost.wall_s / costs["all cores"].wall_s, 3),
    }


if __name__ == "__main__":
    main()
