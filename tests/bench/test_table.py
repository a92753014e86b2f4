from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from edgeseg.bench import table as benchmark_table
from edgeseg.bench.table import choice_text
from edgeseg.bench.table import choose as choice_of
from edgeseg.errors import DataError, InputNotFoundError


def result(**changed: Any) -> dict[str, Any]:
    accuracy = {
        "data": {"n_images": 160},
        "metrics": {"dice": {"mean": 0.9773}, "hc_error_mm": {"mad": 1.92}},
    }
    latency = {"mean": 11.2, "p50": 11.0, "p90": 12.0, "p99": 14.0, "min": 10.5, "max": 15.0}
    return {
        "model": "hc18-edge", "precision": "fp16", "provider": "CPUExecutionProvider",
        "threads": 1, "batch": 1, "latency_ms": latency, "cpu_ms": 11.1, "power_w": None,
        "images_per_s": 61.4, "peak_rss_mb": 150.2, "size_bytes": 4_800_000, "accuracy": accuracy,
    } | changed  # fmt: skip


def report(*results: dict[str, Any], **host: Any) -> dict[str, Any]:
    state = {"frequency_mhz": 1800.0, "temperature_c": 61.3, "throttled": "0x0"}
    machine = {
        "cpu": "Raspberry Pi 5", "cores": 4, "memory_mb": 8000, "os": "Linux",
        "governor": "ondemand",
        "versions": {"python": "3.11.2", "onnxruntime": "1.23.0", "edgeseg": "0.1.0"},
        "before": state, "after": state | {"temperature_c": 74.9, "throttled": "0x20000"},
    }  # fmt: skip
    return {"host": machine | host, "results": list(results)}


def test_markdown_holds_figures_machine_state_and_command() -> None:
    measured = report(result(), result(batch=8, peak_rss_mb=None, accuracy=None, power_w=6.25))
    text = benchmark_table.markdown(measured | {"command": "edgeseg benchmark hc18-edge"})
    lines = text.splitlines()
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert lines[2] == (
        "| hc18-edge | fp16 | 1 | 1 | CPU | 11.00 | 12.00 | 14.00 | 11.10 | 61.4 | 150 | 4.80 "
        "| 97.73 | 1.92 |"
    )
    assert "| - | 4.80 | - | - |" in lines[3]
    assert "Raspberry Pi 5, 4 cores" in text and "onnxruntime 1.23.0" in text
    assert "before: 1800 MHz, 61.3 °C, throttled 0x0, governor ondemand" in text
    assert "after: 1800 MHz, 74.9 °C, throttled 0x20000" in text
    assert "hc18-edge 6.2 W" in text
    assert "```\nedgeseg benchmark hc18-edge\n```" in text
    unknown = {"frequency_mhz": None, "temperature_c": None, "throttled": None}
    text = benchmark_table.markdown(report(result(), before=unknown, after=unknown, governor=None))
    assert "Processor" not in text and "```" not in text and "None" not in text


def measured(name: str, p50_ms: float, data_mm: float | None = None, **more: Any) -> dict[str, Any]:
    accuracy = data_mm and {"metrics": {"hc_error_mm": {"mad": data_mm}}}
    row = result(model=name, sha256=name, latency_ms={"p50": p50_ms}, accuracy=accuracy)
    return row | more


def cards(**errors_mm: float) -> dict[str, Any]:
    figures = {name: {"figures": {"hc_mad_mm": error}} for name, error in errors_mm.items()}
    return {name: {"sha256": name, "metrics": metrics} for name, metrics in figures.items()}


A, B, MINE = measured("a", 9), measured("b", 5), measured("mine", 2)
A_ON_DATA, B_ON_DATA = measured("a", 9, 1.8), measured("b", 5, 1.9)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # c is fastest but less accurate; b and a are equal, b with one thread the faster
        ([A, B, measured("c", 1)], "b"),
        # with more threads or a larger batch another would be
        ([A, B, measured("a", 4, threads=2)], "b"),
        ([A, B, measured("a", 4, batch=8)], "b"),
        # a model without a card: not judged, unless all are judged by the data
        ([A, B, MINE], "b"),
        ([A_ON_DATA, B_ON_DATA, measured("mine", 2, 1.84)], "mine"),
        ([A_ON_DATA, B_ON_DATA, measured("mine", 2, 1.9)], "a"),
        ([A_ON_DATA, B_ON_DATA], "b"),
        # nothing to choose from
        ([A, MINE], None),
        ([], None),
    ],
)
def test_the_fastest_of_the_equally_accurate_is_chosen(
    rows: list[dict[str, Any]], expected: str | None
) -> None:
    choice = choice_of(rows, cards(a=1.96, b=2.0, c=2.02))
    assert (choice and choice["model"]) == expected
    if choice and choice["judged_by"] == "cards":
        text = choice_text(choice)
        for part in ("b, the fastest (5.00 ms, ", "their cards", "1.96 mm", "2.00 mm"):
            assert part in text
        assert ("not judged, without a card or without --data: mine." in text) == (MINE in rows)
        assert text in benchmark_table.markdown(report(result()) | {"choice": choice})


def test_growth_past_the_tolerance_is_worse() -> None:
    before = report(result(), result(threads=2))
    now = copy.deepcopy(before)
    now["results"][0]["latency_ms"]["p50"] = 11.0 * 1.11
    now["results"][1]["peak_rss_mb"] = 150.2 * 1.09
    changes, remarks = benchmark_table.compare(before, now, 0.1)
    assert [c.figure for c in changes[:3]] == ["p50 ms", "peak MiB", "HC MAD mm"]
    assert [c.worse for c in changes] == [True, False, False, False, False, False]
    assert [changes[0].ratio, changes[4].ratio] == pytest.approx([1.11, 1.09])
    assert not remarks
    assert not any(c.worse for c in benchmark_table.compare(before, now, 0.12)[0])


def test_rows_that_have_no_partner_and_other_machines_are_named() -> None:
    before = report(result(), result(threads=2))
    now = report(result(), result(threads=4), cpu="another")
    changes, remarks = benchmark_table.compare(before, now, 0.1)
    assert len(changes) == 3
    for part in ("threads 4", "threads 2", "Raspberry Pi 5 before, another now"):
        assert any(part in remark for remark in remarks)
    with pytest.raises(DataError, match="nothing to compare"):
        benchmark_table.compare(report(result(model="other")), now, 0.1)


def test_errors_are_compared_on_the_same_data_only() -> None:
    others = copy.deepcopy(result())
    others["accuracy"]["data"]["sha256"] = "another"
    ours, others, without = report(result()), report(others), report(result(accuracy=None))
    for before, now, n_remarks in ((ours, others, 1), (without, ours, 0), (ours, without, 0)):
        changes, remarks = benchmark_table.compare(before, now, 0.1)
        assert [change.figure for change in changes] == ["p50 ms", "peak MiB"]
        assert len(remarks) == n_remarks


def test_a_file_that_is_no_benchmark_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    with pytest.raises(InputNotFoundError):
        benchmark_table.read_report(path)
    for text in ("", "[]", '{"results": []}', '{"host": {}, "results": [{"model": "a"}]}'):
        path.write_text(text)
        with pytest.raises(DataError, match="not a benchmark"):
            benchmark_table.read_report(path)
    path.write_text(json.dumps(report(result())))
    assert benchmark_table.read_report(path)["results"][0]["threads"] == 1
