"""Processes that share parts, and die."""

from __future__ import annotations

import signal
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
from edgeseg.archive.part_worker import Done
from edgeseg.archive.plan import Plan
from edgeseg.errors import OutputWriteError
from tests.archive.parts import measure, measured_by_infer, open_archive, rows_of


def test_processes_share_parts_and_one_that_dies_is_replaced(
    plan: Plan, scans: Path, tmp_path: Path
) -> None:
    killed: list[int] = []
    counts: list[int] = []

    def kill(n_images: int) -> None:
        counts.append(n_images)
        if n_images and not killed:
            first = active_children()[0]
            assert first.pid is not None
            killed.append(first.pid)
            first.kill()

    list(measure(plan, threads=2, processes=2, on_rows=kill))
    assert killed and sum(counts) >= 7
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
            future.set_result([Done(number, {"ok": 1})])
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
