from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg_training.interval import conformal_quantile, fit_interval


def heads(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heads whose errors grow with HC and with doubt as the interval supposes."""
    generator = np.random.default_rng(seed)
    hc_mm = generator.uniform(50, 350, n)
    confidence = 1 - generator.gamma(2.0, 0.006, n)
    scale_mm = 0.3 + 0.1 * (hc_mm / 100) ** 3 + 80 * (1 - confidence)
    return hc_mm, scale_mm * generator.standard_normal(n), confidence


def test_it_holds_its_share_of_new_heads_of_every_size_and_doubt() -> None:
    interval = fit_interval(*heads(1500, 0), 0.9)
    assert interval.level == 0.9
    hc_mm, error_mm, sure = heads(12000, 1)
    pairs = zip(hc_mm, sure, strict=True)
    is_held = np.abs(error_mm) <= [interval.half_width_mm(float(a), float(b)) for a, b in pairs]
    assert is_held.mean() == pytest.approx(0.9, abs=0.025)
    for values in (hc_mm, sure):
        third = np.digitize(values, np.quantile(values, [1 / 3, 2 / 3]))
        for i in range(3):
            assert is_held[third == i].mean() == pytest.approx(0.9, abs=0.045)


def test_what_does_not_grow_has_no_coefficient() -> None:
    """Errors that shrink with HC and with doubt must not give intervals that do."""
    hc_mm, _, sure = heads(600, 2)
    error_mm = np.where(np.arange(600) % 2, 1, -1) * (6 - hc_mm / 100 - 20 * (1 - sure))
    interval = fit_interval(hc_mm, error_mm, sure)
    assert interval.cubic_mm == interval.doubt_mm == 0
    assert replace(interval, floor_mm=99).half_width_mm(60.0, 0.99) == 99


def test_coefficients_floor_and_weights_are_those_of_the_method() -> None:
    expected = (0.9, 0.81357603, 0.13840836, 121.16345, 2.1234682)
    assert astuple(fit_interval(*heads(200, 4))) == pytest.approx(expected, rel=1e-6)


def test_the_quantile_counts_the_head_to_come() -> None:
    for n, level, rank in ((9, 0.9, 9), (19, 0.9, 18), (99, 0.5, 50), (99, 0.55, 55)):
        scores = np.random.default_rng(0).permutation(n) + 1.0
        assert conformal_quantile(scores, level) == rank
    with pytest.raises(DataError, match=r"8 heads; an interval of level 0\.9 needs 9"):
        conformal_quantile(np.ones(8), 0.9)
    for level in (0.0, 1.0, -1, np.nan):
        with pytest.raises(DataError, match="expected a share between 0 and 1"):
            conformal_quantile(np.ones(50), level)


def test_what_are_no_heads_is_refused() -> None:
    h, e, c = heads(50, 3)
    for given, message in (
        ((h, e[1:], c), "expected three of one"),
        ((h[None], e[None], c[None]), "expected three of one"),
        ((h, e * np.nan, c), "expected finite errors"),
        ((h * 0, e, c), "above 0 mm"),
        ((h, e, c + 1), r"in \[0, 1\]"),
        ((h, 0 * e, c), "all errors are 0"),
        ((h[:0], e[:0], c[:0]), "0 heads"),
    ):
        with pytest.raises(DataError, match=message):
            fit_interval(*given)
