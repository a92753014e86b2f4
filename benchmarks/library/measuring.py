"""What the scripts that train have in common: one run from its config to its held-out scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.errors import DataError
from edgeseg.score import hc18
from edgeseg.score.evaluate import Score, score_all, summarize
from edgeseg.score.folds import read_folds, select_fold
from edgeseg.score.hc18 import Case
from edgeseg.segmenter import Segmenter
from edgeseg.system.parallel import usable_cores
from edgeseg_training.config import TrainConfig

_NOT_THE_RECIPE = ("encoder_weights", "folds", "workers")  # paths and processes of one machine


class Measured(NamedTuple):
    """A trained model's scores on the fold it was not trained on.

    Attributes
    ----------
    summary
        What ``edgeseg evaluate --json`` writes, with the run's values under ``config``.
    """

    segmenter: Segmenter
    cases: Sequence[Case]
    scores: Sequence[Score]
    summary: dict[str, Any]
    report: Any


def measure(
    run: Path, onnx: Path, data: Path, config: TrainConfig, precision: str = "fp32"
) -> Measured:
    """Export a finished run and score it on its held-out fold, as ``edgeseg evaluate`` does."""
    from edgeseg_training.export import export

    report = export(run, onnx, precision=precision, calibration_data=data, overwrite=True)
    folds = read_folds(Path(config.folds))
    cases = select_fold(hc18.load_cases(data), folds, config.fold)
    segmenter = Segmenter(onnx, device="cpu", threads=1)
    workers = usable_cores()
    scores = score_all(segmenter, cases, workers)
    summary = {"config": described(config), **summarize(segmenter, cases, scores, workers)}
    return Measured(segmenter, cases, scores, summary, report)


def described(config: TrainConfig) -> dict[str, Any]:
    """Return the values that make a run what it is on any machine."""
    return {k: v for k, v in config.as_dict().items() if k not in _NOT_THE_RECIPE}


def is_done(path: Path, config: TrainConfig) -> bool:
    """Tell whether a run has left its result.

    Raises
    ------
    DataError
        If the result there is not one, or was trained otherwise.
    """
    if not path.is_file():
        return False
    try:
        before = json.loads(path.read_text(encoding="utf-8"))["config"]
        same = described(TrainConfig().updated(before)) == described(config)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a result of a training run") from error
    if not same:
        raise DataError(f"{path}: trained with other values; give --results another folder")
    return True
