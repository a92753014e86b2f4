"""Latency of a live stream, one frame in and one result out, against single predictions.

    python benchmarks/live.py --data HC18

`Segmenter.stream` takes turns with `Segmenter.predict` on the same scans, with one thread and
several, spinning and not, as fast as it goes and with pauses as at 30 frames a second; pinned to
as many cores as it has threads. Leaves ``results/live.json``; ``p99_ratio`` is the p99 of the
stream over the median of `predict`, and ``p99_ratio_of_scan`` over that of the same scan: some take
a third look, and half as long again.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from library.processes import write_result

from edgeseg.images.frame import GrayImage
from edgeseg.images.image_file import read_gray
from edgeseg.segmenter import Segmenter

_GAPS_S = (0.0, 1 / 30)


class Series:
    """Latencies and processor time of one way of running."""

    def __init__(self) -> None:
        self.latency_ms: list[float] = []
        self.cpu_ms: list[float] = []

    def run(self, once: Callable[[], object], count: int, gap_s: float) -> None:
        """Run a number of times with a pause after each."""
        cpu_started = time.process_time()
        for _ in range(count):
            started = time.perf_counter()
            once()
            self.latency_ms.append((time.perf_counter() - started) * 1000)
            if gap_s:
                time.sleep(gap_s)
        self.cpu_ms.append((time.process_time() - cpu_started) * 1000 / count)

    def by_scan(self, n_scans: int) -> npt.NDArray[np.float64]:
        """Return the latencies, in ms, shape (rounds, scans)."""
        return np.reshape(self.latency_ms, (-1, n_scans))

    def figures(self) -> dict[str, float]:
        """Return percentiles, and the processor time a run, pauses included."""
        p50, p90, p99 = np.percentile(self.latency_ms, [50, 90, 99])
        cpu_ms = np.median(self.cpu_ms)
        named = {"p50": p50, "p90": p90, "p99": p99, "cpu_ms": cpu_ms}
        return {name: round(float(value), 3) for name, value in named.items()}


def compare(
    segmenter: Segmenter, scans: Sequence[GrayImage], gap_s: float, rounds: int
) -> dict[str, Any]:
    """Let the stream and `predict` take turns on the same frames, all of them each round."""
    stream = segmenter.stream(itertools.cycle(scans), 0.1)
    alone, live = Series(), Series()
    for turn in range(rounds + 1):
        again = itertools.cycle(scans)
        for series, once in (
            (alone, lambda again=again: segmenter.predict(next(again), 0.1)),
            (live, lambda: next(stream)),
        ):
            (series if turn else Series()).run(once, len(scans), gap_s)
    found = {"predict_ms": alone.figures(), "stream_ms": live.figures()}
    typical_ms = np.median(alone.by_scan(len(scans)), axis=0)
    ratios = {
        "p99_ratio": found["stream_ms"]["p99"] / found["predict_ms"]["p50"],
        "p99_ratio_of_scan": np.percentile(live.by_scan(len(scans)) / typical_ms, 99),
    }
    return {**found, **{name: round(float(ratio), 3) for name, ratio in ratios.items()}}


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description="How quickly a frame is answered.")
    parser.add_argument("--data", type=Path, required=True, help="HC18 folder")
    parser.add_argument("--models", nargs="+", default=["hc18-edge", "hc18-edge-int8", "hc18-nano"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--scans", type=int, default=50, help="measured in a round")
    options = parser.parse_args()
    names = sorted((options.data / "training_set").glob("*HC.png"))[: options.scans]
    scans, cores = [read_gray(name) for name in names], sorted(os.sched_getaffinity(0))
    rows = []
    for model in options.models:
        for threads in options.threads:
            os.sched_setaffinity(0, cores[:threads])
            for spin in (True, False)[: min(threads, 2)]:
                segmenter = Segmenter(model, device="cpu", threads=threads, spin=spin)
                for gap_s in _GAPS_S:
                    found = compare(segmenter, scans, gap_s, options.rounds)
                    setting = {"model": model, "threads": threads, "spin": spin}
                    rows.append({**setting, "pause_ms": round(1000 * gap_s, 1), **found})
                    print(rows[-1], flush=True)  # noqa: T201
    write_result("live", {"rounds": options.rounds, "scans": len(scans), "rows": rows})


if __name__ == "__main__":
    main()
