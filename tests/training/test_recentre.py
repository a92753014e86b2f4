from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edgeseg.geometry import Ellipse
from edgeseg_training.parity import Sample
from edgeseg_training.recentre import logit_shift

SIZE = (128, 192)


def soft_map(logit: float, semi_major_px: float) -> npt.NDArray[np.float32]:
    """A head whose outline lies where the logit is 0, soft over some pixels, all moved by one."""
    rows, columns = np.indices(SIZE)
    ellipse = Ellipse(95.0, 64.0, semi_major_px, 0.8 * semi_major_px, 0.3)
    z = -ellipse.signed_distance(columns, rows) / 2 + logit
    return (1 / (1 + np.exp(-z))).astype(np.float32)


def test_maps_that_were_moved_are_moved_back() -> None:
    axes = (40.0, 50.0, 60.0)
    samples = [Sample(np.zeros(SIZE, np.uint8), 0.5)] * len(axes)
    source = [soft_map(0.0, a) for a in axes]
    moved = [soft_map(-0.7, a) for a in axes]
    assert logit_shift(source, moved, samples) == pytest.approx(0.7, abs=0.01)
    assert logit_shift(source, source, samples) == pytest.approx(0.0, abs=1e-4)


def test_maps_without_a_head_are_left_alone() -> None:
    empty = [np.full(SIZE, 0.01, np.float32)]
    assert logit_shift(empty, empty, [Sample(np.zeros(SIZE, np.uint8), 0.5)]) == 0
