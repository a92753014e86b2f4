from __future__ import annotations

import numpy as np
import pytest

from edgeseg.network.preprocess import preprocess
from edgeseg.phantom.head import Phantom


def test_preprocess_averages_areas() -> None:
    gray = np.zeros((384, 576), dtype=np.uint8)
    gray[::2, ::2] = 200
    tensor = preprocess(gray, 192, 288)
    assert tensor.shape == (1, 1, 192, 288)
    assert tensor.dtype == np.uint8
    assert tensor.flags.c_contiguous
    assert np.all(tensor == 50)


def test_preprocess_draws_lines_between_the_pixels_of_a_small_image() -> None:
    ramp = np.repeat(np.arange(0, 240, 5, dtype=np.uint8)[None], 40, axis=0)
    grown = preprocess(ramp, 192, 288)[0, 0].astype(int)
    steps = np.diff(grown, axis=1)
    assert steps.min() >= 0
    assert steps.max() <= 1


def test_preprocess_does_not_shift_the_picture(phantoms: list[Phantom]) -> None:
    """A head's coverage stretched as an image is the stretched head's coverage."""
    phantom = phantoms[1]
    native = np.round(255 * phantom.ellipse.coverage(*phantom.image.shape)).astype(np.uint8)
    for size in ((192, 288), (100, 100), (540, 800)):
        tensor = preprocess(native, *size)[0, 0]
        expected = phantom.probability(*size)
        assert np.abs(tensor / 255 - expected).mean() < 0.003
        center = np.mean(np.nonzero(tensor > 127), axis=1)
        assert center == pytest.approx(np.mean(np.nonzero(expected > 0.5), axis=1), abs=0.1)
