from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.score import hc18, metrics
from edgeseg.score.evaluate import score_all, summarize, write_csv
from edgeseg.segmenter import Segmenter
from tests.conftest import benchmark_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return benchmark_script("pool")


def test_pooled_folds_are_the_figures_of_all_their_images(
    script: ModuleType,
    segmenter: Segmenter,
    phantom_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases = hc18.load_cases(phantom_data)
    scores = score_all(segmenter, cases)
    expected = summarize(segmenter, cases, scores, 1)["metrics"]
    write_csv(tmp_path / "a.csv", scores[:5])
    write_csv(tmp_path / "b.csv", scores[5:])
    command = ["pool.py", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), "--json"]
    monkeypatch.setattr(sys, "argv", [*command, str(tmp_path / "pooled.json")])
    script.main()
    pooled = json.loads((tmp_path / "pooled.json").read_text())
    assert pooled["n_images"] == len(cases)
    for key in ("dice", "dice_ellipse", "hausdorff_mm", "hc_error_mm"):
        assert pooled[key] == pytest.approx(expected[key], abs=1e-3)
    assert pooled["large_error_fraction"] == 0
    assert set(pooled["auroc"].values()) == {None}
    assert "hc_error_mm" in capsys.readouterr().out


def test_an_image_counts_once(
    script: ModuleType, segmenter: Segmenter, phantom_data: Path, tmp_path: Path
) -> None:
    scores = score_all(segmenter, hc18.load_cases(phantom_data)[:2])
    write_csv(tmp_path / "a.csv", scores)
    with pytest.raises(DataError, match="is in two of the files"):
        script.read_rows([tmp_path / "a.csv", tmp_path / "a.csv"])
    with pytest.raises(InputNotFoundError, match="no such file"):
        script.read_rows([tmp_path / "none.csv"])
    (tmp_path / "other.csv").write_text("file,hc\n")
    with pytest.raises(DataError, match="expected the columns"):
        script.read_rows([tmp_path / "other.csv"])


def test_auroc_counts_pairs_in_the_right_order() -> None:
    assert metrics.auroc([0.9, 0.8, 0.1], [True, True, False]) == 1
    assert metrics.auroc([0.1, 0.5, 0.5], [True, False, True]) == pytest.approx(0.25)
    assert metrics.auroc([0.1], [True]) is None


def test_the_figures_tell_how_well_confidence_ranks(script: ModuleType) -> None:
    def row(confidence: float, hc_mm: float, hc_reference_mm: float) -> dict[str, str]:
        error = hc_mm - hc_reference_mm
        values = {"dice": 0.97, "dice_ellipse": 0.97, "hausdorff_mm": 1, "confidence": confidence}
        values |= {"hc_mm": hc_mm, "hc_reference_mm": hc_reference_mm, "hc_error_mm": error}
        return {key: str(value) for key, value in values.items()}

    # a small head 4 % off, of which the model is least sure; a large one 6 mm off, which is 2 %
    rows = [row(0.90, 78, 75), row(0.96, 306, 300), row(0.97, 81, 80), row(0.95, 150, 149)]
    auroc = script.pool(rows)["auroc"]
    assert auroc["above_3_percent_by_confidence"] == 1
    assert auroc["above_5_mm_by_confidence"] == pytest.approx(1 / 3)
    assert auroc["above_5_mm_by_confidence_and_hc"] == 1
