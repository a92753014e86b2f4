from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.network import zoo
from tests.conftest import benchmark_script

pytest.importorskip("matplotlib")
plots = benchmark_script("plots")


def test_the_front_is_what_no_other_beats() -> None:
    points = [(3.0, 2.0), (1.0, 5.0), (2.0, 5.0), (4.0, 2.0), (5.0, 1.0), (3.0, 2.0), (6.0, 1.5)]
    assert plots.pareto_front(points) == [(1.0, 5.0), (3.0, 2.0), (5.0, 1.0)]


def test_running_medians_ignore_outliers() -> None:
    x = np.arange(120.0)
    y = np.where(x % 10 == 0, 1e6, x)
    medians = plots.running_median(x, y, bins=4)
    np.testing.assert_allclose(medians[0], [14.5, 44.5, 74.5, 104.5])
    np.testing.assert_allclose(medians[1], medians[0], atol=3)


def test_latency_is_drawn_with_the_card_s_error(tmp_path: Path) -> None:
    card = zoo.manifest()["hc18-nano"]
    row = {
        "model": "hc18-nano", "sha256": card["sha256"], "threads": 2, "batch": 1, "accuracy": None,
        "latency_ms": {"p50": 2.5},
    }  # fmt: skip
    accuracy = {"metrics": {"hc_error_mm": {"mad": 2.1}}}
    mine = {"model": "mine", "sha256": "another", "threads": 1, "accuracy": accuracy} | {
        "latency_ms": {"p50": 4.0}  # an old report says nothing of batches
    }
    results = [row, row | {"sha256": "another"}, mine]
    report = {"host": {"cpu": "some"}, "results": results}
    plots.draw_latency(report, zoo.manifest(), tmp_path / "latency.png")
    picture = cv2.imread(str(tmp_path / "latency.png"))
    assert picture is not None and picture.std() > 5
    with pytest.raises(DataError, match="no row of one image at a time has an HC error"):
        plots.draw_latency(
            report | {"results": [row, mine | {"batch": 8}]}, {}, tmp_path / "none.png"
        )
    assert not (tmp_path / "none.png").exists()
