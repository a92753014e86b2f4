"""Compare the peak memory of `edgeseg infer` on few images and on many.

    python benchmarks/folder_memory.py --data HC18

The many are the data's images under further names (links), pictures and report included. Leaves
``results/folder-memory.json``.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

from library.processes import EDGESEG, run, write_result


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description="How memory grows with the images.")
    parser.add_argument("--data", type=Path, required=True, help="HC18 folder")
    parser.add_argument("--models", nargs="+", default=["hc18-edge", "hc18-nano"])
    parser.add_argument("--images", type=int, nargs=2, default=[500, 5000], metavar=("FEW", "MANY"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    files = sorted((options.data / "training_set").glob("*.png"))
    scans = [path for path in files if not path.stem.endswith("_Annotation")]
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for count in options.images:
            folder = Path(scratch) / str(count)
            folder.mkdir()
            for i, scan in enumerate(itertools.islice(itertools.cycle(scans), count)):
                (folder / f"{i:05d}.png").symlink_to(scan.resolve())
        for model, threads in itertools.product(options.models, options.threads):
            peaks = []
            for count in options.images:
                out = f"{scratch}/{model}-{threads}-{count}"
                command = [*EDGESEG, "infer", f"{scratch}/{count}", "--out", out]
                command += ["--model", model, "--threads", str(threads), "--pixel-size", "0.1"]
                peaks.append(run([*command, "--device", "cpu"]).peak_rss_mb)
            few, many = (round(peak, 1) for peak in peaks)
            results.append(
                {
                    "model": model,
                    "threads": threads,
                    "peak_rss_mb": {str(options.images[0]): few, str(options.images[1]): many},
                    "growth_mb": round(many - few, 1),
                    "growth_percent": round(100 * (many / few - 1), 1),
                }
            )
            print(results[-1], flush=True)  # noqa: T201
    write_result("folder-memory", {"rows": results})


if __name__ == "__main__":
    main()
