"""Draw the accuracy of the bundled models against their cost, and the errors of one of them.

    PYTHONPATH=benchmarks python benchmarks/studies/plots.py --data HC18
    PYTHONPATH=benchmarks python benchmarks/studies/plots.py --benchmark table.json

``cost.png`` takes its figures from the models' cards; ``errors.png`` from the per-image results of
hc18-edge (or ``--model``), with pixel sizes from the data's table; ``latency.png`` from what
``edgeseg benchmark --json`` wrote.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from edgeseg.bench import table as benchmark_table
from edgeseg.errors import DataError, EdgesegError
from edgeseg.network import zoo
from edgeseg.score import hc18

HERE = Path(__file__).parents[1]
# arXiv 2307.09067: Dice pooled over batches on its own 200 images; it measures no circumference.
PAPER = {"name": "the paper", "gmac": 13.4, "dice": 0.9628}
# DAG V-Net (2021), the challenge's test set, cost unknown.
PUBLISHED = {"name": "DAG V-Net", "dice": 0.9793, "hc_mad_mm": 1.77}

_LEAST_HC_RANGE_MM = 0.3  # less would blow up differences that mean nothing

FloatArray = npt.NDArray[np.float64]


def draw_cost(models: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw Dice and HC error of models over GMAC, the paper and the best published beside them."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, key, factor, label in (
        (axes[0], "dice", 100, "Dice per image, %"),
        (axes[1], "hc_mad_mm", 1, "mean |HC error|, mm"),
    ):
        for name, card in models.items():
            x, y = card["gmac"], factor * card["metrics"]["figures"][key]
            hollow = card["precision"] == "int8"
            axis.plot(x, y, "o", color="C0", markerfacecolor="white" if hollow else "C0")
            axis.annotate(
                name, (x, y), xytext=(6, -10 if hollow else 6), textcoords="offset points",
                fontsize=8,
            )  # fmt: skip
        if key in PAPER:
            axis.plot(PAPER["gmac"], factor * PAPER[key], "s", color="C3")
            axis.annotate(
                PAPER["name"], (PAPER["gmac"], factor * PAPER[key]), xytext=(-8, 8),
                textcoords="offset points", fontsize=8, ha="right",
            )  # fmt: skip
        axis.axhline(factor * PUBLISHED[key], color="0.6", linestyle="--", linewidth=1)
        axis.annotate(
            f"{PUBLISHED['name']} (challenge test set)", (0.01, factor * PUBLISHED[key]),
            xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points",
            fontsize=7, color="0.4",
        )  # fmt: skip
        axis.margins(y=0.2)  # room for names
        axis.set(xscale="log", xlabel="GMAC an image", ylabel=label, xlim=(0.05, 30))
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_latency(report: Mapping[str, Any], cards: Mapping[str, Any], path: Path) -> None:
    """Draw HC error over latency, one image at a time, with the Pareto front.

    Parameters
    ----------
    report
        A benchmark. A row's HC error is that on the card of a bundled model, which is out of fold,
        and of other models the one that was measured with it.
    cards
        Cards of the bundled models by name.
    path
        PNG to write.

    Raises
    ------
    DataError
        If no row of one image at a time has an HC error.
    """
    points: dict[str, list[tuple[float, float, int]]] = {}
    for row in report["results"]:
        known = cards.get(row["model"], {})
        if known.get("sha256") == row["sha256"]:
            hc_mad_mm = known["metrics"]["figures"]["hc_mad_mm"]
        elif row["accuracy"]:
            hc_mad_mm = row["accuracy"]["metrics"]["hc_error_mm"]["mad"]
        else:
            continue
        if row.get("batch", 1) == 1:
            point = row["latency_ms"]["p50"], hc_mad_mm, row["threads"]
            points.setdefault(row["model"], []).append(point)
    if not points:
        raise DataError(
            "no row of one image at a time has an HC error; run the benchmark with --data and "
            "--batch 1"
        )
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for name, found in points.items():
        latency_ms, hc_mad_mm, threads = zip(*sorted(found), strict=True)
        (line,) = axis.plot(latency_ms, hc_mad_mm, "o-", linewidth=1)
        axis.annotate(
            name, (latency_ms[-1], hc_mad_mm[-1]), xytext=(0, 8), textcoords="offset points",
            fontsize=8, color=line.get_color(), ha="right",
        )  # fmt: skip
        for x, y, count in zip(latency_ms, hc_mad_mm, threads, strict=True):
            axis.annotate(
                count, (x, y), xytext=(0, -12), textcoords="offset points", fontsize=7,
                ha="center", color="0.4",
            )  # fmt: skip
    fastest = min(point[0] for found in points.values() for point in found)
    slowest = max(point[0] for found in points.values() for point in found)
    low, high = axis.get_ylim()
    middle, half = (low + high) / 2, max(high - low, _LEAST_HC_RANGE_MM) / 2
    axis.set(
        xscale="log", xlabel="latency of the network, ms (median); small figures: threads",
        ylabel="mean |HC error|, mm", ylim=(middle - half, middle + half),
        xlim=(fastest / 2, slowest * 1.5),
        title=str(report["host"]["cpu"]),
    )  # fmt: skip
    front = pareto_front([point[:2] for found in points.values() for point in found])
    edges = [(front[0][0], axis.get_ylim()[1]), *front, (axis.get_xlim()[1], front[-1][1])]
    axis.step(*zip(*edges, strict=True), where="post", color="0.7", linestyle=":", zorder=0)
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    figure.savefig(path, dpi=150)
    plt.close(figure)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other is at most equal to in both coordinates, by rising x."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(set(points)):
        if not front or y < front[-1][1]:
            front.append((x, y))
    return front


def draw_errors(
    hc_mm: FloatArray, hc_reference_mm: FloatArray, pixel_size_mm: FloatArray, path: Path
) -> None:
    """Draw a Bland-Altman plot, and |HC error| over HC and over pixel size with running medians."""
    error = hc_mm - hc_reference_mm
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    axes[0].scatter((hc_mm + hc_reference_mm) / 2, error, s=6, alpha=0.5)
    bias, limit = error.mean(), 1.96 * error.std(ddof=1)
    for y, style in ((bias, "-"), (bias - limit, "--"), (bias + limit, "--")):
        axes[0].axhline(y, color="C3", linestyle=style, linewidth=1)
    axes[0].set(
        xlabel="mean of measured and labelled HC, mm", ylabel="measured - labelled HC, mm",
        title=f"bias {bias:+.2f}, 95 % limits {bias - limit:.1f} to {bias + limit:+.1f} mm",
    )  # fmt: skip
    for axis, x, label in (
        (axes[1], hc_reference_mm, "labelled HC, mm"),
        (axes[2], pixel_size_mm, "pixel size, mm"),
    ):
        axis.scatter(x, np.abs(error), s=6, alpha=0.5)
        axis.plot(*running_median(x, np.abs(error)), color="C3")
        axis.set(xlabel=label, ylabel="|HC error|, mm", title="with running median")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def running_median(x: FloatArray, y: FloatArray, bins: int = 12) -> tuple[FloatArray, FloatArray]:
    """Return medians of x and y in bins with equally many points."""
    parts = np.array_split(np.argsort(x), min(bins, len(x)))
    medians = [(np.median(x[part]), np.median(y[part])) for part in parts]
    return np.array([m[0] for m in medians]), np.array([m[1] for m in medians])


def read_errors(paths: Sequence[Path], data: Path) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return measured HC, labelled HC and pixel size of every image in per-image results, in mm."""
    sizes_mm = {case.file: case.pixel_size_mm for case in hc18.load_cases(data)}
    rows = []
    for path in paths:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows += [
                (float(row["hc_mm"]), float(row["hc_reference_mm"]), sizes_mm[row["file"]])
                for row in csv.DictReader(stream)
            ]
    hc_mm, hc_reference_mm, pixel_size_mm = np.array(rows, dtype=np.float64).T
    return hc_mm, hc_reference_mm, pixel_size_mm


def main() -> None:
    """Draw the pictures asked for."""
    parser = argparse.ArgumentParser(description="Plots of accuracy, cost and latency.")
    parser.add_argument("--data", type=Path, help="HC18 folder: draw cost and errors")
    parser.add_argument("--model", default=zoo.DEFAULT_MODEL, help="whose errors to draw")
    parser.add_argument("--benchmark", type=Path, help="JSON of a benchmark: draw latency")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "pictures")
    options = parser.parse_args()
    if not (options.data or options.benchmark):
        parser.error("nothing to draw: give --data, --benchmark or both")
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        if options.data:
            paths = sorted((HERE / "results").glob(f"{options.model}-fold?.csv"))
            draw_cost(zoo.manifest(), options.out / "cost.png")
            draw_errors(*read_errors(paths, options.data), options.out / "errors.png")
        if options.benchmark:
            report = benchmark_table.read_report(options.benchmark)
            draw_latency(report, zoo.manifest(), options.out / "latency.png")
    except EdgesegError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
