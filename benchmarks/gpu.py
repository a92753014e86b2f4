"""What a GPU brings: the network alone by batch, whole archives, and whether it says the same.

    python benchmarks/gpu.py --data HC18 --device cuda

Three tables: images a second through the network alone, on the CPU with one thread and with all
cores, on the GPU by `session.run` and with buffers that stay (IO binding), for growing batches;
images a second of `edgeseg archive`, reading and decoding included, on CPU and GPU with growing
numbers of threads and processes; and the masks and HC of both compared on every image. Where a
device cannot run, its rows say why. Prints Markdown, and leaves ``results/gpu.json``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from library.processes import EDGESEG, run, write_result

from edgeseg.errors import EdgesegError
from edgeseg.images.image_file import read_gray
from edgeseg.segmenter import Segmenter
from edgeseg.system.parallel import usable_cores

_ENOUGH_S = 0.6
Tensor = npt.NDArray[np.uint8]


def images_per_s(function: Callable[[Tensor], object], tensor: Tensor) -> float:
    """Return how many images a second a function takes, the median of its runs."""
    for _ in range(3):
        function(tensor)
    times_s, started = [], time.perf_counter()
    while time.perf_counter() - started < _ENOUGH_S or len(times_s) < 5:
        before = time.perf_counter()
        function(tensor)
        times_s.append(time.perf_counter() - before)
    return len(tensor) / statistics.median(times_s)


def unbound(segmenter: Segmenter) -> Callable[[Tensor], object]:
    """Return the network as edgeseg runs it, without looking at what it answers."""
    return segmenter._port.run


def bound(segmenter: Segmenter, where: str) -> Callable[[Tensor], object]:
    """Return the network with buffers that stay, on the device or on the host (IO binding)."""
    port, session = segmenter._port, segmenter._port.session
    binding = session.io_binding()
    kept: dict[tuple[int, ...], Any] = {}

    def on_device(tensor: Tensor) -> object:
        if tensor.shape in kept:
            kept[tensor.shape].update_inplace(tensor)
        else:
            kept[tensor.shape] = onnxruntime.OrtValue.ortvalue_from_numpy(tensor, "cuda", 0)
        binding.bind_ortvalue_input(port.input_name, kept[tensor.shape])
        for name in port.output_names:
            binding.bind_output(name, "cuda")
        session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()

    def on_host(tensor: Tensor) -> object:
        if tensor.shape not in kept:
            maps = (len(tensor), len(segmenter.metadata.task.structures), *tensor.shape[2:])
            kept[tensor.shape] = np.empty(maps, np.float32)
        buffer = kept[tensor.shape]
        binding.bind_cpu_input(port.input_name, tensor)
        told = buffer.dtype.type, buffer.shape, buffer.ctypes.data
        binding.bind_output(port.output_names[0], "cpu", 0, *told)
        for name in port.output_names[1:]:
            binding.bind_output(name, "cpu")
        session.run_with_iobinding(binding)
        return buffer.copy()  # the next run writes into it

    return on_device if where == "device" else on_host


def network(models: Sequence[str], device: str, batches: Sequence[int]) -> list[dict[str, Any]]:
    """Measure the network alone."""
    rows = []
    for model in models:
        ways: list[tuple[str, str, int | None, str]] = [
            ("CPU, one thread", "cpu", 1, ""),
            ("CPU, all cores", "cpu", None, ""),
            (f"{device}, session.run", device, 1, ""),
            (f"{device}, buffers on the device", device, 1, "device"),
            (f"{device}, buffers on the host", device, 1, "host"),
        ]
        for name, on, threads, where in ways:
            row: dict[str, Any] = {"model": model, "row": name}
            rows.append(row)
            try:
                segmenter = Segmenter(model, device=on, threads=threads)
            except EdgesegError as error:
                row["error"] = str(error)
                continue
            sides = segmenter.metadata.input_height, segmenter.metadata.input_width
            function = bound(segmenter, where) if where else unbound(segmenter)
            for batch in batches if on != "cpu" else [b for b in batches if b <= 16]:
                tensor = np.random.default_rng(0).integers(0, 256, (batch, 1, *sides), np.uint8)
                row[f"batch {batch}"] = round(images_per_s(function, tensor), 1)
            del segmenter
    return rows


def archives(
    data: Path, model: str, device: str, repeats: int, shapes: Sequence[tuple[str, int, int]]
) -> list[dict[str, Any]]:
    """Measure whole archives; shapes are device, threads and processes."""
    from edgeseg.archive.manifest_writer import write_manifest
    from edgeseg.archive.place import place_of

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        links = [Path(folder, "scans", f"{i:03d}") for i in range(repeats)]
        links[0].parent.mkdir()
        for link in links:
            link.symlink_to((data / "training_set").resolve(), target_is_directory=True)
        manifest = Path(folder, "m.parquet")
        inputs = [*map(str, links)]
        made = write_manifest(inputs, place_of(str(manifest)), 0.1)
        for on, threads, processes in shapes:
            command = [*EDGESEG, "archive", str(manifest), "--model", model, "--device", on]
            command += ["--threads", str(threads), "--processes", str(processes)]
            command += ["--part-size", "250"]
            row = {"device": on, "threads": threads, "processes": processes}
            rows.append(row)
            try:
                cost = run([*command, "--out", f"{folder}/{len(rows)}"])
            except SystemExit as error:
                row["error"] = str(error)[-300:]
                continue
            row["images_per_s"] = round(made.n_frames / cost.wall_s, 1)
            row["cpu_ms_per_image"] = round(1000 * cost.cpu_s / made.n_frames, 2)
            print(row, flush=True)  # noqa: T201
    return rows


def compare(data: Path, model: str, device: str) -> dict[str, Any]:
    """Compare what CPU and GPU say of each image."""
    on_cpu, on_gpu = Segmenter(model, device="cpu", threads=1), Segmenter(model, device=device)
    paths = sorted((data / "training_set").glob("*HC.png"))
    dices, apart_mm, n_status = [], [], 0
    for path in paths:
        gray = read_gray(path)
        a, b = on_cpu.predict(gray, 0.1), on_gpu.predict(gray, 0.1)
        mask_a, mask_b = a.mask() > 0, b.mask() > 0
        both = int((mask_a & mask_b).sum())
        dices.append(2 * both / max(1, int(mask_a.sum() + mask_b.sum())))
        n_status += a.status != b.status
        if a.hc_mm is not None and b.hc_mm is not None:
            apart_mm.append(abs(a.hc_mm - b.hc_mm))
    return {
        "model": model,
        "n_images": len(paths),
        "dice_min": min(dices),
        "dice_mean": statistics.fmean(dices),
        "hc_apart_max_mm": max(apart_mm),
        "hc_apart_median_mm": statistics.median(apart_mm),
        "n_other_status": n_status,
    }


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description="What a GPU brings.")
    parser.add_argument("--data", type=Path, required=True, help="HC18 folder")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="+", default=["hc18-nano", "hc18-edge"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64, 128])
    parser.add_argument("--repeats", type=int, default=20, help="times the images are listed")
    options = parser.parse_args()
    cores, device = usable_cores(), options.device
    result: dict[str, Any] = {"device": device}
    result["network"] = network(options.models, device, options.batches)
    for row in result["network"]:
        print(row, flush=True)  # noqa: T201
    result["same"] = []
    for model in options.models:
        try:
            result["same"].append(compare(options.data, model, device))
        except EdgesegError as error:
            result["same"].append({"model": model, "error": str(error)})
        print(result["same"][-1], flush=True)  # noqa: T201
    shapes = [("cpu", n, -(-n // 4)) for n in sorted({1, min(4, cores), cores})]
    for n, processes in sorted({(min(4, cores), 1), (cores, 1), (cores, -(-cores // 4))}):
        shapes.append((device, n, processes))
    result["archives"] = archives(options.data, "hc18-nano", device, options.repeats, shapes)
    write_result("gpu", result)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
