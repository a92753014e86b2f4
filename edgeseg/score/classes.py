"""Accuracy of class masks on labelled images: Dice and IoU of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeseg.errors import DataError
from edgeseg.network.task import Task
from edgeseg.prediction import Prediction
from edgeseg.score import metrics
from edgeseg.score.folds import Labelled
from edgeseg.score.metrics import Overlap
from edgeseg.segmenter import Segmenter
from edgeseg.system.cells import number


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One image's mask against its label.

    Attributes
    ----------
    overlaps
        Of each class after the background, by name, at the image's own size.
    n_right, n_pixels
        Pixels whose class is right, the background's among them, and all pixels.
    """

    file: str
    overlaps: Mapping[str, Overlap]
    n_right: int
    n_pixels: int
    confidence: float
    flags: tuple[str, ...]

    @property
    def has_failed(self) -> bool:
        """Whether nothing was found where the label has something."""
        return self.confidence == 0 and bool(self.present())

    def columns(self) -> tuple[str, ...]:
        """Return the titles of `cells`."""
        own = (f"{name}_{figure}" for name in self.overlaps for figure in ("dice", "iou"))
        return ("file", *own, "pixel_accuracy", "confidence", "flags")

    def cells(self) -> tuple[str, ...]:
        """Return the image's row in a CSV; empty where neither label nor mask have a class."""
        present = self.present()
        own = []
        for name in self.overlaps:
            o = present.get(name)
            own += [number(v, 6) for v in ((o.dice, o.iou) if o else (None, None))]
        right = number(self.n_right / self.n_pixels, 6)
        return (self.file, *own, right, number(self.confidence, 4), ";".join(self.flags))

    def errors(self) -> dict[str, float | None]:
        """Return what a report shows of it, by column."""
        dices = {name: overlap.dice for name, overlap in self.present().items()}
        return {f"{name}_dice": dices.get(name) for name in self.overlaps}

    def present(self) -> dict[str, Overlap]:
        """Return the classes that label or mask have at all: of the others nothing can be said."""
        return {name: overlap for name, overlap in self.overlaps.items() if overlap.has_pixels}


def check_classes_agree(segmenter: Segmenter, task: Task) -> None:
    """Refuse to score a model on data of other classes.

    Raises
    ------
    DataError
        If the numbers of classes differ, or the names where both are the user's own.
    """
    mine, theirs = segmenter.metadata.task.structures, task.structures
    numbered = tuple(f"class_{i}" for i in range(1, len(theirs) + 1))
    unnamed = (("foreground",), ("structure",), numbered)
    if len(mine) == len(theirs) and (mine == theirs or mine in unnamed or theirs in unnamed):
        return
    raise DataError(
        f"{segmenter.file.name} was trained for {', '.join(mine)}, the data has "
        f"{', '.join(theirs)}; name the classes alike in classes.txt, in the same order"
    )


def score_classes(case: Labelled, prediction: Prediction) -> ClassScore:
    """Compare the mask of a labelled image with its label, class by class.

    Raises
    ------
    EdgesegError
        If the label cannot be read.
    """
    label, mask = case.mask(prediction.size), prediction.mask()
    if prediction.task.kind == "head":
        mask = (mask > 0).astype(np.uint8)
    overlaps = {
        name: metrics.overlap(mask == i, label == i)
        for i, name in enumerate(prediction.task.structures, start=1)
    }
    n_right = int(np.count_nonzero(mask == label))
    return ClassScore(
        case.file, overlaps, n_right, mask.size, prediction.confidence, prediction.flags
    )


def summarize_classes(structures: Sequence[str], scores: Sequence[ClassScore]) -> dict[str, Any]:
    """Return Dice and IoU of each class, and of all, as JSON-ready values.

    Of each class: ``n_images`` in which label or mask have it, ``dice`` and ``iou`` over those
    images (mean, SD of the sample, smallest), and ``pooled_dice`` over all pixels together.
    ``dice`` and ``iou`` of all are over the images, each the mean of its classes.
    """
    classes = {}
    for name in structures:
        present = [s.overlaps[name] for s in scores if name in s.present()]
        pooled = sum(present, start=Overlap(0, 0, 0, 0))
        classes[name] = {
            "n_images": len(present),
            "dice": metrics.describe_overlaps([o.dice for o in present]),
            "iou": metrics.describe_overlaps([o.iou for o in present]),
            "pooled_dice": pooled.dice if present else None,
        }
    seen = [list(score.present().values()) for score in scores if score.present()]
    return {
        "dice": metrics.describe_overlaps([_mean([o.dice for o in each]) for each in seen]),
        "iou": metrics.describe_overlaps([_mean([o.iou for o in each]) for each in seen]),
        "pixel_accuracy": metrics.describe_overlaps([s.n_right / s.n_pixels for s in scores]),
        "classes": classes,
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
