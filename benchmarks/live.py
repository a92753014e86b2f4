"""Latency of a live stream, one frame in and one result out, against a bare loop of the network.

    python benchmarks/live.py

`Segmenter.stream` takes turns with `session.run` on the same prepared frame, with one thread and
several, spinning and not, as fast as it goes and with pauses as at 30 frames a second. Leaves
``results/live.json``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from library.processes import write_result

from edgeseg.images.frame import GrayImage
from edgeseg.network.adapter import preprocess
from edgeseg.phantom import head as phantom
from edgeseg.segmenter import Segmenter

_GAPS_S = (0.0, 1 / 30)
_FRAME = (540, 800)


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

    def figures(self) -> dict[str, float]:
        """Return percentiles, and the processor time a run, pauses included."""
        p50, p90, p99 = np.percentile(self.latency_ms, [50, 90, 99])
        cpu_ms = np.median(self.cpu_ms)
        named = {"p50": p50, "p90": p90, "p99": p99, "cpu_ms": cpu_ms}
        return {name: round(float(value), 3) for name, value in named.items()}


def compare(segmenter: Segmenter, gap_s: float, rounds: int, runs: int) -> dict[str, Any]:
    """Let the stream and the bare network take turns."""
    height, width = _FRAME
    scan = phantom.make_phantom(0, height=height, width=width).image
    metadata = segmenter.metadata
    tensor = preprocess(scan, metadata.input_height, metadata.input_width)

    def frames() -> Iterator[GrayImage]:
        while True:
            yield scan

    stream = segmenter.stream(frames(), 0.1)
    bare, live = Series(), Series()
    for turn in range(rounds + 1):
        for series, once in ((bare, lambda: segmenter.infer(tensor)), (live, lambda: next(stream))):
            (series if turn else Series()).run(once, runs, gap_s)
    found = {"bare_ms": bare.figures(), "stream_ms": live.figures()}
    return {**found, "p99_ratio": round(found["stream_ms"]["p99"] / found["bare_ms"]["p99"], 3)}


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description="How quickly a frame is answered.")
    parser.add_argument("--models", nargs="+", default=["hc18-edge", "hc18-edge-int8", "hc18-nano"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=50, help="runs a round")
    options = parser.parse_args()
    rows = []
    for model in options.models:
        for threads in options.threads:
            for spin in (True, False)[: min(threads, 2)]:
                segmenter = Segmenter(model, device="cpu", threads=threads, spin=spin)
                for gap_s in _GAPS_S:
                    found = compare(segmenter, gap_s, options.rounds, options.runs)
                    setting = {"model": model, "threads": threads, "spin": spin}
                    rows.append({**setting, "pause_ms": round(1000 * gap_s, 1), **found})
                    print(rows[-1], flush=True)  # noqa: T201
    write_result("live", {"rounds": options.rounds, "runs": options.runs, "rows": rows})


if __name__ == "__main__":
    main()
