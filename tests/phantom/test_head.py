from __future__ import annotations

import numpy as np
import pytest

from edgeseg.measure.outline import fit_outline
from edgeseg.measure.region import main_region
from edgeseg.phantom.head import (
    HC_RANGE_MM,
    PIXEL_SIZE_RANGE_MM,
    Phantom,
    demo_phantoms,
    make_phantom,
)

NETWORK_SIZE = (192, 288)


@pytest.fixture(scope="module")
def demo() -> list[Phantom]:
    return demo_phantoms()


def measured_hc_mm(phantom: Phantom, size: tuple[int, int]) -> float:
    probability = phantom.probability(*size)
    region = main_region(probability)
    assert region is not None
    fit = fit_outline(probability, region, phantom.image.shape)
    assert fit is not None
    return fit.ellipse.circumference_px * phantom.pixel_size_mm


def outside_fraction(phantom: Phantom) -> float:
    height, width = phantom.image.shape
    x, y = phantom.ellipse.points(3600).T
    return float(np.mean((x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [NETWORK_SIZE, (512, 512)])
def test_a_perfect_network_measures_the_true_hc(seed: int, size: tuple[int, int]) -> None:
    phantom = make_phantom(seed, height=270, width=400)
    assert measured_hc_mm(phantom, size) == pytest.approx(phantom.hc_mm, rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_a_head_cut_by_the_border_is_extrapolated(seed: int) -> None:
    phantom = make_phantom(seed, height=270, width=400, cut_by_border=True)
    assert 0.12 <= outside_fraction(phantom) < 0.2
    assert measured_hc_mm(phantom, NETWORK_SIZE) == pytest.approx(phantom.hc_mm, rel=0.01)


def test_probability_is_the_area_of_each_pixel_inside() -> None:
    phantom = make_phantom(5, height=270, width=400)
    probability = phantom.probability(*NETWORK_SIZE)
    assert probability.dtype == np.float32
    assert probability.shape == NETWORK_SIZE
    assert probability.min() == 0.0
    assert probability.max() == 1.0
    scale = (270 * 400) / (192 * 288)
    assert probability.sum() * scale == pytest.approx(phantom.ellipse.area_px, rel=1e-3)


def test_one_seed_gives_one_scan() -> None:
    first, again, other = (make_phantom(s, height=135, width=200) for s in (3, 3, 4))
    assert np.array_equal(first.image, again.image)
    assert first.ellipse == again.ellipse
    assert not np.array_equal(first.image, other.image)
    assert first.name == "phantom_3.png"


def test_demo_covers_the_range_of_hc18(demo: list[Phantom]) -> None:
    assert [p.name for p in demo] == [f"phantom_{i}.png" for i in range(1, 9)]
    hc_mm = [p.hc_mm for p in demo]
    assert HC_RANGE_MM[0] <= min(hc_mm) < 75
    assert 320 < max(hc_mm) <= HC_RANGE_MM[1]
    for phantom in demo:
        assert phantom.image.shape == (540, 800)
        assert phantom.image.dtype == np.uint8
        assert PIXEL_SIZE_RANGE_MM[0] <= phantom.pixel_size_mm <= PIXEL_SIZE_RANGE_MM[1]
    assert [outside_fraction(p) > 0 for p in demo] == [False] * 7 + [True]
    assert outside_fraction(demo[-1]) >= 0.12


def test_demo_looks_like_a_scan(demo: list[Phantom]) -> None:
    """Skull brighter than brain, brighter on top than at the sides, darkness around the sector."""
    rows, columns = np.mgrid[:540, :800]
    for phantom in demo[:-1]:
        ellipse = phantom.ellipse
        rim = ellipse.signed_distance(columns, rows) / ellipse.semi_minor_px
        steep = np.abs(rows - ellipse.center_y_px) > np.abs(columns - ellipse.center_x_px)
        band = (rim > -0.06) & (rim < -0.02)
        skull = phantom.image[band & steep].mean()
        assert skull > 1.4 * phantom.image[rim < -0.15].mean()
        assert skull > 1.2 * phantom.image[band & ~steep].mean()
        assert 10 < phantom.image.mean() < 80
        assert np.mean(phantom.image == 0) > 0.05
        assert phantom.image[rim < -0.15].std() > 5


def test_small_images_keep_pixel_sizes_in_range() -> None:
    phantom = make_phantom(0, height=64, width=96, hc_mm=330)
    assert phantom.pixel_size_mm == PIXEL_SIZE_RANGE_MM[1]
    assert phantom.hc_mm < 330
