"""How much faster `edgeseg infer` is on the CPU than the paper's network alone.

    python benchmarks/paper_speed.py --data HC18

The labelled scans of HC18 are measured with the default model, start, pictures and report included,
and in turns the paper's network (arXiv 2307.09067: a U-Net with MobileNetV2, 512x512 pixels, in
torch) runs on as many images; CPU time of one image on one core. The paper's reads no file and
measures no head. Leaves ``results/paper-speed.json``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from library.processes import EDGESEG, run, write_result

_SIDE_PX, _RUNS = 512, 20


def time_paper(network: torch.nn.Module, image: torch.Tensor) -> float:
    """Return the CPU time of an image, in ms; the median of several runs."""
    times_ms = []
    with torch.inference_mode():
        for _ in range(_RUNS):
            started = time.process_time()
            network(image)
            times_ms.append(1000 * (time.process_time() - started))
    return statistics.median(times_ms)


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description="The default model against the paper's network.")
    parser.add_argument("--data", type=Path, required=True, help="HC18 folder")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, [core])
    torch.set_num_threads(1)
    network = smp.Unet("mobilenet_v2", encoder_weights=None).eval()
    image = torch.rand(1, 3, _SIDE_PX, _SIDE_PX)
    scans = options.data / "training_set"
    n_images = sum(not path.stem.endswith("_Annotation") for path in scans.glob("*.png"))
    command = [*EDGESEG, "infer", str(scans), "--device", "cpu", "--pixel-size", "0.1", "--out"]
    rounds: dict[str, list[float]] = {"infer_ms": [], "paper_ms": [], "paper_channels_last_ms": []}
    for turn in range(options.rounds + 1):
        with tempfile.TemporaryDirectory() as out:
            cost = run([*command, f"{out}/out"], [core])
        found = [1000 * cost.cpu_s / n_images]
        for layout in (torch.contiguous_format, torch.channels_last):
            laid_out = image.contiguous(memory_format=layout)
            found.append(time_paper(network.to(memory_format=layout), laid_out))
        for times_ms, each_ms in zip(rounds.values(), found, strict=True):
            times_ms += [each_ms] if turn else []  # the first round warms the file cache
        print([round(each_ms, 2) for each_ms in found], flush=True)  # noqa: T201
    result = {name: round(statistics.median(times_ms), 2) for name, times_ms in rounds.items()}
    result |= {"times": round(result["paper_ms"] / result["infer_ms"], 1), "n_images": n_images}
    print(result)  # noqa: T201
    write_result("paper-speed", result)


if __name__ == "__main__":
    main()
