"""The parts of the golden set: what each runs, with one version, and the figures it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .figures import Figures, read_results
from .inputs import Inputs
from .trees import Tree

MODELS = ("hc18-nano", "hc18-edge", "hc18-edge-int8")
_CPU = ("--device", "cpu")


def run_infer(tree: Tree, inputs: Inputs, out: Path) -> Figures:
    """Measure HC18 with each model."""
    figures: Figures = {}
    for model in MODELS:
        sizes = ("--pixel-sizes", inputs.pixel_sizes)
        status = tree.run(
            "infer", inputs.scans(), "--model", model, *sizes, "--out", out / model, *_CPU
        )
        figures |= read_results(out / model, f"{model}/")
        figures[f"{model}/run"] = {"exit status": str(status)}
    return figures


def run_phantoms(tree: Tree, inputs: Inputs, out: Path) -> Figures:
    """Measure phantoms in many formats and framings, with and without sizes and ages."""
    scans = inputs.phantoms()
    ways = {
        "table": ("--pixel-sizes", scans.parent / "sizes.csv"),
        "one size": ("--pixel-size", "0.12x0.11", "--ga", "21w3d", "--model", "hc18-edge"),
        "unsized": (),
    }
    figures: Figures = {}
    for way, options in ways.items():
        status = tree.run("infer", scans, *options, "--out", out / way, *_CPU)
        figures |= read_results(out / way, f"{way}/")
        figures[f"{way}/run"] = {"exit status": str(status)}
    return figures


def run_films(tree: Tree, inputs: Inputs, out: Path) -> Figures:
    """Measure DICOM in all encodings, with reports and segmentations."""
    objects = ("--sr", "--seg")
    status = tree.run("infer", inputs.films(), *objects, "--out", out / "films", *_CPU)
    figures = read_results(out / "films")
    figures["run"] = {"exit status": str(status)}
    return figures


PARTS: Mapping[str, Callable[[Tree, Inputs, Path], Figures]] = {
    "infer": run_infer,
    "phantoms": run_phantoms,
    "films": run_films,
}
