"""What both versions cost: to start, and to measure a folder; medians of pairs of runs."""

from __future__ import annotations

import compileall
import statistics
import tempfile
from pathlib import Path

from library.processes import Cost, run

from .inputs import Inputs
from .trees import CPU, Tree

MOST_RATIO = 1.03
_N_SCANS = 200
_HELD = ("cpu_s", "peak_rss_mb")


def compare(old: Tree, new: Tree, inputs: Inputs, n_pairs: int) -> int:
    """Print what both versions cost; return how much of it is more than 3 % above version 0.2's.

    The ratio is the median of the pairs' ratios: over minutes a machine's own speed drifts by more.

    Parameters
    ----------
    old, new
        The trees; of each pair of runs every other begins with the new one.
    inputs
        Up to 200 images of HC18 are measured.
    n_pairs
        How many runs of each.
    """
    for tree in (old, new):  # as an installed package is
        compileall.compile_dir(tree.root / "edgeseg", quiet=1)
    scans = inputs.scan_files(_N_SCANS)
    sized = ("--pixel-size", "0.1", *CPU)
    rows: dict[str, tuple[object, ...]] = {
        "edgeseg --help": ("--help",),
        "infer, one image": ("infer", scans[0], *sized),
        f"infer, {len(scans)} images": ("infer", *scans, *sized),
    }
    n_wrong = 0
    for name, arguments in rows.items():
        costs: dict[str, list[Cost]] = {old.name: [], new.name: []}
        for turn in range(n_pairs + 1):
            for tree in (old, new) if turn % 2 else (new, old):
                cost = measure(tree, arguments)
                if turn:  # the first pair fills the file cache
                    costs[tree.name].append(cost)
        for field in Cost._fields:
            before, now = ([getattr(cost, field) for cost in costs[t.name]] for t in (old, new))
            ratio = statistics.median(n / b for b, n in zip(before, now, strict=True))
            is_wrong = field in _HELD and ratio > MOST_RATIO
            n_wrong += is_wrong
            medians = f"{statistics.median(before):.3f}, now {statistics.median(now):.3f}"
            print(f"{name}: {field}: {medians}, {ratio:.3f} times{'  TOO MUCH' * is_wrong}")  # noqa: T201
    return n_wrong


def measure(tree: Tree, arguments: tuple[object, ...]) -> Cost:
    """Run a command of a tree; one that measures gets a new folder for its results."""
    with tempfile.TemporaryDirectory(prefix="edgeseg-cost-") as folder:
        out = ("--out", Path(folder, "out")) if arguments[0] == "infer" else ()
        return run(tree.command(*arguments, *out), environment=tree.environment)
