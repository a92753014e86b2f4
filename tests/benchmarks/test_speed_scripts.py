from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeseg.drawing.encode import encode
from edgeseg.inputs.discover import discover
from edgeseg.inputs.pixel_sizes import PixelSizes
from edgeseg.output.table import TIMING_COLUMNS, read_rows
from edgeseg.phantom.head import Phantom
from edgeseg.run.folder import FolderRun
from edgeseg.segmenter import Segmenter
from tests.conftest import benchmark_script
from tests.fakes import Clock

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the scripts read Linux's accounting"
)


def test_a_process_is_told_its_cost() -> None:
    processes = benchmark_script("library.processes")
    block = "x = bytearray(100 << 20)\nfor _ in range(10**6): pass"
    small = processes.run([sys.executable, "-c", "pass"])
    large = processes.run([sys.executable, "-c", block], cores=[0])
    assert large.peak_rss_mb - small.peak_rss_mb == pytest.approx(100, abs=5)


def test_times_are_those_the_system_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    processes, clock = benchmark_script("library.processes"), Clock()
    usage = SimpleNamespace(ru_utime=1.5, ru_stime=0.25, ru_maxrss=2048)
    ended = clock.takes(3000, lambda pid, _: (pid, 5 << 8, usage))
    monkeypatch.setattr(processes, "time", clock)
    monkeypatch.setattr(processes.os, "posix_spawnp", lambda *_, **__: 17)
    monkeypatch.setattr(processes.os, "wait4", ended)
    with pytest.raises(SystemExit) as end:
        processes.launch("", "command")
    assert end.value.code == 5
    assert json.loads(capsys.readouterr().out) == [3.0, 1.75, 2.0]


def test_a_process_that_fails_is_heard() -> None:
    with pytest.raises(SystemExit, match="status 3: sorry"):
        benchmark_script("library.processes").run(
            [sys.executable, "-c", "import sys; sys.stderr.write('sorry'); sys.exit(3)"]
        )


def test_turns_give_medians_and_do_not_count_the_first() -> None:
    processes = benchmark_script("library.processes")
    order: list[str] = []

    def row(name: str, walls: list[float]) -> processes.Cost:  # type: ignore[name-defined]
        order.append(name)
        return processes.Cost(walls.pop(0), 1.0, 2.0)

    a, b = [9.0, 1.0, 5.0, 2.0], [9.0, 3.0, 3.0, 3.0]
    costs = processes.take_turns({"a": lambda: row("a", a), "b": lambda: row("b", b)}, 3)
    assert order == ["a", "b"] * 4
    assert costs == {"a": (2.0, 1.0, 2.0), "b": (3.0, 1.0, 2.0)}


def test_processes_on_all_cores_share_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, costs = benchmark_script("folder_speed"), benchmark_script("library.processes").Cost
    of_core = {0: costs(3.0, 1.0, 10.0), 1: costs(5.0, 2.0, 20.0)}

    def run(command: list[str], cores: list[int]) -> Any:
        Path(command[-1]).mkdir()  # new for each
        return of_core[cores[0]]

    monkeypatch.setattr(script, "run", run)
    assert script.one_on_each_core(["command"], tmp_path, [0, 1]) == (2.5, 1.5, 30.0)
    assert not list(tmp_path.iterdir())  # what each wrote is gone


def test_the_plain_loop_measures_what_infer_does(
    segmenter: Segmenter, phantoms: list[Phantom], tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for phantom in phantoms[:3]:
        (scans / phantom.name).write_bytes(encode(".png", phantom.image))
    benchmark_script("folder_speed").loop("hc18-edge", scans, tmp_path / "loop")
    items = discover([str(scans)]).items
    FolderRun(segmenter, items, PixelSizes(items, 0.1), tmp_path / "run").run()
    rows = [list(read_rows(tmp_path / name / "results.csv")) for name in ("loop", "run")]
    for row in (*rows[0], *rows[1]):
        for column in TIMING_COLUMNS:
            del row[column]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 3
    pictures = sorted(p.relative_to(tmp_path / "loop") for p in (tmp_path / "loop").rglob("*.*g"))
    assert len(pictures) == 6


def test_live_compares_a_stream_and_the_bare_network(segmenter: Segmenter) -> None:
    found = benchmark_script("live").compare(segmenter, 0.0, rounds=2, runs=3)
    assert found["stream_ms"]["p50"] > 0
    ratio = found["stream_ms"]["p99"] / found["bare_ms"]["p99"]
    assert found["p99_ratio"] == pytest.approx(ratio, abs=0.002)
