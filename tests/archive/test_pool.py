"""Processes that share parts, on one machine or a cluster of Ray, and die."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import pytest

from edgeseg.archive import pool
from edgeseg.archive.manifest_writer import write_manifest
from edgeseg.archive.part_worker import Done
from edgeseg.archive.place import place_of
from edgeseg.archive.plan import Plan
from edgeseg.errors import ConfigError, OutputWriteError
from tests.archive.conftest import measure, measured_by_infer, open_archive, rows_of
from tests.conftest import benchmark_script


def test_processes_share_parts_and_one_that_dies_is_replaced(
    plan: Plan, scans: Path, tmp_path: Path
) -> None:
    killed: list[int] = []
    counts: list[int] = []

    def kill(n_images: int) -> None:
        counts.append(n_images)
        if not killed:
            first = active_children()[0]
            assert first.pid is not None
            killed.append(first.pid)
            first.kill()

    list(measure(plan, threads=2, processes=2, on_rows=kill))
    assert killed and 0 < sum(counts) <= 7
    assert not open_archive(plan).find_missing() and not active_children()
    assert rows_of(plan) == measured_by_infer(scans, tmp_path / "folder")


def test_a_process_ends_though_it_measures(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "partial", lambda *_: partial(time.sleep, 30))
    lane = pool._Lane(plan, 1)
    heeds = lane._pool.submit(signal.getsignal, signal.SIGINT)
    assert heeds.result() == signal.SIG_IGN  # Ctrl-C reaches it too
    future = lane.submit(0)
    lane.close()
    with pytest.raises(BrokenProcessPool):
        future.result()


class Death(Exception):
    """Of a task's process."""


def run_tasks(dies: Callable[[int, int], bool], n_parts: int = 6) -> list[int]:
    """Run tasks two at once, which die or not by their part and how often it was tried before."""
    tries: Counter[int] = Counter()

    def submit(number: int) -> Future[list[Done]]:
        future: Future[list[Done]] = Future()
        if dies(number, tries[number]):
            future.set_exception(Death())
        else:
            future.set_result([Done(number, Counter(["ok"]))])
        tries[number] += 1
        return future

    return [done.number for done in pool.run_tasks(range(n_parts), submit, lambda: 2, (Death,))]


def test_deaths_end_no_run_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(run_tasks(lambda number, tries: tries < 9)) == [0, 1, 2, 3, 4, 5]
    monkeypatch.setattr(pool, "MAX_FIRST_DEATHS", 3)
    assert sorted(run_tasks(lambda number, tries: number > 1 and tries < 9)) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(OutputWriteError, match="of part 2, 4 the process died 10 times"):
        run_tasks(lambda number, tries: number in (2, 4))
    with pytest.raises(OutputWriteError, match="3 processes died one after the other"):
        run_tasks(lambda number, tries: tries < 1)


def test_a_fault_in_a_process_is_told_as_it_is(plan: Plan) -> None:
    broken = replace(plan, calibration="none")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="asdict") as raised:
        list(measure(broken, threads=2, processes=2))
    assert "part_worker.py" in str(raised.value.__cause__)  # where it was, too


@pytest.mark.ray
@pytest.mark.nightly
@pytest.mark.parametrize("kills", [("task",), ("driver", "task")])
def test_each_frame_has_one_row_though_processes_and_driver_are_killed(
    plan: Plan, scans: Path, tmp_path: Path, kills: tuple[str, ...]
) -> None:
    pytest.importorskip("ray")
    processes_below = benchmark_script("archive_deaths").processes_below
    for i in range(20):  # enough parts that some are under way whenever something dies
        os.link(scans / "a.png", scans / f"more{i}.png")
    write_manifest([str(scans)], place_of(plan.manifest), 0.2)
    command = [sys.executable, "-m", "edgeseg", "archive", plan.manifest, "--out", plan.out]
    command += ["--part-size", "3", "--ray", "local", "--threads", "2"]
    whole = replace(plan, part_size=3)
    for killed in (*kills, "nothing"):  # a busy machine may not start Ray at the first try
        if killed == "nothing" and not open_archive(whole).find_missing():
            break
        with (tmp_path / killed).open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            busy: list[int] = []
            while killed != "nothing" and not busy and process.poll() is None:
                busy = processes_below(process.pid, b"ray::measure_part")
                time.sleep(0.02)
            for pid in [process.pid] if killed == "driver" else busy[:1]:
                os.kill(pid, signal.SIGKILL)
            assert process.wait() in ((-signal.SIGKILL,) if killed == "driver" else (0, 1))
        finally:
            process.kill()
            process.wait()
    assert not open_archive(whole).find_missing(), (tmp_path / "task").read_text()
    assert rows_of(whole) == measured_by_infer(scans, tmp_path / "folder")


@pytest.mark.ray
def test_an_address_where_nobody_listens_is_told_at_once(plan: Plan) -> None:
    pytest.importorskip("ray")
    from edgeseg.archive.on_ray import measure_parts_on_ray

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", f"[::1]:{port}", "a:b"):
        with pytest.raises(ConfigError, match="no Ray cluster at"):
            next(measure_parts_on_ray(plan, [0], address))
