"""Flags: reasons not to trust the measurement of a head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeseg.measure import screen

if TYPE_CHECKING:
    from edgeseg.images.frame import Frame
    from edgeseg.measure.ellipse import Ellipse
    from edgeseg.measure.outline import Facts, Outline

MAX_RESIDUAL_FRACTION = 0.03
MIN_ARC_FRACTION = 0.75
MIN_SOLIDITY = 0.95
MAX_OTHER_AREA_FRACTION = 0.05
# A letterbox bar is at least 1/20 of the height high, and its gray values differ by at most 12.
_BARS, _BAR_RANGE = 20, 12

FLAGS: dict[str, str] = {
    "touches_border": "much of the outline lies outside the image",
    "irregular_outline": "outline not an ellipse",
    "incomplete_outline": "a large part of the outline is not visible",
    "several_regions": "a second region looks like a head",
    "unusual_shape": "axis ratio unusual for a head",
    "hc_out_of_range": "HC is outside the fetal range: check the pixel size",
    "field_of_view_out_of_range": "unusual field of view: check the pixel size",
    "square_image": "square image: it may be a stretched copy",
    "looks_differ": "a second look at the same head gives another HC",
    "low_confidence": "the network is unsure about the outline",
    "unlike_a_head": "the shape may be something other than a head",
    **screen.FLAGS,
}
"""Every flag with its meaning, in the order in which flags are listed."""


def flags(facts: Facts) -> tuple[str, ...]:
    """Return the names of the flags raised, in the order of `FLAGS`."""
    limits = facts.limits
    fit, ellipse = facts.outline.fit, facts.outline.ellipse
    outside = share_outside(ellipse, facts.frame.size)
    pixel_size, presence = facts.frame.pixel_size, facts.look.presence
    in_mm = ellipse.scaled(pixel_size.x_mm, pixel_size.y_mm) if pixel_size else None
    shape = in_mm or ellipse
    raised = {
        "touches_border": outside > limits.cut_share,
        "irregular_outline": fit.residual_px > MAX_RESIDUAL_FRACTION * fit.ellipse.semi_minor_px
        or (not outside and solidity(facts.outline, facts.look.view.size) < MIN_SOLIDITY),
        "incomplete_outline": fit.arc_fraction < MIN_ARC_FRACTION,
        "several_regions": facts.other_share > MAX_OTHER_AREA_FRACTION,
        "unusual_shape": _is_outside(shape.semi_minor_px / shape.semi_major_px, limits.axis_ratio),
        "hc_out_of_range": in_mm is not None and _is_outside(in_mm.circumference_px, limits.hc_mm),
        "field_of_view_out_of_range": pixel_size is not None
        and _is_outside(facts.frame.size[1] * pixel_size.x_mm, limits.field_of_view_mm),
        "square_image": _may_be_stretched(facts.frame),
        "looks_differ": facts.change > limits.look_change,
        "low_confidence": facts.outline.confidence < limits.confidence,
        "unlike_a_head": presence is not None and presence < limits.presence_doubted,
    }
    of_file = screen.flags(facts.frame)
    return tuple(name for name in FLAGS if name in of_file or raised.get(name))


def share_outside(ellipse: Ellipse, size: tuple[int, int]) -> float:
    """Return the share of an ellipse's outline, by angle, outside an image of (height, width)."""
    points, (height, width) = ellipse.points(90), size
    outside = ((points < -0.5) | (points > (width - 0.5, height - 0.5))).any(axis=1)
    return float(outside.mean())


def solidity(outline: Outline, size: tuple[int, int]) -> float:
    """Return the ratio of the areas of region and ellipse, the smaller over the larger.

    A low value means dents or bulges. It means nothing for a head cut by the image border. The
    outline's ellipse is in pixels of a view of (height, width).
    """
    height, width = outline.region.mask.shape
    native_area: float = outline.region.area_px * (size[0] / height) * (size[1] / width)
    ratio = native_area / outline.fit.ellipse.area_px
    return min(ratio, 1 / ratio)


def _may_be_stretched(frame: Frame) -> bool:
    """Return whether an image is square without letterbox bars that would keep its aspect ratio.

    Ultrasound machines save no square images; copies resized for neural networks often are square.
    An image without a pixel size, with two different ones, or from a machine is not suspected.
    """
    (height, width), size, pixels = frame.size, frame.pixel_size, frame.pixels
    if height != width or size is None or size.x_mm != size.y_mm or frame.screen is not None:
        return False
    bar = max(1, height // _BARS)
    pairs = ((pixels[:bar], pixels[-bar:]), (pixels[:, :bar], pixels[:, -bar:]))
    return not any(float(np.ptp(np.stack(pair))) <= _BAR_RANGE for pair in pairs)


def _is_outside(value: float, limits: tuple[float, float]) -> bool:
    low, high = limits
    return not low * 0.999 <= value <= high * 1.001
