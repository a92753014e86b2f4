from __future__ import annotations

import numpy as np
import pytest

from edgeseg.network.adapter import preprocess
from edgeseg.phantom.head import Phantom


def test_it_averages_areas_and_draws_lines_between_pixels() -> None:
    gray = np.zeros((384, 576), dtype=np.uint8)
    gray[::2, ::2] = 200
    tensor = preprocess(gray, 192, 288)
    assert (tensor.shape, tensor.dtype) == ((1, 1, 192, 288), np.uint8)
    assert tensor.flags.c_contiguous
    assert np.all(tensor == 50)
    ramp = np.repeat(np.arange(0, 240, 5, dtype=np.uint8)[None], 40, axis=0)
    steps = np.diff(preprocess(ramp, 192, 288)[0, 0].astype(int), axis=1)
    assert (steps.min(), steps.max()) == (0, 1)


def test_it_does_not_shift_the_picture(phantoms: list[Phantom]) -> None:
    """A head's coverage stretched as an image is the stretched head's coverage."""
    phantom = phantoms[1]
    native = np.round(255 * phantom.ellipse.coverage(*phantom.image.shape)).astype(np.uint8)
    for size in ((192, 288), (100, 100), (540, 800)):
        tensor = preprocess(native, *size)[0, 0]
        expected = phantom.ellipse.resized(native.shape, size).coverage(*size)
        assert np.abs(tensor / 255 - expected).mean() < 0.003
        center = np.mean(np.nonzero(tensor > 127), axis=1)
        assert center == pytest.approx(np.mean(np.nonzero(expected > 0.5), axis=1), abs=0.1)
