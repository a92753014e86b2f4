from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.measure.interval import Interval
from edgeseg.score.evaluate import CSV_COLUMNS
from tests.conftest import BENCHMARKS, benchmark_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return benchmark_script("intervals")


@pytest.fixture
def folds(tmp_path: Path) -> list[Path]:
    """Five folds of heads whose errors grow with HC; one image of each has no head."""
    generator = np.random.default_rng(0)
    paths = []
    for fold in range(5):
        lines = [",".join(CSV_COLUMNS), f"{fold}-none.png,0,0,0,0,,0,150,-150,0,"]
        for i in range(60):
            hc_mm, sure = generator.uniform(60, 330), 1 - generator.gamma(2, 0.006)
            error_mm = (0.2 * (hc_mm / 100) ** 3 + 60 * (1 - sure)) * generator.standard_normal()
            cells = (f"{fold}-{i}.png", *[0.9] * 4, 1, hc_mm, hc_mm - error_mm, error_mm, sure, "")
            lines.append(",".join(map(str, cells)))
        paths.append(tmp_path / f"some-model-fold{fold}.csv")
        paths[-1].write_text("\n".join([*lines, ""]))
    return paths


def test_it_prints_coverages_and_writes_intervals(
    script: ModuleType,
    folds: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "DRAWS", 5)
    command = ["intervals.py", *map(str, folds), "--json", str(tmp_path / "out.json")]
    monkeypatch.setattr(sys, "argv", command)
    script.main()
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("| `some-model`")]
    assert len(lines) == 4
    assert "| HC and confidence |" in lines[2]
    assert "a third of 300 ±" in printed
    before, after = (float(cell) for cell in lines[3].split("|")[4:6])
    assert before < after == pytest.approx(0.9, abs=0.04)
    (values,) = json.loads((tmp_path / "out.json").read_text()).values()
    assert Interval(**values).half_width_mm(330.0, 0.99) > Interval(**values).half_width_mm(
        60, 0.99
    )


def test_no_head_is_held_by_an_interval_that_saw_it(script: ModuleType, folds: list[Path]) -> None:
    heads = script.read_models(folds)["some-model"]
    assert len(heads.fold) == 300
    half_mm = script.half_widths_left_out(heads)
    for fold in range(5):
        interval = script.learn(heads, heads.fold != fold)
        own = heads.fold == fold
        expected = [
            interval.half_width_mm(a, b)
            for a, b in zip(heads.hc_mm[own], heads.confidence[own], strict=True)
        ]
        assert half_mm[own] == pytest.approx(expected)
    constant = script.half_widths_left_out(heads, "constant")
    assert all(np.ptp(constant[heads.fold == fold]) < 1e-9 for fold in range(5))


def test_files_must_be_folds(script: ModuleType, folds: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a name such as"):
        script.read_models([tmp_path / "results.csv"])
    with pytest.raises(DataError, match="some-model has 1 fold"):
        script.read_models(folds[:1])


def test_on_the_bundled_models_every_fold_and_size_is_held_as_far_as_chance_allows(
    script: ModuleType,
) -> None:
    """The results that are here: within three standard errors of 90 %, by fold and by size."""
    names = ("hc18-edge", "hc18-edge-int8")
    paths = [BENCHMARKS / "results" / f"{name}-fold{k}.csv" for name in names for k in range(5)]
    if not all(path.is_file() for path in paths):
        pytest.skip("no results of folds here")
    for heads in script.read_models(paths).values():
        held = np.abs(heads.error_mm) <= script.half_widths_left_out(heads)
        assert held.mean() == pytest.approx(0.9, abs=0.02)
        for fold in range(5):
            assert held[heads.fold == fold].mean() == pytest.approx(0.9, abs=0.075)
        assert script._by_thirds(held, heads.hc_mm) == pytest.approx([0.9] * 3, abs=0.055)
