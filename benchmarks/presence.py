r"""Teach models of heads to say whether there is one: each fold's, and the one that is shipped.

    python benchmarks/presence.py --data HC18 --planes PLANES --limits 0.05,0.9,110 \
        --models MODELS/hc18-nano-fold{fold}.onnx --shipped hc18-nano.onnx --out FOLDER

A fold's model is taught without the heads of that fold and without a fifth of the other scans'
patients; the shipped one with all of them, but for the organ that no model is taught with.
``benchmarks/studies/doubt.py`` says what comes of it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from library.planes import FOLDS, HEAD, UNUSED, Plane, read_planes

from edgeseg.score.folds import read_folds
from edgeseg.score.hc18 import load_cases
from edgeseg.system.files import write_atomic
from edgeseg_training.presence.observe import Images, read
from edgeseg_training.presence.teach import load_model, teach


def without_fold(data: Path, planes: list[Plane], fold: int) -> Images:
    """Return what a fold's model is taught with; -1: everything."""
    held_out = set(read_folds(Path("benchmarks/folds.json"))[fold]) if fold >= 0 else set()
    heads = [case.image_path for case in load_cases(data) if case.file not in held_out]
    kept = [each for each in planes if each.plane != UNUSED and each.fold != fold]
    return Images(
        heads,
        [each.path for each in kept if each.plane == HEAD],
        [each.path for each in kept if each.plane != HEAD],
    )


def main() -> None:
    """Teach and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--planes", type=Path, required=True)
    parser.add_argument("--models", help="pattern with {fold} of the folds' models")
    parser.add_argument("--shipped", type=Path)
    parser.add_argument(
        "--limits", default="0.05,0.9,110", help="presence refused, doubted; rare below this mm"
    )
    parser.add_argument("--axis-ratio", default="0.69,0.97", help="smallest, largest")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    refused, doubted, rare_mm = (float(text) for text in asked.limits.split(","))
    narrow, round_ = (float(text) for text in asked.axis_ratio.split(","))
    planes = read_planes(asked.planes)
    paths = {
        fold: Path(asked.models.format(fold=fold)) for fold in range(FOLDS if asked.models else 0)
    }
    if asked.shipped:
        paths[-1] = asked.shipped
    for fold, path in paths.items():
        model = load_model(path)
        limits = read(model).limits
        limits = replace(
            limits,
            presence_refused=refused,
            presence_doubted=doubted,
            rare_hc_mm=rare_mm,
            axis_ratio=(narrow, round_),
        )
        taught = teach(model, without_fold(asked.data, planes, fold), limits)
        write_atomic(asked.out / path.name, taught.SerializeToString())


if __name__ == "__main__":
    main()
