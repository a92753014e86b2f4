"""Processes that share parts, and die."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import pytest

from edgeseg.archive import pool
from edgeseg.archive.part_worker import Done, measure_part
from edgeseg.archive.plan import Plan
from edgeseg.errors import ModelNotFoundError, OutputWriteError
from tests.archive.parts import measure, measured_by_infer, open_archive, rows_of


def test_processes_share_parts(plan: Plan, scans: Path, tmp_path: Path) -> None:
    counted: list[int] = []
    done = list(measure(plan, threads=2, processes=2, on_rows=counted.append))
    assert sorted(each.number for each in done) == [0, 1, 2, 3]
    assert sum(counted) == 7
    assert rows_of(plan) == measured_by_infer(scans, tmp_path / "folder")
    assert not active_children()


def test_a_process_that_dies_is_replaced(plan: Plan, scans: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(n_images: int) -> None:
        if n_images and not killed:
            (first, *_rest) = active_children()
            assert first.pid is not None
            killed.append(first.pid)
            first.kill()

    done = list(measure(plan, threads=2, processes=2, on_rows=kill))
    assert killed and {each.number for each in done} <= {0, 1, 2, 3}
    assert not open_archive(plan).find_missing()
    assert rows_of(plan) == measured_by_infer(scans, tmp_path / "folder")


def die(plan: Plan, threads: int, number: int) -> list[Done]:
    os._exit(9)


def die_of_part_2(plan: Plan, threads: int, number: int) -> list[Done]:
    if number == 2:
        os._exit(9)
    return measure_part(plan, threads, number)


def test_a_part_that_kills_each_process_is_told_at_last(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a memory that is too small, say; all other parts are written."""
    monkeypatch.setattr(pool, "measure_in_process", die_of_part_2)
    monkeypatch.setattr(pool, "MAX_DEATHS", 3)
    with pytest.raises(OutputWriteError, match="of part 2 the process died 3 times"):
        list(measure(plan, threads=2, processes=2))
    assert open_archive(plan).find_missing() == [2]
    assert not active_children()


def test_processes_that_die_at_once_are_not_started_for_ever(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "measure_in_process", die)
    monkeypatch.setattr(pool, "MAX_FIRST_DEATHS", 3)
    with pytest.raises(OutputWriteError, match="3 processes died one after the other"):
        list(measure(plan, threads=2, processes=2))


class Death(Exception):
    """Of a task's process."""


def run_tasks(dies: Callable[[int, int], bool], n_parts: int = 6) -> list[int]:
    """Run tasks two at once, which die or not by their part and how often it was tried before."""
    tries: Counter[int] = Counter()
    n_running = 0

    def submit(number: int) -> Future[list[Done]]:
        nonlocal n_running
        n_running += 1
        assert n_running <= 2
        future: Future[list[Done]] = Future()
        if dies(number, tries[number]):
            future.set_exception(Death())
        else:
            future.set_result([Done(number, {"ok": 1})])
        tries[number] += 1
        n_running -= 1
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


def test_what_a_process_cannot_open_is_told(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="none"):
        list(measure(replace(plan, model=str(tmp_path / "none")), processes=2))


def test_a_fault_in_a_process_is_told_as_it_is(plan: Plan) -> None:
    broken = replace(plan, calibration="none")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="asdict") as raised:
        list(measure(broken, threads=2, processes=2))
    assert "part_worker.py" in str(raised.value.__cause__)  # where it was, too
