"""Scores of held-out images while a model is trained, at the network's size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.measure.outline import fit_outline
from edgeseg.measure.region import main_region
from edgeseg.measure.regions import label
from edgeseg.network.task import Task
from edgeseg.score import metrics
from edgeseg.score.hc18 import Case
from edgeseg.score.metrics import Overlap
from edgeseg_training.data import Example

Maps = npt.NDArray[np.float32]


class Validator:
    """Collects the scores of an epoch by the runtime's own region, fit and overlap.

    Parameters
    ----------
    task
        What the model answers.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._overlaps: list[list[Overlap]] = []  # of each image, its classes
        self._hc_errors_mm: list[float] = []

    def add(self, maps: Maps, example: Example) -> None:
        """Score one image's probabilities, (C, h, w)."""
        if self.task.kind == "head":
            self._add_head(maps[0], example)
            return
        reference = label(example.coverage.numpy(), self.task)
        mask = label(maps, self.task)
        numbers = range(1, len(self.task.classes))
        self._overlaps.append([metrics.overlap(mask == i, reference == i) for i in numbers])

    def scores(self) -> dict[str, Any]:
        """Return what was collected, and forget it; empty without images.

        Returns
        -------
        dict
            Of a head ``dice``, ``hc_mad_mm``, ``hc_bias_mm`` and ``paper_dice``; of regions
            ``dice``, the mean over the images' classes, and ``class_dice``, a mean for each class,
            both over images in which label or mask have the class.
        """
        overlaps, errors_mm = self._overlaps, self._hc_errors_mm
        self._overlaps, self._hc_errors_mm = [], []
        if not overlaps:
            return {}
        if self.task.kind == "head":
            heads = [each[0] for each in overlaps]
            return {
                "dice": _mean([head.dice for head in heads]),
                "hc_mad_mm": _mean([abs(error) for error in errors_mm]),
                "hc_bias_mm": _mean(errors_mm),
                "paper_dice": metrics.pooled_by_batch(heads)["dice"],
            }
        columns = zip(self.task.structures, zip(*overlaps, strict=True), strict=True)
        by_class = {name: _mean([o.dice for o in each if _seen(o)]) for name, each in columns}
        by_image = [[o.dice for o in each if _seen(o)] for each in overlaps]
        return {
            "dice": _mean([mean for each in by_image if (mean := _mean(each)) is not None]),
            "class_dice": by_class,
        }

    def _add_head(self, probability: npt.NDArray[np.float32], example: Example) -> None:
        assert isinstance(example.case, Case)
        reference = (example.coverage[0].numpy() >= 0.5).astype("uint8")
        region = main_region(probability)
        fit = fit_outline(probability, region, example.size) if region else None
        mask = region.mask if region else reference * 0
        hc_mm = fit.ellipse.circumference_px * example.case.pixel_size_mm if fit else 0.0
        self._hc_errors_mm.append(hc_mm - example.case.hc_reference_mm)
        self._overlaps.append([metrics.overlap(mask, reference)])


def _seen(overlap: Overlap) -> bool:
    """Tell whether label or mask have the class at all."""
    return bool(overlap.true_positive + overlap.false_positive + overlap.false_negative)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
