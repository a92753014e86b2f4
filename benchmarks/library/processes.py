"""Run a command and say what it cost.

A process's peak memory starts at that of the one that started it, so a small one stands between:
this file as a script, which runs its arguments, on the cores its first one says, and prints their
cost.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parents[1] / "results"
EDGESEG = [sys.executable, "-m", "edgeseg"]
_MB = 1024  # ru_maxrss is in KiB on Linux


class Cost(NamedTuple):
    """What a finished process took; ``peak_rss_mb`` in MiB."""

    wall_s: float
    cpu_s: float
    peak_rss_mb: float


def run(
    command: Sequence[str],
    cores: Iterable[int] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Cost:
    """Run a command and return its cost.

    Parameters
    ----------
    command
        Its words.
    cores
        Those it may use; by default all.
    environment
        Its variables; by default those of this process.

    Raises
    ------
    SystemExit
        If it fails; what it said is printed.
    """
    pinned = ",".join(map(str, cores or ()))
    done = subprocess.run(
        [sys.executable, "-I", "-S", __file__, pinned, *command],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr}")
    return Cost(*json.loads(done.stdout))


def launch(cores: str, *command: str) -> None:
    """Run a command, print its cost as JSON and end as it did."""
    if cores:
        os.sched_setaffinity(0, map(int, cores.split(",")))
    quiet = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    started = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[quiet])
    _, status, usage = os.wait4(pid, 0)
    wall_s = time.perf_counter() - started
    print(json.dumps([wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / _MB]))  # noqa: T201
    sys.exit(os.waitstatus_to_exitcode(status))


def take_turns(rows: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """Run each row once a round, one after the other, and return each one's medians.

    A round before the first warms the file cache and is not counted.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in rows}
    for turn in range(rounds + 1):
        for name, row in rows.items():
            cost = row()
            if turn:
                costs[name].append(cost)
                print(f"{name}: {cost.wall_s:.3f} s, {cost.cpu_s:.3f} s CPU", flush=True)  # noqa: T201
    return {
        name: Cost(*(statistics.median(column) for column in zip(*done, strict=True)))
        for name, done in costs.items()
    }


def write_result(name: str, result: dict[str, Any]) -> None:
    """Write a result, with the machine it is of, to ``results/NAME.json``."""
    from edgeseg.system import host
    from edgeseg.system.files import write_json

    machine = host.describe() | {"versions": host.versions()}
    write_json(RESULTS / f"{name}.json", {"host": machine, **result})


if __name__ == "__main__":
    launch(*sys.argv[1:])
