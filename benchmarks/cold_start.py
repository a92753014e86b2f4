"""Time `edgeseg infer` of one image as a process, against importing its two libraries.

    python benchmarks/cold_start.py

Takes turns with `python -c "import onnxruntime, cv2"`, medians; also `edgeseg --help`, which needs
neither. The image is a phantom. Leaves ``results/cold-start.json``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from functools import partial

from library.processes import EDGESEG, run, take_turns, write_result

IMPORTS = "import onnxruntime, cv2"
_WRITE_PHANTOM = """
import sys; from pathlib import Path
from edgeseg.drawing.encode import encode; from edgeseg.phantom.head import demo_phantoms
Path(sys.argv[1]).write_bytes(encode(".png", demo_phantoms()[0].image))
"""


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description="How long one image takes from nothing.")
    parser.add_argument("--models", nargs="+", default=["hc18-edge", "hc18-edge-int8", "hc18-nano"])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        scan = f"{scratch}/one.png"
        subprocess.run([sys.executable, "-c", _WRITE_PHANTOM, scan], check=True)
        rows = {
            IMPORTS: partial(run, [sys.executable, "-c", IMPORTS]),
            "edgeseg --help": partial(run, [*EDGESEG, "--help"]),
        }
        for model in options.models:
            command = [*EDGESEG, "infer", scan, "--model", model, "--pixel-size", "0.1"]
            command += ["--out", f"{scratch}/{model}", "--overwrite"]
            rows[f"edgeseg infer one.png, {model}"] = partial(run, command)
        costs = take_turns(rows, options.rounds)
    results = [
        {
            "row": name,
            "wall_s": round(cost.wall_s, 4),
            "cpu_s": round(cost.cpu_s, 4),
            "peak_rss_mb": round(cost.peak_rss_mb, 1),
            "ratio_to_imports": round(cost.wall_s / costs[IMPORTS].wall_s, 3),
        }
        for name, cost in costs.items()
    ]
    write_result("cold-start", {"rounds": options.rounds, "rows": results})
    for line in results:
        print(line)  # noqa: T201


if __name__ == "__main__":
    main()
