"""The golden set's comparison sees what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.conftest import benchmark_script

golden = benchmark_script("library.golden.figures")
comparing = benchmark_script("library.golden.compare")


def folder(path: Path, hc_mm: str = "172.000", reason: str = "", level: int = 255) -> Path:
    """Write a results folder of one image."""
    (path / "masks").mkdir(parents=True)
    mask = np.zeros((4, 5), np.uint8)
    mask[1, 2] = level
    cv2.imwrite(str(path / "masks" / "a.png"), mask)
    header = "file,frame,status,reason,hc_mm,inference_ms"
    (path / "results.csv").write_text(f"\ufeff{header}\na.png,,ok,{reason},{hc_mm},{hash(path)}\n")
    return path


@pytest.mark.parametrize(
    ("changed", "item", "column"),
    [
        ({"hc_mm": "172.001"}, "a.png", "hc_mm"),
        ({"level": 254}, "masks/a.png", "pixels"),
        ({"reason": "dark"}, "a.png", "has a reason"),
        ({}, "masks/a.png", ""),
    ],
)
def test_a_figure_or_pixel_that_differs_is_told(
    changed: dict[str, Any], item: str, column: str, tmp_path: Path
) -> None:
    before = golden.read_results(folder(tmp_path / "before"))
    now = golden.read_results(folder(tmp_path / "now", **changed))
    if not changed:  # times are no difference, a missing file is one
        assert [*comparing.find_differences(before, now)] == []
        del now[item]
    found = [*comparing.find_differences(before, now)]
    assert any(each.item == item and column in each.column for each in found)
    intended = [comparing.Intended("*", "reason", "new sentences")]
    assert comparing.report("part", 1, found, intended, tmp_path) == 1
    assert column in (tmp_path / "part.csv").read_text()
