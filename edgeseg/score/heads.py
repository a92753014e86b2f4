"""Accuracy of heads: overlap of the mask, and errors of outline and circumference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.prediction import Prediction
from edgeseg.score import metrics
from edgeseg.score.hc18 import Case
from edgeseg.score.metrics import Overlap
from edgeseg.system.cells import number

CSV_COLUMNS = (
    "file", "dice", "iou", "pixel_accuracy", "dice_ellipse", "hausdorff_mm", "hc_mm",
    "hc_reference_mm", "hc_error_mm", "confidence", "flags",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Score:
    """One image's prediction against its reference.

    Attributes
    ----------
    overlap
        Main region of the probability, thresholded at native size, against the reference mask.
    dice_ellipse
        Dice of the fitted ellipse's mask; 0 if no head was found.
    hausdorff_mm
        Hausdorff distance of the two ellipses; None if no head was found.
    hc_mm
        Measured head circumference; 0 if no head was found, so that its error is the full HC.
    """

    file: str
    overlap: Overlap
    dice_ellipse: float
    hausdorff_mm: float | None
    hc_mm: float
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

    def columns(self) -> tuple[str, ...]:
        """Return the titles of `cells`."""
        return CSV_COLUMNS

    def cells(self) -> tuple[str, ...]:
        """Return the image's row in a CSV."""
        overlap = self.overlap
        shares = overlap.dice, overlap.iou, overlap.pixel_accuracy, self.dice_ellipse
        lengths_mm = self.hausdorff_mm, self.hc_mm, self.hc_reference_mm, self.hc_error_mm
        figures = *(number(v, 6) for v in shares), *(number(v, 3) for v in lengths_mm)
        return (self.file, *figures, number(self.confidence, 4), ";".join(self.flags))

    def errors(self) -> dict[str, float | None]:
        """Return what a report shows of it, by column."""
        error_mm = None if self.has_failed else self.hc_error_mm
        reference_mm = self.hc_reference_mm
        dice = self.overlap.dice
        return {"hc_reference_mm": reference_mm, "hc_error_mm": error_mm, "dice": dice}


def score_head(case: Case, prediction: Prediction) -> Score:
    """Compare what was measured on a labelled image with its label.

    Raises
    ------
    EdgesegError
        If the annotation cannot be read.
    """
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


def summarize_heads(scores: Sequence[Score]) -> dict[str, Any]:
    """Return overlaps as fractions and errors in mm, as JSON-ready values.

    Images without a head found count, with Dice 0 and their full HC as error.
    """
    shares = ("dice", "iou", "pixel_accuracy")
    return {
        **{
            name: metrics.describe_overlaps([getattr(score.overlap, name) for score in scores])
            for name in shares
        },
        "dice_ellipse": metrics.describe_overlaps([score.dice_ellipse for score in scores]),
        "hausdorff_mm": metrics.describe_distances(
            [score.hausdorff_mm for score in scores if score.hausdorff_mm is not None]
        ),
        "hc_error_mm": metrics.describe_errors([score.hc_error_mm for score in scores]),
    }
