from __future__ import annotations

import math

import numpy as np
import pytest

from edgeseg.measure.ellipse import Ellipse
from edgeseg.score.metrics import (
    Overlap,
    describe_distances,
    describe_errors,
    describe_overlaps,
    hausdorff_px,
    overlap,
    pooled_by_batch,
)


def rectangle(left: int, right: int) -> np.ndarray:
    mask = np.zeros((10, 20), dtype=np.uint8)
    mask[:, left:right] = 255
    return mask


@pytest.mark.parametrize(
    ("mask", "reference", "dice", "iou", "accuracy"),
    [
        ((0, 10), (5, 13), 100 / 180, 50 / 130, 120 / 200),
        ((0, 0), (0, 0), 1.0, 1.0, 1.0),
        ((0, 0), (0, 5), 0.0, 0.0, 0.75),
    ],
)
def test_overlap_of_rectangles(
    mask: tuple[int, int], reference: tuple[int, int], dice: float, iou: float, accuracy: float
) -> None:
    found = overlap(rectangle(*mask), rectangle(*reference))
    shares = [found.dice, found.iou, found.pixel_accuracy]
    assert shares == pytest.approx([dice, iou, accuracy])
    with pytest.raises(ValueError, match=r"masks differ in shape: \(10, 20\) and \(20, 10\)"):
        overlap(rectangle(0, 5), rectangle(0, 5).T)


def test_pooling_adds_pixels_within_a_batch_and_averages_batches() -> None:
    small, large = Overlap(1, 1, 0, 98), Overlap(80, 0, 10, 10)
    pooled = pooled_by_batch([small, large, small], batch=2)
    assert pooled["dice"] == pytest.approx((162 / (162 + 1 + 10) + 2 / 3) / 2)
    assert pooled["miou"] == pytest.approx((81 / 92 + 1 / 2) / 2)
    assert pooled["pixel_accuracy"] == pytest.approx((189 / 200 + 99 / 100) / 2)
    assert all(math.isnan(value) for value in pooled_by_batch([]).values())
    twelve = [small, *[large] * 11]  # ten and two, as the paper has it
    assert pooled_by_batch(twelve) == pooled_by_batch(twelve, batch=10)
    assert pooled_by_batch(twelve) != pooled_by_batch(twelve, batch=12)


@pytest.mark.parametrize(
    ("first", "second", "distance_px", "within_px"),
    [
        (Ellipse(100, 100, 60, 45, 0.3), Ellipse(107, 100, 60, 45, 0.3), 7, 0.2),
        # one tip sticks out by 10 px: only the larger one's outline is that far from the other
        (Ellipse(0, 0, 50, 40, 0), Ellipse(0, 0, 60, 40, 0), 10, 0.01),
        # the circle is nowhere further than 20 px from the other, whose tips are 80 px from it
        (Ellipse(0, 0, 20, 20, 0), Ellipse(0, 0, 100, 20, 0), 80, 0.01),
        # the same circle sampled half a step apart: the points are 4.4 px from each other
        (Ellipse(0, 0, 500, 500, 0), Ellipse(0, 0, 500, 500, math.pi / 360), 0, 0.03),
    ],
)
def test_hausdorff_is_between_outlines(
    first: Ellipse, second: Ellipse, distance_px: float, within_px: float
) -> None:
    assert hausdorff_px(first, second) == pytest.approx(distance_px, abs=within_px)
    assert hausdorff_px(second, first) == pytest.approx(distance_px, abs=within_px)


def test_values_are_described_by_mean_spread_and_worst() -> None:
    errors = [-1.0, 2.0, -3.0, 10.0, *[0.0] * 17]
    sizes = np.abs(errors)
    found = describe_errors(errors)
    assert list(found) == ["mad", "mad_sd", "bias", "sd", "p95", "max"]
    # of 21 sizes p95 is the second largest
    expected = [16 / 21, sizes.std(ddof=1), 8 / 21, np.std(errors, ddof=1), 3, 10]
    assert [*found.values()] == pytest.approx(expected)
    assert set(describe_errors([]).values()) == {None}
    assert describe_errors([2.0])["sd"] is None
    spread = pytest.approx(math.sqrt(0.125))
    assert describe_overlaps([0.5, 1.0]) == {"mean": 0.75, "sd": spread, "min": 0.5}
    assert describe_distances([0.5, 1.0]) == {"mean": 0.75, "sd": spread, "max": 1.0}
    assert set(describe_overlaps([]).values()) == set(describe_distances([]).values()) == {None}
