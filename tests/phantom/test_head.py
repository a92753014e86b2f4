from __future__ import annotations

import numpy as np
import pytest

from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Look
from edgeseg.measure.outline import see
from edgeseg.measure.quality import share_outside
from edgeseg.phantom.head import HC_RANGE_MM, PIXEL_SIZE_RANGE_MM, demo_phantoms, make_phantom


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("cut_by_border", "rel"), [(False, 1e-3), (True, 0.01)])
def test_a_perfect_network_measures_the_true_hc(seed: int, cut_by_border: bool, rel: float) -> None:
    """A head that is cut by the border is extrapolated."""
    phantom = make_phantom(seed, height=270, width=400, cut_by_border=cut_by_border)
    outside = share_outside(phantom.ellipse, (270, 400))
    assert (0.1 < outside < 0.2) if cut_by_border else outside == 0
    probability = phantom.ellipse.resized((270, 400), (192, 288)).coverage(192, 288)
    assert (probability.min(), probability.max()) == (0, 1)
    found = see(Look(probability[None], View.whole((270, 400))))
    assert not isinstance(found, str)
    hc_mm = found.ellipse.circumference_px * phantom.pixel_size_mm
    assert hc_mm == pytest.approx(phantom.hc_mm, rel=rel)


def test_one_seed_gives_one_scan() -> None:
    first, again, other = (make_phantom(s, height=135, width=200) for s in (3, 3, 4))
    assert np.array_equal(first.image, again.image)
    assert first.ellipse == again.ellipse
    assert not np.array_equal(first.image, other.image)
    assert first.name == "phantom_3.png"


def test_demo_covers_the_range_of_hc18() -> None:
    demo = demo_phantoms()
    assert [p.name for p in demo] == [f"phantom_{i}.png" for i in range(1, 9)]
    hc_mm = [p.hc_mm for p in demo]
    assert HC_RANGE_MM[0] <= min(hc_mm) < 75
    assert 320 < max(hc_mm) <= HC_RANGE_MM[1]
    low, high = PIXEL_SIZE_RANGE_MM
    assert all(p.image.shape == (540, 800) and low <= p.pixel_size_mm <= high for p in demo)
    assert [share_outside(p.ellipse, (540, 800)) > 0 for p in demo] == [False] * 7 + [True]
    for phantom in demo[:-1]:  # the skull is brighter than the brain, and darkness is around both
        rim = phantom.ellipse.signed_distance(*np.mgrid[:800, :540]).T
        skull, brain = np.abs(rim + 8) < 4, rim < -40
        assert phantom.image[skull].mean() > 1.3 * phantom.image[brain].mean()
        assert np.mean(phantom.image == 0) > 0.05


def test_small_images_keep_pixel_sizes_in_range() -> None:
    phantom = make_phantom(0, height=64, width=96, hc_mm=330)
    assert phantom.pixel_size_mm == PIXEL_SIZE_RANGE_MM[1]
    assert phantom.hc_mm < 330
