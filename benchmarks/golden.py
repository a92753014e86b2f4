"""Hold every figure of the working tree against version 0.2's, on the same machine and packages.

    python benchmarks/golden.py --data hc18                         # all parts
    python benchmarks/golden.py infer films --data hc18 --images 50   # some, on a sample
    python benchmarks/golden.py cost --data hc18                    # start, memory and CPU

Each part runs a command of both versions on the same inputs and compares all they leave: rows,
films, masks, overlays, reports, answers. It prints each difference (file, column, both values) and
ends with 1 if there is one that ``INTENDED`` does not name. Times are no figures. With ``--work``
the inputs, version 0.2's figures and all results are kept there, and used again by the next run
with the same options and packages.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from library.golden import cost, parts
from library.golden.compare import Intended, find_differences, report
from library.golden.figures import Figures
from library.golden.inputs import Inputs
from library.golden.trees import REPOSITORY, Tree, version_0_2

# What is another on purpose: patterns of item and column, and why.
_LIMITS = "the models doubt so narrow a head: their limits are others"
INTENDED: tuple[Intended, ...] = (
    Intended("*", "reason", "the sentences were written anew"),
    Intended("film *", "has a reason", "films say why they end early"),
    Intended("*219_HC*", "*", _LIMITS),
    Intended("two-sizes.dcm", "*", _LIMITS),
    Intended("shipped/color3d_jpeg_baseline.dcm frame 73", "flags", _LIMITS),
    Intended("summary.json", "counts.*", _LIMITS),
    Intended("summary.json", "flags.unusual_shape", _LIMITS),
    Intended("summary.json", "figures.ga_*", _LIMITS),
    Intended("sr/*", "Algorithm Version*", "version 0.2 called itself 0.1.0"),
    Intended("sr/*", "Algorithm Parameters*", f"the model's hash: {_LIMITS}"),
    Intended("sr/*", "Comment*", "the sentences were written anew"),
    Intended("sr/*", "Gestational Age*", "reports have ages"),
    Intended("sr/*", "Equation*", "reports have ages"),
    Intended("sr/*", "[+-], range of * measurement uncertainty #2", "reports have ages"),
    Intended("*overlays/*", "pixels", "letters, calipers and doubts are drawn anew"),
    Intended("*", "overlay", "letters, calipers and doubts are drawn anew"),
)
_PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pydicom", "pyarrow", "highdicom")


def main() -> None:
    """Compare the parts that were asked for."""
    arguments = parse_arguments()
    n_wrong = 0
    with contextlib.ExitStack() as stack:
        work = arguments.work
        if work is None:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeseg-golden-")))
        work.mkdir(parents=True, exist_ok=True)
        old = stack.enter_context(version_0_2(work, arguments.v02))
        new = Tree("now", REPOSITORY)
        for tree in (old, new):
            tree.check()
        inputs = Inputs(work / f"inputs-{arguments.images}", arguments.data, arguments.images, old)
        for name in arguments.parts:
            if name == "cost":
                n_wrong += cost.compare(old, new, inputs, arguments.pairs)
            else:
                n_wrong += compare(name, old, new, inputs, work)
    sys.exit(n_wrong > 0)


def compare(name: str, old: Tree, new: Tree, inputs: Inputs, work: Path) -> int:
    """Run a part with both versions; return how many figures differ that should not."""
    before = remembered(name, old, inputs, work)
    now = measure(name, new, inputs, work)
    n_figures = sum(map(len, before.values()))
    return report(name, n_figures, find_differences(before, now), INTENDED, work)


def remembered(name: str, old: Tree, inputs: Inputs, work: Path) -> Figures:
    """Return version 0.2's figures, from an earlier run with the same packages if there is one."""
    packages = {each: importlib.metadata.version(each) for each in _PACKAGES}
    path = work / f"v02-{name}-{inputs.n_images}.json"
    if path.is_file():
        kept = json.loads(path.read_text("utf-8"))
        if kept["packages"] == packages:
            figures: Figures = kept["figures"]
            return figures
    figures = measure(name, old, inputs, work)
    path.write_text(json.dumps({"packages": packages, "figures": figures}), "utf-8")
    return figures


def measure(name: str, tree: Tree, inputs: Inputs, work: Path) -> Figures:
    """Run a part in an empty folder of its own."""
    with empty_folder(work / f"{tree.name}-{name}") as out:
        return parts.PARTS[name](tree, inputs, out)


@contextlib.contextmanager
def empty_folder(path: Path) -> Iterator[Path]:
    """Give a new folder, in the place of an earlier run's."""
    with tempfile.TemporaryDirectory(prefix="old-", dir=path.parent) as away:
        if path.exists():
            path.rename(Path(away, "results"))
    path.mkdir()
    yield path


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command's arguments."""
    names = [*parts.PARTS, "cost"]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(names)}; all")
    parser.add_argument("--data", type=Path, required=True, help="HC18 folder")
    parser.add_argument("--images", type=int, default=799, help="of HC18, evenly chosen")
    parser.add_argument("--pairs", type=int, default=30, help="alternating runs that tell the cost")
    parser.add_argument("--work", type=Path, help="folder that keeps all; default: none is kept")
    parser.add_argument("--v02", type=Path, help="a checkout of version 0.2 instead of a new one")
    arguments = parser.parse_args(words)
    if unknown := sorted({*arguments.parts} - {*names}):
        parser.error(f"there is no part {unknown[0]}; parts are {', '.join(names)}")
    arguments.parts = arguments.parts or names
    return arguments


if __name__ == "__main__":
    main()
