"""On a cluster of this machine, whose processes are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ray")

from edgeseg.run.archive.manifest import Manifest, write_manifest
from edgeseg.run.archive.place import place_of
from edgeseg.run.archive.plan import Archive, Plan
from tests.run.archive.parts import rows_of
from tests.run.archive.test_archive import measured_by_infer

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="ray")]


def command(plan: Plan) -> list[str]:
    given = ["archive", plan.manifest, "--out", plan.out, "--part-size", str(plan.part_size)]
    return [sys.executable, "-m", "edgeseg", *given, "--ray", "local", "--threads", "2"]


def workers_of(driver: int) -> list[int]:
    """Return the processes of a driver's cluster that measure a part."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                title = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                above = int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if title.startswith(b"ray::_measure") and above == driver:
                found.append(int(entry.name))
    return found


def test_each_frame_has_one_row_though_processes_and_driver_are_killed(
    plan: Plan, scans: Path, tmp_path: Path
) -> None:
    for i in range(40):  # enough parts that some are under way whenever something dies
        os.link(scans / "a.png", scans / f"more{i}.png")
    write_manifest([str(scans)], place_of(plan.manifest), 0.2)
    plan = replace(plan, part_size=3)
    for kill_driver in (True, False):
        process = subprocess.Popen(
            command(plan), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 60
            while not (busy := workers_of(process.pid)) and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            for pid in [process.pid] if kill_driver else busy[:1]:
                os.kill(pid, signal.SIGKILL)
            assert process.wait(120) in ((-signal.SIGKILL,) if kill_driver else (0, 1))
        finally:
            process.kill()
            process.wait()
    archive = Archive(plan, Manifest(plan.manifest))
    assert not archive.missing()
    assert rows_of(plan) == measured_by_infer(scans, tmp_path / "folder")
