"""Accuracy of a model on labelled images: outlines and circumferences of heads, or class masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edgeseg.images.image_file import read_gray
from edgeseg.network.openvino import PROVIDER as OPENVINO
from edgeseg.output import table
from edgeseg.output.table import Row
from edgeseg.prediction import Prediction
from edgeseg.score import metrics
from edgeseg.score.folds import IGNORED, Labelled, data_sha256
from edgeseg.score.hc18 import Case
from edgeseg.score.metrics import Overlap
from edgeseg.segmenter import Segmenter
from edgeseg.system import host
from edgeseg.system.parallel import ordered_map, usable_cores

CSV_COLUMNS = (
    "file", "dice", "iou", "pixel_accuracy", "dice_ellipse", "hausdorff_mm", "hc_mm",
    "hc_reference_mm", "hc_error_mm", "confidence", "flags",
)  # fmt: skip
"""Of the table of heads."""


@dataclass(frozen=True, slots=True)
class Score:
    """One image's head against its reference."""

    file: str
    overlap: Overlap  # of the main region at native size and the reference mask
    dice_ellipse: float  # of the fitted ellipse's mask; 0 if no head was found
    hausdorff_mm: float | None  # of the two ellipses; None if no head was found
    hc_mm: float  # 0 if no head was found, so that its error is the full HC
    hc_reference_mm: float
    confidence: float
    flags: tuple[str, ...]

    @property
    def hc_error_mm(self) -> float:
        """Prediction minus reference."""
        return self.hc_mm - self.hc_reference_mm

    @property
    def has_failed(self) -> bool:
        """Whether no head was found."""
        return self.hausdorff_mm is None

    def row(self) -> Row:
        """Return the image's row in a CSV, by title."""
        overlap = self.overlap
        shares = overlap.dice, overlap.iou, overlap.pixel_accuracy, self.dice_ellipse
        lengths_mm = self.hausdorff_mm, self.hc_mm, self.hc_reference_mm, self.hc_error_mm
        values = (self.file, *shares, *lengths_mm, self.confidence, ";".join(self.flags))
        return dict(zip(CSV_COLUMNS, values, strict=True))

    def errors(self) -> dict[str, float | None]:
        """Return what a report shows of it, by column."""
        error_mm = None if self.has_failed else self.hc_error_mm
        reference_mm, dice = self.hc_reference_mm, self.overlap.dice
        return {"hc_reference_mm": reference_mm, "hc_error_mm": error_mm, "dice": dice}


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One image's class mask against its label, at the image's own size."""

    file: str
    overlaps: Mapping[str, Overlap]  # of each class after the background, by name
    accuracy: float  # share of all pixels whose class is right, the background's among them
    confidence: float
    flags: tuple[str, ...]

    @property
    def has_failed(self) -> bool:
        """Whether nothing was found where the label has something."""
        return self.confidence == 0 and bool(self.present())

    def row(self) -> Row:
        """Return the image's row in a CSV, by title."""
        figures = {**self._figures("dice", "iou"), "pixel_accuracy": self.accuracy}
        doubt: Row = {"confidence": self.confidence, "flags": ";".join(self.flags)}
        return {
            "file": self.file, **figures, **doubt, **self._figures("sensitivity", "specificity"),
        }  # fmt: skip

    def errors(self) -> dict[str, float | None]:
        """Return what a report shows of it, by column."""
        return self._figures("dice")

    @property
    def is_without(self) -> bool:
        """Whether the label has nothing, so that finding nothing is right."""
        return all(o.sensitivity is None for o in self.overlaps.values())

    def present(self) -> dict[str, Overlap]:
        """Return the classes that label or mask have at all: of the others nothing can be said."""
        return {name: overlap for name, overlap in self.overlaps.items() if overlap.has_pixels}

    def _figures(self, *names: str) -> dict[str, float | None]:
        """Return figures of each class, by title; None of one that is not present."""
        return {
            f"{structure}_{name}": getattr(overlap, name) if overlap.has_pixels else None
            for structure, overlap in self.overlaps.items()
            for name in names
        }


AnyScore = Score | ClassScore


def score_all(
    segmenter: Segmenter,
    cases: Sequence[Labelled],
    workers: int | None = None,
    on_score: Callable[[AnyScore], None] = lambda score: None,
    on_prediction: Callable[[Labelled, Prediction, AnyScore], None] = lambda *_: None,
) -> list[AnyScore]:
    """Score all cases, in their order, on ``workers`` threads (None: one for each core).

    A model of heads is scored by its outline where the labels are outlines, any other by its mask.
    ``on_score`` is called in order, ``on_prediction`` from several threads, in any order. Raises
    `EdgesegError` if an image or its label cannot be read.
    """

    def score(case: Labelled) -> AnyScore:
        prediction = segmenter.predict(read_gray(case.image_path), case.pixel_size_mm)
        if prediction.task.kind == "head" and isinstance(case, Case):
            scored: AnyScore = score_head(case, prediction)
        else:
            scored = score_classes(case, prediction)
        on_prediction(case, prediction, scored)
        return scored

    scores = []
    for scored in ordered_map(score, cases, workers or usable_cores()):
        scores.append(scored)
        on_score(scored)
    return scores


def score_head(case: Case, prediction: Prediction) -> Score:
    """Compare a head with its label; raises `EdgesegError` if that cannot be read."""
    reference = case.reference_ellipse(prediction.size)
    mask_reference = reference.mask(*prediction.size)
    dice_ellipse, hausdorff_mm = 0.0, None
    if prediction.ellipse is not None:
        mask_ellipse = prediction.ellipse.mask(*prediction.size)
        dice_ellipse = metrics.overlap(mask_ellipse, mask_reference).dice
        distance_px = metrics.hausdorff_px(prediction.ellipse, reference)
        hausdorff_mm = distance_px * case.pixel_size_mm
    return Score(
        case.file,
        metrics.overlap(prediction.mask(), mask_reference),
        dice_ellipse,
        hausdorff_mm,
        prediction.hc_mm or 0.0,
        case.hc_reference_mm,
        prediction.confidence,
        prediction.flags,
    )


def score_classes(case: Labelled, prediction: Prediction) -> ClassScore:
    """Compare a mask with its label by class; raises `EdgesegError` if that cannot be read."""
    label, mask = case.mask(prediction.size), prediction.mask()
    if len(prediction.task.structures) == 1:
        mask = (mask > 0).astype(np.uint8)
    known = label != IGNORED
    label, mask = label[known], mask[known]
    overlaps = {
        name: metrics.overlap(mask == i, label == i)
        for i, name in enumerate(prediction.task.structures, start=1)
    }
    accuracy = int(np.count_nonzero(mask == label)) / max(mask.size, 1)
    return ClassScore(case.file, overlaps, accuracy, prediction.confidence, prediction.flags)


def summarize(
    segmenter: Segmenter, cases: Sequence[Labelled], scores: Sequence[AnyScore], threads: int
) -> dict[str, Any]:
    """Return the evaluation as JSON-ready values.

    Overlaps are fractions, errors are prediction minus reference in mm, SDs are of the sample
    (n - 1), a missing value is None. Images without a head found count, with Dice 0 and their full
    HC as error.
    """
    file, metadata = segmenter.file, segmenter.metadata
    heads = [score for score in scores if isinstance(score, Score)]
    if heads:
        figures = {
            "metrics": _summarize_heads(heads),
            "paper_metrics": metrics.pooled_by_batch([score.overlap for score in heads]),
        }
    else:
        classes = [score for score in scores if isinstance(score, ClassScore)]
        figures = {"metrics": _summarize_classes(metadata.task.structures, classes)}
    is_openvino = segmenter.provider == OPENVINO
    return {
        "model": {
            "name": file.name,
            "sha256": file.sha256,
            "size_bytes": file.size_bytes,
            "input_height": metadata.input_height,
            "input_width": metadata.input_width,
        },
        "data": {
            "n_images": len(scores),
            "n_failed": sum(score.has_failed for score in scores),
            "sha256": data_sha256(cases),
        },
        **figures,
        "runtime": {
            "provider": segmenter.provider,
            "threads": threads,
            "onnxruntime": onnxruntime.__version__,
            **({"openvino": host.extra_version("openvino")} if is_openvino else {}),
        },
    }


def write_csv(path: Path, scores: Sequence[AnyScore]) -> None:
    """Write one row an image, replacing the file; raises `OutputWriteError` if it cannot."""
    rows = [score.row() for score in scores]
    titles = [*rows[0]] if rows else CSV_COLUMNS
    decimals = {title: 3 if title.endswith("_mm") else 6 for title in titles} | {"confidence": 4}
    table.write_csv(path, titles, rows, decimals)


def _summarize_heads(scores: Sequence[Score]) -> dict[str, Any]:
    found_mm = [score.hausdorff_mm for score in scores if score.hausdorff_mm is not None]
    overlaps = {
        name: metrics.describe_overlaps([getattr(score.overlap, name) for score in scores])
        for name in ("dice", "iou", "pixel_accuracy")
    }
    return {
        **overlaps,
        "dice_ellipse": metrics.describe_overlaps([score.dice_ellipse for score in scores]),
        "hausdorff_mm": metrics.describe_distances(found_mm),
        "hc_error_mm": metrics.describe_errors([score.hc_error_mm for score in scores]),
    }


def _summarize_classes(structures: Sequence[str], scores: Sequence[ClassScore]) -> dict[str, Any]:
    """Return figures of each class over the images that have it, and of each image's mean."""
    classes = {}
    for name in structures:
        present = [s.overlaps[name] for s in scores if name in s.present()]
        pooled = sum(present, start=Overlap(0, 0, 0, 0))
        classes[name] = {
            "n_images": len(present),
            "dice": metrics.describe_overlaps([o.dice for o in present]),
            "iou": metrics.describe_overlaps([o.iou for o in present]),
            "pooled_dice": pooled.dice if present else None,
            "sensitivity": pooled.sensitivity,
            "specificity": pooled.specificity,
        }
    without = [score for score in scores if score.is_without]
    seen = [list(score.present().values()) for score in scores if score.present()]
    return {
        "dice": metrics.describe_overlaps([_mean([o.dice for o in each]) for each in seen]),
        "iou": metrics.describe_overlaps([_mean([o.iou for o in each]) for each in seen]),
        "pixel_accuracy": metrics.describe_overlaps([score.accuracy for score in scores]),
        "n_without": len(without),
        "n_refused_rightly": sum(not score.present() for score in without),
        "classes": classes,
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
