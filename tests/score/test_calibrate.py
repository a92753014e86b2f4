from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.images.calibration import read_calibration
from edgeseg.score.calibrate import as_json, calibrate, wilson
from edgeseg.score.site import Head, SiteHeads


def make_heads(own: Sequence[float], model: Sequence[float], half_mm: float | None) -> SiteHeads:
    pairs = enumerate(zip(own, model, strict=True))
    return SiteHeads(tuple(Head(f"{i}.png", a, b, half_mm) for i, (a, b) in pairs))


def site(
    n: int = 25,
    factor: float = 0.983,
    shift_mm: float = 0.0,
    noise: float = 0.008,
    half_mm: float | None = 3.0,
    seed: int = 0,
) -> SiteHeads:
    """Heads of all sizes whose labels lie off by a factor or a distance, and scatter."""
    generator = np.random.default_rng(seed)
    model_mm = generator.uniform(70, 330, n)
    own_mm = factor * model_mm + shift_mm
    own_mm += (noise * model_mm if not shift_mm else 0.8) * generator.standard_normal(n)
    return make_heads(own_mm.tolist(), model_mm.tolist(), half_mm)


def test_a_ratio_is_learnt_or_a_shift() -> None:
    found = calibrate(site())
    learnt = found.calibration
    assert found.kind == "ratio"
    assert learnt.shift_mm == learnt.shift_half_width_mm == 0
    assert found.n_heads == 25
    assert found.error_after_mm < 0.6 * found.error_before_mm
    assert found.coverage_after.value > found.coverage_before.value
    assert not found.notices
    found = calibrate(site(factor=1.0, shift_mm=-8.0))
    assert found.kind == "shift"
    assert found.calibration.shift_mm == pytest.approx(-8, abs=0.8)
    assert (found.calibration.factor, found.calibration.factor_half_width) == (1.0, 0.0)
    assert found.calibration.shift_half_width_mm > 0
    assert found.error_after_mm < 1.5
    # where neither is clearly better, the ratio is kept
    kinds = {calibrate(site(factor=0.99, noise=0.015, seed=seed)).kind for seed in range(20)}
    assert kinds == {"ratio"}


def test_the_factor_is_known_as_well_as_it_says() -> None:
    learnt = [calibrate(site(seed=seed)).calibration for seed in range(200)]
    inside = [abs(each.factor - 0.983) <= each.factor_half_width for each in learnt]
    assert np.mean(inside) == pytest.approx(0.9, abs=0.07)


def test_one_head_that_is_far_off_is_named_and_moves_nothing() -> None:
    heads = list(site(noise=0.0, half_mm=0.5).heads)
    heads[3] = heads[3]._replace(site_mm=heads[3].site_mm * 1.08)
    found = calibrate(SiteHeads(tuple(heads)))
    assert found.coverage_before.value == 0
    assert found.coverage_after.value == pytest.approx(24 / 25)
    assert found.calibration.factor == pytest.approx(0.983)
    assert any("far off the others" in n and "1, such as '3.png'" in n for n in found.notices)


def test_no_head_calibrates_itself() -> None:
    """Of ten heads at two ratios each one's own side is the smaller one without it."""
    model = [200.0 + i for i in range(10)]
    own = [mm * (0.97 if i % 2 else 0.99) for i, mm in enumerate(model)]
    found = calibrate(make_heads(own, model, 2.4))
    assert found.calibration.factor == pytest.approx(0.98)
    assert found.error_after_mm == pytest.approx(0.02 * np.mean(model))
    assert found.coverage_after.value == 0


def test_coverage_after_counts_what_the_offset_may_be_off() -> None:
    """Without intervals of their own, heads are held by the offset's alone, a little."""
    found = calibrate(site(n=200, half_mm=1e-9))
    learnt = found.calibration.factor_half_width
    expected = math.erf(learnt / 0.008 / math.sqrt(2))
    assert 0 < found.coverage_after.value == pytest.approx(expected, abs=0.1)
    heads = site().heads  # one of them without an interval
    partly = calibrate(SiteHeads((*heads[:-1], heads[-1]._replace(half_width_mm=None))))
    assert partly.coverage_before is partly.coverage_after is None


def test_few_heads_are_refused_and_not_many_are_noticed() -> None:
    with pytest.raises(DataError, match="at least 10 are needed"):
        calibrate(site(9))
    assert any("10 heads are few" in text for text in calibrate(site(10)).notices)
    for noisy in (site(20, factor=1.0, noise=0.02), site(20, shift_mm=-0.01, factor=1.0)):
        (text,) = calibrate(noisy).notices
        assert "lies within its noise" in text


def test_other_units_mixed_up_rows_and_too_large_a_shift_are_refused() -> None:
    with pytest.raises(DataError, match=r"are 0\.1 times edgeseg's.*centimetres"):
        calibrate(site(factor=0.1, noise=0.0))
    own, model = ([head[i] for head in site(30).heads] for i in (1, 2))
    generator = np.random.default_rng(1)
    week = 172 * (1 + 0.043 * generator.standard_normal(30))  # they differ by less than any limit
    for mixed, heads in ((own[7:] + own[:7], model), (np.roll(0.983 * week, 5), week)):
        with pytest.raises(DataError, match="mixed up"):
            calibrate(make_heads(mixed, heads, None))
    # heads of one size are no mix-up
    one_size = 172 * (1 + 0.005 * generator.standard_normal(30))
    own = 0.983 * 172 * (1 + 0.012 * generator.standard_normal(30))
    found = calibrate(make_heads(own, one_size, None))
    assert found.calibration.factor == pytest.approx(0.983, abs=0.01)
    model = [130.0 + 20 * i for i in range(20)]
    with pytest.raises(DataError, match=r"\+25.0 mm longer at every size; expected at most 20 mm"):
        calibrate(make_heads([mm + 25 for mm in model], model, None))


def test_what_is_written_is_what_infer_reads_with_wilson_s_interval(tmp_path: Path) -> None:
    for held, count, ends in ((27, 30, (0.744, 0.965)), (0, 10, (0.0, 0.278))):
        share = wilson(held, count)
        assert (share.value, share.low, share.high) == pytest.approx(
            (held / count, *ends), abs=1e-3
        )
    found = calibrate(SiteHeads(site().heads, "ab" * 32, ("3 heads are left out",)))
    values = as_json(found)
    (tmp_path / "site.json").write_text(json.dumps(values))
    assert read_calibration(tmp_path / "site.json") == found.calibration
    assert values["model_sha256"] == "ab" * 32
    assert (values["kind"], values["level"]) == ("ratio", 0.9)
    assert values["coverage_after"].keys() == {"value", "low", "high"}
    assert values["notices"] == ("3 heads are left out",)
