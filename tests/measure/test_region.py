from __future__ import annotations

import numpy as np
import pytest

from edgeseg.measure.region import boundary_points, main_region, to_native
from edgeseg.phantom.head import Phantom


def test_main_region_fills_holes_and_counts_the_rest() -> None:
    probability = np.zeros((60, 80), dtype=np.float32)
    probability[10:40, 10:50] = 0.9
    probability[20:25, 20:25] = 0.1  # a hole
    probability[50:55, 60:70] = 0.5  # at the threshold counts as head
    probability[40:44, 50:54] = 1.0  # meets the head at a corner
    region = main_region(probability)
    assert region is not None
    assert region.area_px == np.count_nonzero(region.mask) == 30 * 40
    assert region.other_area_px == 50 + 16
    assert set(np.unique(region.mask)) == {0, 255}
    assert region.mask[22, 22] == 255
    assert region.mask[52, 65] == 0


def test_a_map_below_the_threshold_has_no_region() -> None:
    assert main_region(np.full((192, 288), 0.49, dtype=np.float32)) is None


def test_boundary_lies_where_the_probability_crosses() -> None:
    row = np.array([1.0, 1.0, 0.7, 0.2, 0.0], dtype=np.float32)
    probability = np.repeat(row[None], 6, axis=0)
    region = main_region(probability)
    assert region is not None
    points = boundary_points(probability, region)
    assert points[:, 0] == pytest.approx(2 + (0.7 - 0.5) / (0.7 - 0.2))
    assert sorted(points[:, 1]) == list(range(6))


def test_to_native_keeps_place_and_range(phantoms: list[Phantom]) -> None:
    phantom = phantoms[1]
    native = to_native(phantom.probability(192, 288), (270, 400))
    assert native.shape == (270, 400)
    assert native.dtype == np.float32
    assert 0 <= native.min() <= native.max() <= 1
    inside = phantom.ellipse.mask(270, 400) > 0
    assert np.mean((native >= 0.5) != inside) < 0.003
