"""The parts of the golden set: what each runs, with one version, and the figures it leaves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow.parquet

from . import page, services
from .figures import Figures, read_results
from .inputs import Inputs
from .trees import CPU, Tree

MODELS = ("hc18-nano", "hc18-edge", "hc18-edge-int8")
_N_PARTS = 3
_N_PAGE = 100


def run_infer(tree: Tree, inputs: Inputs, out: Path) -> Figures:
    """Measure HC18 with each model."""
    figures: Figures = {}
    for model in MODELS:
        sizes = ("--pixel-sizes", inputs.pixel_sizes)
        status = tree.run(
            "infer", inputs.scans(), "--model", model, *sizes, "--out", out / model, *CPU
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
        status = tree.run("infer", scans, *options, "--out", out / way, *CPU)
        figures |= read_results(out / way, f"{way}/")
        figures[f"{way}/run"] = {"exit status": str(status)}
    return figures


def run_films(tree: Tree, inputs: Inputs, out: Path) -> Figures:
    """Measure DICOM in all encodings, with reports and segmentations."""
    objects = ("--sr", "--seg", *tree.of_each)
    status = tree.run("infer", inputs.films(), *objects, "--out", out / "films", *CPU)
    figures = read_results(out / "films")
    figures["run"] = {"exit status": str(status)}
    return figures


def run_archive(tree: Tree, inputs: Inputs, out: Path) -> Figures:
    """List HC18 and films, measure them in three parts, and collect those."""
    manifest, results = out / "manifest.parquet", out / "results"
    sizes = ("--pixel-sizes", inputs.pixel_sizes)
    tree.run("manifest", inputs.scans(), inputs.instances(), *sizes, "--out", manifest)
    n_rows = pyarrow.parquet.read_metadata(manifest).num_rows
    size = ("--part-size", math.ceil(n_rows / _N_PARTS))
    tree.run("archive", manifest, "--out", results, *size, "--masks", "--overlays", *CPU)
    status = tree.run("archive", manifest, "--out", results, "--collect")
    n_parts = len([*(results / "parts").glob("*.parquet")])
    return read_results(results) | {"run": {"exit status": str(status), "parts": str(n_parts)}}


def run_page(tree: Tree, inputs: Inputs, out: Path) -> Figures:
    """Measure images of one size in the browser, and take the page's table."""
    return page.measure(tree, inputs.scan_files(_N_PAGE), out)


PARTS: Mapping[str, Callable[[Tree, Inputs, Path], Figures]] = {
    "infer": run_infer,
    "phantoms": run_phantoms,
    "films": run_films,
    "archive": run_archive,
    "watch": services.run_watch,
    "node": services.run_node,
    "serve": services.run_serve,
    "page": run_page,
}
