"""On a cluster of this machine, whose processes are killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ray")

from edgeseg.archive.manifest_writer import write_manifest
from edgeseg.archive.on_ray import measure_parts_on_ray
from edgeseg.archive.place import place_of
from edgeseg.archive.plan import Plan
from edgeseg.errors import ConfigError
from tests.archive.parts import measured_by_infer, open_archive, rows_of
from tests.conftest import benchmark_script

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="ray")]
processes_below = benchmark_script("archive_deaths").processes_below


@pytest.mark.parametrize(
    "kills", [("task",), pytest.param(("driver", "task"), marks=pytest.mark.nightly)]
)
def test_each_frame_has_one_row_though_processes_and_driver_are_killed(
    plan: Plan, scans: Path, tmp_path: Path, kills: tuple[str, ...]
) -> None:
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


def test_an_address_where_nobody_listens_is_told_at_once(plan: Plan) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", f"[::1]:{port}", "a:b"):
        with pytest.raises(ConfigError, match="no Ray cluster at"):
            next(measure_parts_on_ray(plan, [0], address))
