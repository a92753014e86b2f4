from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from edgeseg.inputs.discover import discover
from edgeseg.inputs.facts import PixelSizes
from edgeseg.output.table import TIMING_COLUMNS
from edgeseg.run.folder import measure_folder
from edgeseg.run.worker import Worker
from edgeseg.segmenter import Segmenter
from tests.conftest import benchmark_script
from tests.tables import read_rows

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the scripts read Linux's accounting"
)


def test_a_process_is_told_its_cost_and_its_failure_is_heard() -> None:
    processes = benchmark_script("library.processes")
    block = "x = bytearray(100 << 20)\nfor _ in range(10**6): pass"
    small = processes.run([sys.executable, "-c", "pass"])
    large = processes.run([sys.executable, "-c", block], cores=[0])
    assert large.peak_rss_mb - small.peak_rss_mb == pytest.approx(100, abs=5)
    with pytest.raises(SystemExit, match="status 1: sorry"):
        processes.run([sys.executable, "-c", "raise SystemExit('sorry')"])


def test_the_plain_loop_measures_what_infer_does(
    segmenter: Segmenter, phantom_data: Path, tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for path in sorted(phantom_data.rglob("*_HC.png"))[:3]:
        shutil.copy(path, scans)
    benchmark_script("folder_speed").loop("hc18-edge", scans, tmp_path / "loop")
    items = discover([str(scans)]).items
    measure_folder(Worker(segmenter, PixelSizes(items, 0.1)), items, tmp_path / "run")
    rows = [list(read_rows(tmp_path / name / "results.csv")) for name in ("loop", "run")]
    for row in (*rows[0], *rows[1]):
        for column in TIMING_COLUMNS:
            del row[column]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 3
    assert len([*(tmp_path / "loop").rglob("*.*g")]) == 6
