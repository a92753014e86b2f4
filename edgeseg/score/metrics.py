"""How well a prediction matches its reference: overlaps as fractions, distances in millimetres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from edgeseg.measure.ellipse import Ellipse, FloatArray, Mask

_OUTLINE_POINTS = 360


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixel counts of a predicted mask against its reference; counts of several images add up."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN), in [0, 1]; 1 if both masks are empty."""
        return self._share_right(2 * self.true_positive)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), in [0, 1]; 1 if both masks are empty."""
        return self._share_right(self.true_positive)

    @property
    def pixel_accuracy(self) -> float:
        """(TP + TN) / all pixels, in [0, 1]."""
        return self._share_right(self.true_positive + self.true_negative)

    @property
    def sensitivity(self) -> float | None:
        """TP / (TP + FN), in [0, 1]; None if the reference is empty."""
        n_positive = self.true_positive + self.false_negative
        return self.true_positive / n_positive if n_positive else None

    @property
    def specificity(self) -> float | None:
        """TN / (TN + FP), in [0, 1]; None if the reference is the whole image."""
        n_negative = self.true_negative + self.false_positive
        return self.true_negative / n_negative if n_negative else None

    @property
    def has_pixels(self) -> bool:
        """Whether either mask has a pixel: of two empty masks nothing can be said."""
        return bool(self.true_positive + self.false_positive + self.false_negative)

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def _share_right(self, right: int) -> float:
        total = right + self.false_positive + self.false_negative
        return right / total if total else 1.0


def overlap(mask: Mask, mask_reference: Mask) -> Overlap:
    """Count the pixels on which two masks, non-zero inside, agree and differ.

    Raises `ValueError` if their shapes differ.
    """
    if mask.shape != mask_reference.shape:
        raise ValueError(f"masks differ in shape: {mask.shape} and {mask_reference.shape}")
    predicted, reference = mask != 0, mask_reference != 0
    both = int(np.count_nonzero(predicted & reference))
    n_predicted, n_reference = int(np.count_nonzero(predicted)), int(np.count_nonzero(reference))
    return Overlap(
        both, n_predicted - both, n_reference - both, mask.size - n_predicted - n_reference + both
    )


def hausdorff_px(ellipse: Ellipse, ellipse_reference: Ellipse) -> float:
    """Hausdorff distance between two ellipses' outlines, in pixels.

    The largest distance from a point of one outline to the other outline, both ways. Outlines are
    polygons of 360 points; the distance to a polygon's edges, not to its corners, is taken, which
    is within 0.01 px for a head of 2000 px circumference.
    """
    first, second = (e.points(_OUTLINE_POINTS) for e in (ellipse, ellipse_reference))
    both_ways = _distance_to_polygon(first, second), _distance_to_polygon(second, first)
    return max(float(distances.max()) for distances in both_ways)


def pooled_by_batch(overlaps: Sequence[Overlap], batch: int = 10) -> dict[str, float]:
    """Metrics as arXiv 2307.09067 reports them: pooled over batches, then averaged.

    Pixels of ``batch`` consecutive images are counted together, each batch gives one figure, and
    the figures are averaged (the last batch may be smaller). Head class only. Fractions in [0, 1];
    NaN without images.
    """
    none = Overlap(0, 0, 0, 0)
    starts = range(0, len(overlaps), batch)
    batches = [sum(overlaps[start : start + batch], start=none) for start in starts]
    names = {"pixel_accuracy": "pixel_accuracy", "dice": "dice", "miou": "iou"}
    return {
        name: float(np.mean([getattr(b, own) for b in batches])) if batches else math.nan
        for name, own in names.items()
    }


def describe_overlaps(values: Sequence[float]) -> dict[str, float | None]:
    """Return mean, SD of the sample (n - 1) and smallest; None where there are too few values."""
    return {"mean": _mean(values), "sd": _sd(values), "min": min(values, default=None)}


def describe_distances(values: Sequence[float]) -> dict[str, float | None]:
    """Return mean, SD of the sample (n - 1) and largest; None where there are too few values."""
    return {"mean": _mean(values), "sd": _sd(values), "max": max(values, default=None)}


def describe_errors(errors: Sequence[float]) -> dict[str, float | None]:
    """Return size and spread of signed errors, prediction minus reference.

    ``mad`` and ``mad_sd`` are mean and SD of the absolute errors, ``bias`` and ``sd`` those of the
    errors, ``p95`` and ``max`` of the absolute errors; None where there are too few values.
    """
    sizes = [abs(error) for error in errors]
    return {
        "mad": _mean(sizes),
        "mad_sd": _sd(sizes),
        "bias": _mean(errors),
        "sd": _sd(errors),
        "p95": float(np.percentile(sizes, 95)) if sizes else None,
        "max": max(sizes, default=None),
    }


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """Area under the ROC curve: how often a positive has a higher score than a negative.

    Ties count half (Hanley and McNeil 1982). None if either kind is missing.
    """
    values, kind = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    higher, lower = values[kind][:, None], values[~kind][None, :]
    if not higher.size or not lower.size:
        return None
    return float(np.mean((higher > lower) + 0.5 * (higher == lower)))


def _distance_to_polygon(points: FloatArray, polygon: FloatArray) -> FloatArray:
    """Distance of each point, shape (n, 2), to a closed polygon, shape (m, 2): shape (n,)."""
    edge = np.roll(polygon, -1, axis=0) - polygon
    offset = points[:, None, :] - polygon[None, :, :]
    along: FloatArray = np.einsum("nmd,md->nm", offset, edge)
    along = np.clip(along / np.maximum(np.sum(edge * edge, axis=1), 1e-12), 0.0, 1.0)
    offset -= along[:, :, None] * edge
    nearest: FloatArray = np.sqrt(np.einsum("nmd,nmd->nm", offset, offset).min(axis=1))
    return nearest


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _sd(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
