"""Where in a probability map a head may be: its region, its ellipse, and how far they agree."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.outline import EllipseFit, fit_outline
from edgeseg.measure.region import Region, main_region

# A smaller region is speckle, not a head: heads of HC18 fill 7 % of their image and more.
MIN_REGION_FRACTION = 0.002

_SHIFT = 4  # sub-pixel bits for cv2's polygon filling


class Outline(NamedTuple):
    """The region of a map that may be a head, whatever its confidence.

    Attributes
    ----------
    region
        In pixels of the map.
    fit
        Its ellipse, in pixels of what the network looked at.
    confidence
        Soft Dice between the map and the ellipse, in [0, 1].
    """

    region: Region
    fit: EllipseFit
    confidence: float


def find(
    probability: npt.NDArray[np.float32], size: tuple[int, int], threshold: float = 0.5
) -> Outline | str:
    """Find the region that may be a head, and its ellipse.

    Parameters
    ----------
    probability
        Shape (h, w), in [0, 1].
    size
        (height, width) of what the map is of.
    threshold
        Probability from which a pixel is head.

    Returns
    -------
    Outline or str
        A sentence on what was seen instead, if there is none.
    """
    region = main_region(probability, threshold)
    if region is None:
        return f"no pixel reaches the threshold of {threshold:g}"
    if region.area_px < MIN_REGION_FRACTION * probability.size:
        fraction = region.area_px / probability.size
        return f"the largest region fills {100 * fraction:.2f} % of the image"
    fit = fit_outline(probability, region, size, threshold)
    if fit is None:
        return "the region seen has no outline that an ellipse fits"
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


def best_agreement(
    probability: npt.NDArray[np.float32], outline: Outline, size: tuple[int, int], threshold: float
) -> float:
    """Return how well a map agrees with its outline, other regions left out if that helps.

    A second region makes the map doubtful, but not that there is a head.
    """
    region, on_map = outline.region, outline.fit.ellipse.resized(size, outline.region.mask.shape)
    alone = np.where((region.mask > 0) | (probability < threshold), probability, 0)
    return max(outline.confidence, agreement(alone, on_map))
