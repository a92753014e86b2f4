"""Reasons not to trust a measurement of a head, as far as its picture shows them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure import screen
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.head_outline import Outline
from edgeseg.measure.measurement import Look
from edgeseg.network.limits import Limits

MAX_RESIDUAL_FRACTION = 0.03
MIN_ARC_FRACTION = 0.75
MIN_SOLIDITY = 0.95
MAX_OTHER_AREA_FRACTION = 0.05
_BARS, _BAR_RANGE = 20, 12  # a bar is so many times in the height, its gray values so near

FLAGS: dict[str, str] = {
    "touches_border": "much of the outline lies outside the image, and is guessed",
    "irregular_outline": "the outline departs from an ellipse",
    "incomplete_outline": "a large part of the outline was not seen",
    "several_regions": "a second region looks like a head too",
    "unusual_shape": "the ratio of the axes is not a head's",
    "hc_out_of_range": "the head circumference is not that of a fetus",
    "field_of_view_out_of_range": "the image is narrower or wider than those the model has learnt",
    "square_image": "the image is square, as copies made for networks are: it may be stretched",
    "looks_differ": "a second look at the same head gives another circumference",
    "low_confidence": "the network is unsure along the outline",
    "unlike_a_head": "what is inside the outline may be something else than a head",
    **screen.FLAGS,
}
"""Every flag, with what it means."""


class Looked(NamedTuple):
    """What all looks together tell.

    Attributes
    ----------
    change
        Of the circumference from the last look but one to the last, as a fraction.
    other_share
        Largest area of all regions beside the main one in any look, as a fraction of that one's.
    """

    change: float
    other_share: float


class Facts(NamedTuple):
    """What the flags are decided from.

    Attributes
    ----------
    outline
        In pixels of the view that was looked at.
    ellipse
        In pixels of the image.
    look
        What the network answered there.
    looked
        What this and earlier looks tell together.
    frame
        The image.
    limits
        The model's.
    """

    outline: Outline
    ellipse: Ellipse
    look: Look
    looked: Looked
    frame: Frame
    limits: Limits


def flags(facts: Facts) -> tuple[str, ...]:
    """Return the names of the flags raised, in the order of `FLAGS`."""
    limits = facts.limits
    fit, outside = facts.outline.fit, share_outside(facts.ellipse, facts.frame.size)
    pixel_size, presence = facts.frame.pixel_size, facts.look.presence
    in_mm = facts.ellipse.scaled(pixel_size.x_mm, pixel_size.y_mm) if pixel_size else None
    shape = in_mm or facts.ellipse
    raised = {
        "touches_border": outside > limits.cut_share,
        "irregular_outline": fit.residual_px > MAX_RESIDUAL_FRACTION * fit.ellipse.semi_minor_px
        or (not outside and solidity(facts.outline, facts.look.view.size) < MIN_SOLIDITY),
        "incomplete_outline": fit.arc_fraction < MIN_ARC_FRACTION,
        "several_regions": facts.looked.other_share > MAX_OTHER_AREA_FRACTION,
        "unusual_shape": _is_outside(shape.semi_minor_px / shape.semi_major_px, limits.axis_ratio),
        "hc_out_of_range": in_mm is not None and _is_outside(in_mm.circumference_px, limits.hc_mm),
        "field_of_view_out_of_range": pixel_size is not None
        and _is_outside(facts.frame.size[1] * pixel_size.x_mm, limits.field_of_view_mm),
        "square_image": pixel_size is not None and _may_be_stretched(facts.frame, pixel_size),
        "looks_differ": facts.looked.change > limits.look_change,
        "low_confidence": facts.outline.confidence < limits.confidence,
        "unlike_a_head": presence is not None and presence < limits.presence_doubted,
    }
    of_file = screen.flags(facts.frame)
    return tuple(name for name in FLAGS if name in of_file or raised.get(name))


def share_outside(ellipse: Ellipse, size: tuple[int, int]) -> float:
    """Share of an ellipse's outline, by angle, that lies outside an image of (height, width)."""
    points, (height, width) = ellipse.points(90), size
    outside = ((points < -0.5) | (points > (width - 0.5, height - 0.5))).any(axis=1)
    return float(outside.mean())


def solidity(outline: Outline, size: tuple[int, int]) -> float:
    """Area of the region over the area of the ellipse, or the other way round, at most 1.

    A region that fills less of its ellipse has dents; of one cut by the border it says nothing.

    Parameters
    ----------
    size
        (height, width) of the view, in whose pixels the ellipse is.
    """
    height, width = outline.region.mask.shape
    native_area: float = outline.region.area_px * (size[0] / height) * (size[1] / width)
    ratio = native_area / outline.fit.ellipse.area_px
    return min(ratio, 1 / ratio)


def _may_be_stretched(frame: Frame, pixel_size: PixelSize) -> bool:
    """Tell whether an image is as wide as high, without bars that keep its scan undistorted.

    Ultrasound machines save no square images, and copies made for networks often are. Pixels that
    are said to be no squares were thought of, and a machine knows the size of its own.
    """
    height, width = frame.size
    if height != width or pixel_size.x_mm != pixel_size.y_mm or frame.screen is not None:
        return False
    bar = max(1, height // _BARS)
    pixels = frame.pixels
    pairs = ((pixels[:bar], pixels[-bar:]), (pixels[:, :bar], pixels[:, -bar:]))
    return not any(float(np.ptp(np.stack(pair))) <= _BAR_RANGE for pair in pairs)


def _is_outside(value: float, limits: tuple[float, float]) -> bool:
    low, high = limits
    return not low * 0.999 <= value <= high * 1.001
