"""Memory of a live view over many frames, as `edgeseg live` runs for days.

    python benchmarks/live_growth.py

Each frame is another one: a synthetic head that moves, between noise. Every tenth is drawn, as for
one who looks at the page at 4 frames a second, and every thousandth kept. Leaves
``results/live-growth.json``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from library.processes import write_result

from edgeseg.inputs.facts import PixelSizes
from edgeseg.live.keep import Keeper
from edgeseg.live.source import LiveFrame
from edgeseg.live.view import LiveView
from edgeseg.phantom.head import make_phantom
from edgeseg.run.engine import Engine
from edgeseg.run.results import open_results
from edgeseg.run.worker import Options, Worker
from edgeseg.segmenter import Segmenter

_MARKS = 20


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description="Memory of a live view.")
    parser.add_argument("--frames", type=int, default=100_000)
    args = parser.parse_args()
    segmenter = Segmenter("hc18-nano", device="cpu", threads=1)
    view = LiveView(segmenter, 0.2, None, window_s=2.0)
    scan = np.dstack([make_phantom(0, height=540, width=800).image] * 3)
    random = np.random.default_rng(0)
    worker = Worker(segmenter, PixelSizes(pixel_size_mm=0.2), Options(resume=True, workers=1))
    marks, started_s = [], time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_results(worker, Path(folder, "out"), {}) as results,
        Engine(
            worker, results.store, Path(folder, "out"), 1, on_rows=results.note_change
        ) as engine,
        results.exporting(),
    ):
        keeper = Keeper(engine, worker, Path(folder, "out"))
        for number in range(1, args.frames + 1):
            pixels = np.roll(scan, number % 97 - 48, axis=1)
            pixels[: number % 20] = random.integers(0, 60, dtype=np.uint8)
            live = LiveFrame(number, time.perf_counter() - started_s, pixels)
            view.measure(live)
            if number % 10 == 0:
                view.next_picture(number - 1)
            if number % 1000 == 0:
                keeper.keep(live)
            if number % max(1, args.frames // _MARKS) == 0:
                marks.append((number, _resident_mib()))
                print(f"{number} frames: {marks[-1][1]:.1f} MiB", flush=True)  # noqa: T201
    write_result(
        "live-growth",
        {
            "n_frames": args.frames,
            "wall_s": round(time.perf_counter() - started_s),
            "rss_mib": {str(number): round(mib, 1) for number, mib in marks},
        },
    )


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
