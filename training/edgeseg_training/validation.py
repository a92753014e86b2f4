"""Scores of held-out images while a model is trained, at the network's size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeseg.measure.outline import fit_outline, main_region
from edgeseg.measure.regions import label
from edgeseg.network.task import Task
from edgeseg.score import metrics
from edgeseg.score.hc18 import Case
from edgeseg.score.metrics import Overlap
from edgeseg_training.data import Example

Maps = npt.NDArray[np.float32]


class _Scored(NamedTuple):
    position: int
    overlaps: list[Overlap]  # of each class
    hc_error_mm: float | None = None


class Validator:
    """Collects the scores of an epoch by the runtime's own region, fit and overlap.

    Parameters
    ----------
    task
        What the model answers.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._scored: list[_Scored] = []

    def add(self, position: int, maps: Maps, example: Example) -> None:
        """Score the probabilities, (C, h, w), of the image at ``position`` in their order."""
        if self.task.kind == "head":
            self._scored.append(_score_head(position, maps[0], example))
            return
        coverage = example.coverage.numpy()
        known = ~np.isnan(coverage).any(axis=0)
        reference = label(np.nan_to_num(coverage), self.task)[known]
        mask = label(maps, self.task)[known]
        numbers = range(1, len(self.task.classes))
        overlaps = [metrics.overlap(mask == i, reference == i) for i in numbers]
        self._scored.append(_Scored(position, overlaps))

    def share(self, gather: Callable[[list[Any]], list[Any]]) -> None:
        """Take what the validators of other processes have collected too, by ``gather``."""
        self._scored = gather(self._scored)

    def scores(self) -> dict[str, Any]:
        """Return what was collected, and forget it; empty without images.

        Returns
        -------
        dict
            Of a head ``dice``, ``hc_mad_mm``, ``hc_bias_mm`` and ``paper_dice``; of regions
            ``dice``, the mean over the images' classes, and ``class_dice``, a mean for each class,
            both over images in which label or mask have the class.
        """
        scored, self._scored = sorted(self._scored, key=lambda each: each.position), []
        if not scored:
            return {}
        overlaps = [each.overlaps for each in scored]
        errors_mm = [each.hc_error_mm for each in scored if each.hc_error_mm is not None]
        if self.task.kind == "head":
            heads = [each[0] for each in overlaps]
            return {
                "dice": _mean([head.dice for head in heads]),
                "hc_mad_mm": _mean([abs(error) for error in errors_mm]),
                "hc_bias_mm": _mean(errors_mm),
                "paper_dice": metrics.pooled_by_batch(heads)["dice"],
            }
        columns = zip(self.task.structures, zip(*overlaps, strict=True), strict=True)
        by_class = {name: _mean([o.dice for o in each if o.has_pixels]) for name, each in columns}
        by_image = [[o.dice for o in each if o.has_pixels] for each in overlaps]
        return {
            "dice": _mean([mean for each in by_image if (mean := _mean(each)) is not None]),
            "class_dice": by_class,
        }


def _score_head(position: int, probability: Maps, example: Example) -> _Scored:
    assert isinstance(example.case, Case)
    reference = (example.coverage[0].numpy() >= 0.5).astype("uint8")
    region = main_region(probability)
    fit = fit_outline(probability, region, example.size) if region else None
    mask = region.mask if region else reference * 0
    hc_mm = fit.ellipse.circumference_px * example.case.pixel_size_mm if fit else 0.0
    error_mm = hc_mm - example.case.hc_reference_mm
    return _Scored(position, [metrics.overlap(mask, reference)], error_mm)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
