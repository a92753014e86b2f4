from __future__ import annotations

import json

import pytest

from edgeseg.network.task import Task
from edgeseg.output.record import record_of
from edgeseg.output.table import TIMING_COLUMNS, Row, failed_row
from edgeseg.segmenter import Segmenter

ASKED = {"arguments": {"inputs": ["scans"]}, "options": {"batch": 2}}
FAILED = failed_row("b.png", "cut short", Task())


def row(status: str, *times_ms: float) -> Row:
    return FAILED | {"status": status} | dict(zip(TIMING_COLUMNS, times_ms, strict=True))


def test_the_record_says_what_was_asked_and_what_came(segmenter: Segmenter) -> None:
    rows = [
        row("ok", 1.0, 2.0, 30.0, 4.0),
        FAILED,
        row("empty", 3.0, 2.5, 10.0, 0.0),
        row("doubtful", 2.0, 1.5, 20.0, 2.0),
    ]
    record = record_of(segmenter, ASKED, status="done", n_images=4, rows=rows, wall_s=1.23456)
    assert json.loads(json.dumps(record)) == record
    assert list(record) == [
        "status", "arguments", "options", "versions", "host", "model", "counts", "timings",
    ]  # fmt: skip
    assert record["status"] == "done"
    assert {key: record[key] for key in ASKED} == ASKED
    ones = dict.fromkeys(("ok", "doubtful", "empty", "failed"), 1)
    assert record["counts"] == {"n_images": 4} | ones
    assert record["timings"]["wall_s"] == 1.235
    means = {"decode": 2, "preprocess": 2, "inference": 20, "postprocess": 2}
    assert record["timings"]["stages_ms"] == pytest.approx(means)
    assert record["model"] == {
        "name": "hc18-edge",
        "sha256": segmenter.file.sha256,
        "size_bytes": segmenter.file.size_bytes,
        "precision": segmenter.metadata.precision,
        "input_height": 192,
        "input_width": 288,
        "task": {"kind": "head"},
        "provider": "CPUExecutionProvider",
    }


def test_a_run_that_began_has_no_results_yet(segmenter: Segmenter) -> None:
    record = record_of(segmenter, ASKED, status="running", n_images=4)
    assert record["status"] == "running"
    assert set(record["counts"].values()) == {4, 0}
    assert set(record["timings"]["stages_ms"].values()) == {None}
