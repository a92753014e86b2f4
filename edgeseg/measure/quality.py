"""Reasons not to trust a measurement, from its geometry alone."""

from __future__ import annotations

from typing import NamedTuple

from edgeseg.measure.outline import EllipseFit
from edgeseg.measure.region import Region
from edgeseg.sources.frame import PIXEL_SIZE_RANGE_MM

# Limits chosen on cross-validated predictions and the geometry of a fetal head, not on test data.
BORDER_MARGIN_PX = 1.0
MAX_RESIDUAL_FRACTION = 0.03
MIN_ARC_FRACTION = 0.75
MIN_SOLIDITY = 0.95
MAX_OTHER_AREA_FRACTION = 0.05
AXIS_RATIO_RANGE = (0.62, 0.97)
HC_RANGE_MM = (40.0, 400.0)
MIN_CONFIDENCE = 0.96

FLAGS: dict[str, str] = {
    "touches_border": "the head reaches the image border; the part outside is extrapolated",
    "irregular_outline": "the outline departs from an ellipse",
    "incomplete_outline": "a large part of the outline was not seen",
    "several_regions": "a second region looks like a head too",
    "unusual_shape": "the ratio of the axes is not a head's",
    "hc_out_of_range": "the head circumference is outside 40 to 400 mm",
    "pixel_size_out_of_range": "the pixel size is outside what the model was trained on",
    "low_confidence": "the network is unsure along the outline",
}
"""Every flag, with what it means."""


class Facts(NamedTuple):
    """What the flags are decided from.

    Attributes
    ----------
    fit, region
        The fitted ellipse, in native pixels, and the region it was fitted to.
    size
        Native (height, width) of the image.
    confidence
        Soft Dice between the map and the ellipse; see `edgeseg.measure.head.agreement`.
    pixel_size_mm, hc_mm
        None if the pixel size is unknown.
    train_pixel_size_mm_range
        Smallest and largest pixel size the model was trained on; None if unknown.
    """

    fit: EllipseFit
    region: Region
    size: tuple[int, int]
    confidence: float
    pixel_size_mm: float | None
    hc_mm: float | None
    train_pixel_size_mm_range: tuple[float, float] | None


def flags(facts: Facts) -> tuple[str, ...]:
    """Return the names of the flags raised, in the order of `FLAGS`."""
    ellipse = facts.fit.ellipse
    low_size, high_size = facts.train_pixel_size_mm_range or PIXEL_SIZE_RANGE_MM
    ratio = ellipse.semi_minor_px / ellipse.semi_major_px
    at_border = touches_border(facts)
    raised = {
        "touches_border": at_border,
        "irregular_outline": facts.fit.residual_px > MAX_RESIDUAL_FRACTION * ellipse.semi_minor_px
        or (not at_border and solidity(facts) < MIN_SOLIDITY),
        "incomplete_outline": facts.fit.arc_fraction < MIN_ARC_FRACTION,
        "several_regions": facts.region.other_area_px
        > MAX_OTHER_AREA_FRACTION * facts.region.area_px,
        "unusual_shape": not AXIS_RATIO_RANGE[0] <= ratio <= AXIS_RATIO_RANGE[1],
        "hc_out_of_range": facts.hc_mm is not None
        and not HC_RANGE_MM[0] <= facts.hc_mm <= HC_RANGE_MM[1],
        "pixel_size_out_of_range": facts.pixel_size_mm is not None
        and not low_size * 0.999 <= facts.pixel_size_mm <= high_size * 1.001,
        "low_confidence": facts.confidence < MIN_CONFIDENCE,
    }
    return tuple(name for name in FLAGS if raised[name])


def touches_border(facts: Facts) -> bool:
    """Tell whether the ellipse or the region reaches the image's border."""
    height, width = facts.size
    points = facts.fit.ellipse.points(90)
    outside = (
        (points < BORDER_MARGIN_PX - 0.5).any()
        or (points[:, 0] > width - 0.5 - BORDER_MARGIN_PX).any()
        or (points[:, 1] > height - 0.5 - BORDER_MARGIN_PX).any()
    )
    mask = facts.region.mask
    edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return bool(outside) or any(edge.any() for edge in edges)


def solidity(facts: Facts) -> float:
    """Area of the region over the area of the ellipse, or the other way round, at most 1.

    A region that fills less of its ellipse has dents; of one cut by the border it says nothing.
    """
    height, width = facts.region.mask.shape
    native_area: float = facts.region.area_px * (facts.size[0] / height) * (facts.size[1] / width)
    ratio = native_area / facts.fit.ellipse.area_px
    return min(ratio, 1 / ratio)
