from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.score import hc18, metrics
from edgeseg.score.evaluate import score_all, summarize, write_csv
from edgeseg.segmenter import Segmenter
from tests.conftest import benchmark_script

SCRIPT = benchmark_script("pool")


def test_pooled_folds_are_the_figures_of_all_their_images(
    segmenter: Segmenter, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = hc18.load_cases(phantom_data)
    scores = score_all(segmenter, cases)
    expected = summarize(segmenter, cases, scores, 1)["metrics"]
    first, second, pooled = (tmp_path / name for name in ("a.csv", "b.csv", "pooled.json"))
    write_csv(first, scores[:5])
    write_csv(second, scores[5:])
    command = ["pool.py", str(first), str(second), "--json", str(pooled)]
    monkeypatch.setattr(sys, "argv", command)
    SCRIPT.main()
    figures = json.loads(pooled.read_text())
    assert figures["n_images"] == len(cases)
    for key in ("dice", "dice_ellipse", "hausdorff_mm", "hc_error_mm"):
        assert figures[key] == pytest.approx(expected[key], abs=1e-3)
    assert figures["large_error_fraction"] == 0
    with pytest.raises(DataError, match="is in two of the files"):
        SCRIPT.read_rows([first, first])
    with pytest.raises(InputNotFoundError, match="no such file"):
        SCRIPT.read_rows([tmp_path / "none.csv"])
    first.write_text("file,hc\n")
    with pytest.raises(DataError, match="expected the columns"):
        SCRIPT.read_rows([first])


def test_auroc_counts_pairs_in_the_right_order() -> None:
    assert metrics.auroc([0.9, 0.8, 0.1], [True, True, False]) == 1
    assert metrics.auroc([0.1, 0.5, 0.5], [True, False, True]) == pytest.approx(0.25)
    assert metrics.auroc([0.1], [True]) is None
