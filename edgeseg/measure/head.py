"""A fetal head: the region that is one, its ellipse, and the figures clinicians read off it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.measure import biometry, quality
from edgeseg.measure.ellipse import Ellipse, Mask
from edgeseg.measure.measurement import Column, Measurement, Probability, Stroke
from edgeseg.measure.outline import EllipseFit, fit_outline
from edgeseg.measure.region import Region, main_region, to_native
from edgeseg.network.metadata import ModelMetadata
from edgeseg.network.task import Task
from edgeseg.sources.frame import Frame, PixelSize

# A smaller region is speckle, not a head: heads of HC18 fill 7 % of their image and more.
MIN_REGION_FRACTION = 0.002
# Agreement of a region and its ellipse below which no head is claimed: black, gray or noise alone
# reach 0.7, held-out heads of HC18 at least 0.9. What lies between is measured and flagged.
MIN_AGREEMENT = 0.75

_SHIFT = 4  # sub-pixel bits for cv2's polygon filling
_COLUMNS = (
    Column("hc_mm", 3, "HC (mm)"),
    Column("hc_low_mm", 3),
    Column("hc_high_mm", 3),
    Column("bpd_mm", 3, "BPD (mm)"),
    Column("ofd_mm", 3, "OFD (mm)"),
    Column("cephalic_index", 2),
    Column("area_mm2", 2),
    Column("ga_weeks_hadlock", 2, "GA Hadlock (weeks)"),
    Column("ga_low_weeks_hadlock", 2),
    Column("ga_high_weeks_hadlock", 2),
    Column("ga_weeks_intergrowth", 2, "GA INTERGROWTH-21st (weeks)"),
    Column("hc_px", 3, "HC (px)"),
    Column("center_x_px", 3),
    Column("center_y_px", 3),
    Column("semi_major_px", 3),
    Column("semi_minor_px", 3),
    Column("angle_rad", 6),
)


FLAGS: Mapping[str, str] = quality.FLAGS
NOTHING = "without a head"


class Outline(NamedTuple):
    """The region of a map that may be a head, whatever its confidence.

    Attributes
    ----------
    region
        In pixels of the map.
    fit
        Its ellipse, in pixels of the image.
    confidence
        Soft Dice between the map and the ellipse, in [0, 1].
    """

    region: Region
    fit: EllipseFit
    confidence: float


def title(_task: Task, /) -> str:
    """Return what is measured."""
    return "Head circumference"


def columns(_task: Task, /) -> tuple[Column, ...]:
    """Return the figures of a head; ``hc_low_mm`` and ``hc_high_mm`` are empty where a model's
    file gives no interval.
    """  # noqa: D205
    return _COLUMNS


def measure(probability: Probability, frame: Frame, metadata: ModelMetadata, /) -> Measurement:
    """Measure the head in a map, shape (1, h, w); see `edgeseg.measure.measurement`."""
    head_map = probability[0]
    outline = find(head_map, frame.size, metadata.threshold)
    if isinstance(outline, str):
        return Measurement(dict.fromkeys(c.name for c in _COLUMNS), reason=outline)
    agreed = _best_agreement(head_map, outline, frame.size, metadata.threshold)
    if agreed < MIN_AGREEMENT:
        reason = f"no head found: the region seen agrees with an ellipse by {agreed:.2f} only"
        return Measurement(dict.fromkeys(c.name for c in _COLUMNS), reason=reason)
    ellipse = outline.fit.ellipse
    figures = _figures(ellipse, frame.pixel_size)
    facts = quality.Facts(
        outline.fit,
        outline.region,
        frame.size,
        outline.confidence,
        frame.pixel_size.x_mm if frame.pixel_size else None,
        figures["hc_mm"],
        metadata.train_pixel_size_mm_range,
    )
    return Measurement(figures, outline.confidence, quality.flags(facts), ellipse=ellipse)


def find(
    probability: npt.NDArray[np.float32], size: tuple[int, int], threshold: float = 0.5
) -> Outline | str:
    """Find the region that may be a head, and its ellipse.

    Parameters
    ----------
    probability
        Shape (h, w), in [0, 1].
    size
        (height, width) of the image the map is of.
    threshold
        Probability from which a pixel is head.

    Returns
    -------
    Outline or str
        A sentence on what was seen instead, if there is none.
    """
    region = main_region(probability, threshold)
    if region is None:
        return f"no head found: no pixel reaches the threshold of {threshold:g}"
    if region.area_px < MIN_REGION_FRACTION * probability.size:
        fraction = region.area_px / probability.size
        return f"no head found: the largest region fills {100 * fraction:.2f} % of the image"
    fit = fit_outline(probability, region, size, threshold)
    if fit is None:
        return "no head found: the region seen has no outline that an ellipse fits"
    on_map = fit.ellipse.resized(size, region.mask.shape)
    return Outline(region, fit, agreement(probability, on_map))


def agreement(probability: npt.NDArray[np.float32], ellipse: Ellipse) -> float:
    """Soft Dice between a probability map and an ellipse in its pixels, in [0, 1]."""
    inside = np.zeros(probability.shape, dtype=np.uint8)
    points = np.round(ellipse.points(128) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(inside, [points], 1, cv2.LINE_8, _SHIFT)
    both = cv2.mean(probability, inside)[0] * (area := cv2.countNonZero(inside))
    total = cv2.sumElems(probability)[0] + area
    return float(2 * both / total) if total else 0.0


def mask(
    probability: Probability,
    measurement: Measurement,
    size: tuple[int, int],
    metadata: ModelMetadata,
    /,
) -> Mask:
    """Return the head's pixels at native size, 0 or 255; empty if no head was found.

    The main region of the probability map, thresholded at native size: what the network saw, not
    the fitted ellipse, and so cut where the image is.
    """
    if measurement.ellipse is not None:
        region = main_region(to_native(probability[0], size), metadata.threshold)
        if region is not None:
            return region.mask
    return np.zeros(size, dtype=np.uint8)


def strokes(measurement: Measurement, /) -> list[Stroke]:
    """Return the ellipse and its major axis."""
    if measurement.ellipse is None:
        return []
    points = measurement.ellipse.points(180)
    ends = np.stack([points[0], points[90]])  # the parametrisation starts on the major axis
    return [Stroke(points), Stroke(ends, closed=False, thin=True)]


def caption(measurement: Measurement, _task: Task, /) -> str:
    """Return the head circumference in one line."""
    figures = measurement.figures
    if measurement.ellipse is None:
        return "no head found"
    if figures["hc_mm"] is not None:
        return f"HC {figures['hc_mm']:.1f} mm"
    return f"HC {figures['hc_px']:.1f} px (no pixel size)"


def _best_agreement(
    probability: npt.NDArray[np.float32], outline: Outline, size: tuple[int, int], threshold: float
) -> float:
    """Return how well a map agrees with its outline, other regions left out if that helps.

    A second region makes the map doubtful, but not that there is a head.
    """
    if outline.confidence >= MIN_AGREEMENT:
        return outline.confidence
    region, on_map = outline.region, outline.fit.ellipse.resized(size, outline.region.mask.shape)
    alone = np.where((region.mask > 0) | (probability < threshold), probability, 0)
    return max(outline.confidence, agreement(alone, on_map))


def _figures(ellipse: Ellipse, pixel_size: PixelSize | None) -> dict[str, float | None]:
    """Return every figure of a head's outline, those in millimetres from the ellipse in mm."""
    figures: dict[str, float | None] = dict.fromkeys(c.name for c in _COLUMNS)
    figures |= {
        "hc_px": ellipse.circumference_px,
        "center_x_px": ellipse.center_x_px,
        "center_y_px": ellipse.center_y_px,
        "semi_major_px": ellipse.semi_major_px,
        "semi_minor_px": ellipse.semi_minor_px,
        "angle_rad": ellipse.angle_rad,
    }
    if pixel_size is None:
        return figures
    in_mm = ellipse.scaled(pixel_size.x_mm, pixel_size.y_mm)
    hc_mm = in_mm.circumference_px
    bpd_mm, ofd_mm = 2 * in_mm.semi_minor_px, 2 * in_mm.semi_major_px
    weeks, two_sd = biometry.ga_weeks_hadlock(hc_mm), biometry.ga_weeks_hadlock_two_sd(hc_mm)
    if weeks is not None and two_sd is not None:
        figures |= {
            "ga_weeks_hadlock": weeks,
            "ga_low_weeks_hadlock": weeks - two_sd,
            "ga_high_weeks_hadlock": weeks + two_sd,
        }
    return figures | {
        "hc_mm": hc_mm,
        "bpd_mm": bpd_mm,
        "ofd_mm": ofd_mm,
        "cephalic_index": 100 * bpd_mm / ofd_mm,
        "area_mm2": in_mm.area_px,
        "ga_weeks_intergrowth": biometry.ga_weeks_intergrowth(hc_mm),
    }
