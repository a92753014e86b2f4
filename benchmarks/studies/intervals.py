r"""Learn the intervals of head circumferences, and ask whether they hold on heads left out.

    PYTHONPATH=benchmarks python benchmarks/studies/intervals.py \
        results/hc18-*-fold[0-4].csv --json intervals.json

Each CSV is what ``edgeseg evaluate --csv`` wrote for a model on the fold that it was not trained
on, named ``MODEL-foldK.csv``. An interval learnt on all folds but one is held against that one; the
tables say which share of the labels it holds, by fold and, over all folds, by thirds of HC and of
confidence. The JSON holds each model's interval from all of its folds, as model files carry it.

The second table is of a site whose labels lie 1.7 % of HC inside: a calibration is
learnt from some of its heads (``--heads``), and held against all others, many times over.
"""

from __future__ import annotations

import argparse
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pool import read_rows

from edgeseg.errors import DataError, EdgesegError
from edgeseg.images.calibration import Calibration
from edgeseg.network.task import Interval
from edgeseg.score.calibrate import calibrate
from edgeseg.score.site import Head, SiteHeads
from edgeseg.system.files import write_json
from edgeseg_training.interval import fit_interval

LEVEL = 0.9
SITE_FACTOR = 1 - 0.017
DRAWS = 200

FloatArray = npt.NDArray[np.float64]
_NAME = re.compile(r"(?P<model>.+)-fold(?P<fold>\d+)\.csv")
_SHAPES = {"constant": (False, False), "HC": (True, False), "HC and confidence": (True, True)}
_FIRST_HEADER = (
    "| model | half width from | all | folds | HC: small, middle, large | confidence: low, middle, "
    "high | half width mm |",
    "|---|---|--:|---|---|---|--:|",
)
_SECOND_HEADER = (
    "| model | heads | half width mm | as labelled | calibrated | 5th percentile | factor, SD |",
    "|---|--:|--:|--:|--:|--:|--:|",
)


class Heads(NamedTuple):
    """Held-out heads of one model, each array of shape (n,); those without a head are left out."""

    fold: npt.NDArray[np.int64]
    hc_mm: FloatArray
    error_mm: FloatArray
    confidence: FloatArray


def read_models(paths: Sequence[Path]) -> dict[str, Heads]:
    """Read the held-out heads of each model.

    Raises
    ------
    DataError
        If a file is not called ``MODEL-foldK.csv``, or a model has fewer than two folds.
    """
    files: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in paths:
        if not (named := _NAME.fullmatch(path.name)):
            raise DataError(f"{path}: expected a name such as hc18-edge-fold0.csv")
        files[named["model"]][int(named["fold"])] = path
    return {model: _heads(model, of_folds) for model, of_folds in files.items()}


def _heads(model: str, paths: Mapping[int, Path]) -> Heads:
    if len(paths) < 2:
        raise DataError(f"{model} has {len(paths)} fold; an interval is checked on one left out")
    read_rows(list(paths.values()))  # refuses an image that is in two of them
    rows = [(fold, row) for fold, path in sorted(paths.items()) for row in read_rows([path])]
    found = [(fold, row) for fold, row in rows if float(row["hc_mm"]) > 0]
    columns = ("hc_mm", "hc_error_mm", "confidence")
    figures = (np.array([float(row[column]) for _, row in found]) for column in columns)
    return Heads(np.array([fold for fold, _ in found]), *figures)


def learn(
    heads: Heads, chosen: npt.NDArray[np.bool_], shape: str = "HC and confidence"
) -> Interval:
    """Learn the interval of some heads, from all that is known of them or from less."""
    hc_mm, confidence = _known(heads, shape)
    return fit_interval(hc_mm[chosen], heads.error_mm[chosen], confidence[chosen], LEVEL)


def half_widths_left_out(heads: Heads, shape: str = "HC and confidence") -> FloatArray:
    """Return each head's half width, learnt from the folds it is not in."""
    hc_mm, confidence = _known(heads, shape)
    half_mm = np.zeros_like(hc_mm)
    for fold in np.unique(heads.fold):
        interval = learn(heads, heads.fold != fold, shape)
        for i in np.flatnonzero(heads.fold == fold):
            half_mm[i] = interval.half_width_mm(float(hc_mm[i]), float(confidence[i]))
    return half_mm


def _known(heads: Heads, shape: str) -> tuple[FloatArray, FloatArray]:
    size_counts, doubt_counts = _SHAPES[shape]
    hc_mm = heads.hc_mm if size_counts else np.full_like(heads.hc_mm, 100.0)
    return hc_mm, heads.confidence if doubt_counts else np.ones_like(heads.confidence)


def table(models: Mapping[str, Heads]) -> str:
    """Return coverages on heads left out, as a Markdown table."""
    lines = [*_FIRST_HEADER]
    for model, heads in models.items():
        for shape in _SHAPES:
            half_mm = half_widths_left_out(heads, shape)
            held = np.abs(heads.error_mm) <= half_mm
            folds = [held[heads.fold == fold].mean() for fold in np.unique(heads.fold)]
            cells = (
                f"`{model}`",
                shape,
                f"{held.mean():.3f}",
                _shares(folds),
                _shares(_by_thirds(held, heads.hc_mm)),
                _shares(_by_thirds(held, heads.confidence)),
                f"{half_mm.mean():.2f}, {half_mm.min():.1f} to {half_mm.max():.1f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def noise(models: Mapping[str, Heads]) -> str:
    """Return how far shares of so many heads scatter by chance alone."""
    n = min(len(heads.fold) for heads in models.values())
    fold = n // max(len(np.unique(heads.fold)) for heads in models.values())
    of_fold, of_third = (2 * math.sqrt(LEVEL * (1 - LEVEL) / count) for count in (fold, n / 3))
    return (
        f"By chance alone, two standard errors: a fold of {fold} ± {of_fold:.3f}, a third of {n} "
        f"± {of_third:.3f}."
    )


def site_table(models: Mapping[str, Heads], n_heads: int) -> str:
    """Return coverages at a site whose labels lie inside, before and after its calibration."""
    lines = [*_SECOND_HEADER]
    for model, heads in models.items():
        half_mm = half_widths_left_out(heads)
        label_mm = SITE_FACTOR * (heads.hc_mm - heads.error_mm)
        generator = np.random.default_rng(0)
        shares, factors = [], []
        for _ in range(DRAWS):
            chosen = np.zeros(len(half_mm), dtype=bool)
            chosen[generator.permutation(len(half_mm))[:n_heads]] = True
            learnt = calibrate(
                SiteHeads(
                    tuple(
                        Head(str(i), label_mm[i], heads.hc_mm[i], half_mm[i])
                        for i in np.flatnonzero(chosen)
                    )
                )
            ).calibration
            factors.append(learnt.factor)
            shares.append(_share_held(learnt, heads.hc_mm, label_mm, half_mm, ~chosen))
        everything = np.ones(len(half_mm), dtype=bool)
        before = _share_held(Calibration(), heads.hc_mm, label_mm, half_mm, everything)
        cells = (
            f"`{model}`",
            f"{n_heads} of {len(half_mm)}",
            f"{half_mm.mean():.2f}",
            f"{before:.3f}",
            f"{np.mean(shares):.3f}",
            f"{np.quantile(shares, 0.05):.3f}",
            f"{np.mean(factors):.4f}, {np.std(factors):.4f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _share_held(
    calibration: Calibration,
    hc_mm: FloatArray,
    label_mm: FloatArray,
    half_mm: FloatArray,
    chosen: npt.NDArray[np.bool_],
) -> float:
    held = [
        abs(calibration.circumference_mm(hc) - label) <= calibration.half_width_mm(hc, half)
        for hc, label, half in zip(hc_mm[chosen], label_mm[chosen], half_mm[chosen], strict=True)
    ]
    return sum(held) / len(held)


def _by_thirds(held: npt.NDArray[np.bool_], values: FloatArray) -> list[float]:
    third = np.digitize(values, np.quantile(values, [1 / 3, 2 / 3]))
    return [float(held[third == i].mean()) for i in range(3)]


def _shares(shares: Sequence[float]) -> str:
    return " ".join(f"{share:.3f}" for share in shares)


def main() -> None:
    """Print the tables, and write the intervals if asked."""
    parser = argparse.ArgumentParser(description="Learn and check intervals of HC.")
    parser.add_argument("csv", nargs="+", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--heads", type=int, default=25, help="that a site calibrates on")
    arguments = parser.parse_args()
    try:
        models = read_models(arguments.csv)
        intervals = {
            model: asdict(learn(heads, np.ones(len(heads.fold), dtype=bool)))
            for model, heads in models.items()
        }
        if arguments.json:
            write_json(arguments.json, intervals)
        texts = (table(models), noise(models), site_table(models, arguments.heads))
    except EdgesegError as error:
        parser.exit(1, f"error: {error}\n")
    print("\n\n".join(texts))  # noqa: T201
    for model, interval in intervals.items():
        print(f"\n{model}: {interval}")  # noqa: T201


if __name__ == "__main__":
    main()
