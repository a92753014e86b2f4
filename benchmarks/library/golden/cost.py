"""What both versions cost: to start, and to measure a folder; medians of alternating runs."""

from __future__ import annotations

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
    """Print the medians of both versions; return how many are more than 3 % above version 0.2's.

    Parameters
    ----------
    old, new
        The trees; of each pair of runs every other begins with the new one.
    inputs
        Up to 200 images of HC18 are measured.
    n_pairs
        How many runs of each.
    """
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
            before, now = (
                statistics.median(getattr(cost, field) for cost in costs[tree.name])
                for tree in (old, new)
            )
            is_wrong = field in _HELD and now > MOST_RATIO * before
            n_wrong += is_wrong
            mark = "  TOO MUCH" if is_wrong else ""
            print(f"{name}: {field}: {before:.3f}, now {now:.3f}, {now / before:.3f} times{mark}")  # noqa: T201
    return n_wrong


def measure(tree: Tree, arguments: tuple[object, ...]) -> Cost:
    """Run a command of a tree; one that measures gets a new folder for its results."""
    with tempfile.TemporaryDirectory(prefix="edgeseg-cost-") as folder:
        out = ("--out", Path(folder, "out")) if arguments[0] == "infer" else ()
        return run(tree.command(*arguments, *out), environment=tree.environment)
