"""Find the region of a probability map that may be a head, and its ellipse."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.measure.outline import fit_outline
from edgeseg.measure.region import main_region

if TYPE_CHECKING:
    from edgeseg.measure.ellipse import Ellipse
    from edgeseg.measure.outline import EllipseFit
    from edgeseg.measure.region import Region

# A smaller region is speckle, not a head: heads of HC18 fill at least 7 % of their image.
MIN_REGION_FRACTION = 0.002

_SHIFT = 4  # sub-pixel bits for cv2's polygon filling


class Outline(NamedTuple):
    """A region of a probability map that may be a head.

    Attributes
    ----------
    region
        In pixels of the map.
    fit
        Its ellipse, in pixels of the view.
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
        (height, width) of the view that the map covers.
    threshold
        A pixel belongs to the head from this probability on.

    Returns
    -------
    Outline or str
        The reason, if there is none.
    """
    region = main_region(probability, threshold)
    if region is None:
        return "nothing in the image looks like a head"
    if region.area_px < MIN_REGION_FRACTION * probability.size:
        fraction = region.area_px / probability.size
        return f"the largest shape seen fills only {100 * fraction:.2f} % of the image"
    fit = fit_outline(probability, region, size, threshold)
    if fit is None:
        return "no ellipse fits the shape seen"
    on_map = fit.ellipse.resized(size, region.mask.shape)
    return Outline(region, fit, agreement(probability, on_map))


def agreement(probability: npt.NDArray[np.float32], ellipse: Ellipse) -> float:
    """Return the soft Dice of a probability map and an ellipse in its pixels, in [0, 1]."""
    inside = np.zeros(probability.shape, dtype=np.uint8)
    points = np.round(ellipse.points(128) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(inside, [points], 1, cv2.LINE_8, _SHIFT)
    both = cv2.mean(probability, inside)[0] * (area := cv2.countNonZero(inside))
    total = cv2.sumElems(probability)[0] + area
    return float(2 * both / total) if total else 0.0


def best_agreement(
    probability: npt.NDArray[np.float32], outline: Outline, size: tuple[int, int], threshold: float
) -> float:
    """Return the agreement of a map with its outline, without other regions if that is higher.

    A second region makes a measurement doubtful, but it does not mean that there is no head.
    """
    region, on_map = outline.region, outline.fit.ellipse.resized(size, outline.region.mask.shape)
    alone = np.where((region.mask > 0) | (probability < threshold), probability, 0)
    return max(outline.confidence, agreement(alone, on_map))
