from __future__ import annotations

import json

import pytest

from edgeseg.network.task import Task
from edgeseg.output.record import record_of
from edgeseg.output.table import Row, columns, failed_row
from edgeseg.segmenter import Segmenter
from tests.fakes import LESIONS, FakeSession, open_fake

ASKED = {"arguments": {"inputs": ["scans"]}, "options": {"batch": 2}}


def row(status: str, *times_ms: float) -> Row:
    names = ("decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms")
    blank: Row = dict.fromkeys(columns(Task()))
    return blank | {"status": status} | dict(zip(names, times_ms, strict=bool(times_ms)))


ROWS = [
    row("ok", 1.0, 2.0, 30.0, 4.0),
    failed_row("b.png", "cut short", Task()),
    row("empty", 3.0, 2.5, 10.0, 0.0),
    row("doubtful", 2.0, 1.5, 20.0, 2.0),
]


def test_the_record_says_what_was_asked_and_what_came(segmenter: Segmenter) -> None:
    record = record_of(segmenter, ASKED, status="done", n_images=4, rows=ROWS, wall_s=1.23456)
    assert json.loads(json.dumps(record)) == record
    assert list(record) == [
        "status", "arguments", "options", "versions", "host", "model", "counts", "timings",
    ]  # fmt: skip
    assert record["status"] == "done"
    assert record["arguments"] == ASKED["arguments"]
    assert record["options"] == ASKED["options"]
    assert record["counts"] == {
        "n_images": 4, "ok": 1, "doubtful": 1, "empty": 1, "failed": 1,
    }  # fmt: skip
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
    assert record["counts"] == {
        "n_images": 4, "ok": 0, "doubtful": 0, "empty": 0, "failed": 0,
    }  # fmt: skip
    assert set(record["timings"]["stages_ms"].values()) == {None}


def test_another_task_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = open_fake(monkeypatch, FakeSession(metadata=LESIONS))
    record = record_of(fake, ASKED, status="running", n_images=0)
    assert record["model"]["task"] == LESIONS.task.as_dict()
