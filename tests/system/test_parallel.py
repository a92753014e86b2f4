"""How many workers a container gets, on trees of files as Linux shows them, and what they do."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import cv2
import pytest
from pytest import MonkeyPatch

from edgeseg.system.parallel import ordered_map, usable_cores

V1 = "9:memory:/else\n4:cpu,cpuacct:/pods/box\n0::/pods/box\n"


@pytest.fixture(autouse=True)
def sixty_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHON_CPU_COUNT", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(48)), raising=False)


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        # a container that sees itself as the root: rounded up, and at most the affinity
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "9999900000 100000\n"}, 48),
        *(("0::/\n", {"cpu.max": text}, 48) for text in ("max 100000", "0 100000", "1 0", "")),
        ("x\n:\n", {}, 48),
        # one that sees the machine's groups: of those on the path the smallest counts
        ("0::/pods/box\n", {"pods/box/cpu.max": "max 100000", "pods/cpu.max": "200000 100000"}, 2),
        ("0::/a/b\n", {"a/cpu.max": "900000 100000", "a/b/cpu.max": "300000 100000"}, 3),
        ("0::/a/b\n", {"other/cpu.max": "100000 100000"}, 48),
        # only its own part is mounted, and so shown at the top
        ("0::/docker/abc\n", {"cpu.max": "300000 100000"}, 3),
        ("0::/../../other\n", {"cpu.max": "300000 100000"}, 3),
        (V1, {"cpu/pods/cpu.cfs_quota_us": "250000", "cpu/pods/cpu.cfs_period_us": "100000"}, 3),
        (V1, {"cpu/pods/cpu.cfs_quota_us": "-1", "cpu/pods/cpu.cfs_period_us": "100000"}, 48),
    ],
)
def test_quota_and_affinity(tmp_path: Path, groups: str, files: dict[str, str], cores: int) -> None:
    tree = {"proc/self/cgroup": groups} | {f"sys/fs/cgroup/{n}": t for n, t in files.items()}
    for name, text in tree.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == cores


def test_workers_follow_what_python_is_told(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    for text, cores in (("2", 2), ("100", 48), ("many", 48), ("", 48)):
        monkeypatch.setenv("PYTHON_CPU_COUNT", text)
        assert usable_cores(tmp_path) == cores
    monkeypatch.delattr(os, "sched_getaffinity")  # which Linux alone has
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1


def test_results_come_in_order_from_several_threads_and_few_are_in_flight() -> None:
    third = threading.Event()

    def first_waits_for_the_third(i: int) -> int:
        if i == 2:
            third.set()
        if i == 0:
            assert third.wait(30)
        return i * i

    items = iter(range(50))
    results = ordered_map(first_waits_for_the_third, items, 4)
    assert next(results) == 0
    assert next(items) < 20
    assert list(results)[:11] == [i * i for i in range(1, 12)]


def test_an_error_comes_out_and_opencv_is_as_before_when_the_last_of_two_ends() -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        with pytest.raises(ZeroDivisionError):
            list(ordered_map(lambda i: 1 // i, range(3, -100, -1), 2))
        assert cv2.getNumThreads() == 3
        first, second = (ordered_map(abs, range(20), 2) for _ in range(2))
        next(first), next(second)
        assert len(list(first)) == 19
        assert cv2.getNumThreads() == 1
        assert len(list(second)) == 19
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
