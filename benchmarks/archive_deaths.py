"""Whether an archive has each frame once, whatever is killed while it is measured.

    python benchmarks/archive_deaths.py --data HC18 --deaths 20

The labelled images of HC18 are measured in parts of 20 again and again, while processes are killed
with SIGKILL at random moments: the run, a process that it started, one of two shares that run
beside each other, and on a local cluster of Ray of two cores a process that measures, and the
driver. A run that was killed is started again at once, until it ends by itself; then all rows are
held to the manifest and to those of `edgeseg infer`. Prints Markdown, and leaves
``results/archive-deaths.json``.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from library.archives import PIXEL_SIZE_MM, listed, rows_of, untimed
from library.processes import EDGESEG, write_result

from edgeseg.archive.manifest_writer import write_manifest
from edgeseg.archive.place import place_of

_LONGEST_S = 2.5  # from when something can be killed until it is


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a command that says nothing."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def processes_below(pid: int, title: bytes) -> list[int]:
    """Return the processes that a process started, and those that they started, by title."""
    parents: dict[int, int] = {}
    titles: dict[int, bytes] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                titles[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat[1])
    near = (pid, *(child for child, parent in parents.items() if parent == pid))
    return [each for each, parent in parents.items() if parent in near and title in titles[each]]


def itself(pid: int, title: bytes | None) -> list[int]:
    """Return a process, with a title only once there is one of it below."""
    return [pid] if title is None or processes_below(pid, title) else []


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether a process is over."""
    return process.poll() is not None


def kill_later(find: Callable[[], list[int]], is_over: Callable[[], bool]) -> bool:
    """Kill one of some processes at a random moment; returns whether one was there."""
    while not find():
        if is_over():
            return False
        time.sleep(0.02)
    time.sleep(random.uniform(0, _LONGEST_S))
    found = find()
    return bool(found) and not is_over() and kill(random.choice(found))


def kill(pid: int) -> bool:
    """Kill a process; returns whether it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kill_inner(command: list[str], deaths: int, title: bytes) -> int:
    """Kill processes that a run started until it ends; returns how many died."""
    n_deaths = 0
    process = start(command)
    while process.poll() is None:
        if n_deaths < deaths:
            find = partial(processes_below, process.pid, title)
            n_deaths += kill_later(find, partial(has_ended, process))
        else:
            process.wait()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with status {process.returncode}")
    return n_deaths


def kill_outer(commands: list[list[str]], deaths: int, title: bytes | None) -> int:
    """Kill one of some runs, and start it again, until all end; returns how often one died.

    With a title, a run is killed only once it has such a process.
    """
    n_deaths = 0
    running = {i: start(command) for i, command in enumerate(commands)}
    while running:
        for i, process in [*running.items()]:
            if process.poll() is not None:
                del running[i]
        if not running or n_deaths >= deaths:
            for process in running.values():
                process.wait()
            return n_deaths
        i = random.choice([*running])
        process = running[i]

        find = partial(itself, process.pid, title)
        if kill_later(find, partial(has_ended, process)):
            process.wait()
            n_deaths += 1
            running[i] = start(commands[i])
    return n_deaths


def main() -> None:
    """Kill, count, print and store."""
    parser = argparse.ArgumentParser(description="Whether killed archives are whole.")
    parser.add_argument("--data", type=Path, required=True, help="HC18 folder")
    parser.add_argument("--model", default="hc18-nano")
    parser.add_argument("--deaths", type=int, default=20, help="of each kind")
    parser.add_argument("--repeats", type=int, default=3, help="times the images are listed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        top = Path(folder)
        inputs = listed(options.data, options.repeats, top)
        manifest = top / "m.parquet"
        write_manifest(inputs, place_of(str(manifest)), PIXEL_SIZE_MM)
        told = ["--model", options.model, "--device", "cpu"]
        infer = [*EDGESEG, "infer", *inputs, *told, "--pixel-size", str(PIXEL_SIZE_MM)]
        quiet = ["--no-masks", "--no-overlays", "--out", str(top / "infer")]
        subprocess.run([*infer, *quiet], capture_output=True, check=True)
        with (top / "infer" / "results.csv").open(encoding="utf-8-sig", newline="") as stream:
            wanted = untimed(csv.DictReader(stream))
        archive = [*EDGESEG, "archive", str(manifest), *told, "--part-size", "20"]
        alone = [*archive, "--processes", "2", "--threads", "2"]
        ray = [*archive, "--ray", "local", "--threads", "2"]
        child, task = b"spawn_main", b"ray::measure_part"
        kinds: dict[str, Callable[[list[str], int], int]] = {
            "the run": lambda out, n: kill_outer([alone + out], n, None),
            "a process of it": lambda out, n: kill_inner(alone + out, n, child),
            "one of two shares": lambda out, n: kill_outer(
                [[*archive, *out, "--threads", "1", "--shard", f"{i}/2"] for i in (1, 2)], n, None
            ),
            "a process of Ray's": lambda out, n: kill_inner(ray + out, n, task),
            "Ray's driver": lambda out, n: kill_outer([ray + out], n, task),
        }
        result = []
        for kind, measure in kinds.items():
            total: Counter[str] = Counter()
            while total["deaths"] < options.deaths:
                out = top / f"{kind}-{total['archives']}"
                total["deaths"] += measure(["--out", str(out)], options.deaths - total["deaths"])
                total.update({"archives": 1, **held_to(wanted, rows_of(out))})
                print(kind, dict(total), flush=True)  # noqa: T201
            result.append({"killed": kind, **total})
    write_result("archive-deaths", {"seed": options.seed, "rows": result})
    print("| killed | times | archives | rows | lost | twice | other than infer's |")  # noqa: T201
    print("|---|--:|--:|--:|--:|--:|--:|")  # noqa: T201
    for line in result:
        print(f"| {' | '.join(map(str, line.values()))} |")  # noqa: T201
    if any(line["lost"] or line["twice"] or line["differing"] for line in result):
        sys.exit("an archive is not whole")


def held_to(wanted: list[dict[str, str]], found: list[dict[str, str]]) -> dict[str, Any]:
    """Count the rows that are not there, there twice, or not as wanted."""
    counts = Counter(row["file"] for row in found)
    of = {row["file"]: row for row in found}
    return {
        "rows": len(found),
        "lost": sum(row["file"] not in counts for row in wanted),
        "twice": sum(count > 1 for count in counts.values()),
        "differing": sum(of.get(row["file"]) not in (None, row) for row in wanted),
    }


if __name__ == "__main__":
    main()
