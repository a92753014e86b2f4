"""How many workers a container gets, on trees of files as Linux shows them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edgeseg.system.cgroups import cpu_quota
from edgeseg.system.parallel import usable_cores

V2 = "30 23 0:26 {root} {place} ro,nosuid shared:4 - cgroup2 cgroup rw,nsdelegate"
V1 = "32 31 0:29 {root} {place} rw,relatime - cgroup cgroup rw,{controllers}"


def tree(root: Path, groups: str, mounts: list[str], quotas: dict[str, str]) -> Path:
    """Make ``proc`` and ``sys`` of a process in some groups; quotas are files below ``sys``."""
    own = root / "proc" / "self"
    own.mkdir(parents=True)
    (own / "cgroup").write_text(groups)
    (own / "mountinfo").write_text("\n".join(["22 1 8:1 / / rw - ext4 /dev/sda1 rw", *mounts, ""]))
    for name, text in quotas.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def version_2(root: Path, group: str, mounted: str, quotas: dict[str, str]) -> Path:
    mount = V2.format(root=mounted, place="/sys/fs/cgroup")
    quotas = {f"{name}/cpu.max" if name else "cpu.max": text for name, text in quotas.items()}
    return tree(root, f"0::{group}\n", [mount], quotas)


@pytest.mark.parametrize(
    ("group", "mounted", "quotas", "cores"),
    [
        # a container that sees itself as the root
        ("/", "/", {"": "150000 100000\n"}, 1.5),
        ("/", "/", {"": "max 100000\n"}, None),
        ("/", "/", {}, None),
        # one that sees the machine's groups: of those on the path the smallest counts
        ("/kubepods/pod1/box", "/", {"kubepods/pod1/box": "max 100000"}, None),
        ("/kubepods/pod1/box", "/", {"kubepods/pod1": "200000 100000"}, 2),
        ("/a/b", "/", {"a": "100000 100000", "a/b": "400000 100000"}, 1),
        ("/a/b", "/", {"a": "800000 100000", "a/b": "50000 100000"}, 0.5),
        ("/a/b", "/", {"other": "100000 100000"}, None),
        # only its own part is mounted, and so shown at the top
        ("/docker/abc", "/docker/abc", {"": "300000 100000"}, 3),
        ("/docker/abc/job", "/docker/abc", {"job": "100000 50000", "": "300000 100000"}, 2),
        ("/docker/abcdef", "/docker/abc", {"": "300000 100000"}, 3),
        # it lies outside of what it sees
        ("/../../other", "/", {"": "300000 100000"}, 3),
        # nonsense is no quota
        ("/", "/", {"": "0 100000"}, None),
        *(("/", "/", {"": text}, None) for text in ("100000 0", "many", "")),
    ],
)
def test_quotas_of_version_2(
    tmp_path: Path, group: str, mounted: str, quotas: dict[str, str], cores: float | None
) -> None:
    assert cpu_quota(version_2(tmp_path, group, mounted, quotas)) == cores


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_quotas_of_version_1(tmp_path: Path, controllers: str) -> None:
    mounts = [
        V1.format(root="/", place=f"/sys/fs/cgroup/{controllers}", controllers=controllers),
        V1.format(root="/", place="/sys/fs/cgroup/memory", controllers="memory"),
        V2.format(root="/", place="/sys/fs/cgroup/unified"),
    ]
    groups = f"9:memory:/else\n5:cpuset:/\n4:{controllers}:/pods/box\n0::/pods/box\n"
    quotas = {
        f"{controllers}/pods/box/cpu.cfs_quota_us": "-1\n",
        f"{controllers}/pods/box/cpu.cfs_period_us": "100000\n",
        f"{controllers}/pods/cpu.cfs_quota_us": "250000\n",
        f"{controllers}/pods/cpu.cfs_period_us": "100000\n",
    }
    assert cpu_quota(tree(tmp_path, groups, mounts, quotas)) == 2.5


def test_where_there_is_no_such_tree_nothing_is_known(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    mount = V2.format(root="/", place="/sys/fs/cgroup/of\\040all")  # a space in its path
    quotas = {"of all/cpu.max": "100000 100000"}
    assert cpu_quota(tree(tmp_path / "spaced", "0::/\n", [mount], quotas)) == 1
    assert cpu_quota(tree(tmp_path / "odd", "x\n:\n", ["1 2 3", "a b c d e - cgroup2"], {})) is None


@pytest.fixture
def sixty_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 64, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(48)), raising=False)
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.usefixtures("sixty_four")
@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max", 48), ("100000", 1), ("10000", 1), ("150000", 2), ("9999900000", 48)],
)
def test_workers_follow_the_quota_rounded_up_and_the_affinity(
    tmp_path: Path, quota: str, cores: int
) -> None:
    assert usable_cores(version_2(tmp_path, "/", "/", {"": f"{quota} 100000"})) == cores


@pytest.mark.usefixtures("sixty_four")
def test_workers_follow_what_python_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: 3, raising=False)
    assert usable_cores(tmp_path) == 3
    monkeypatch.delattr(os, "process_cpu_count")  # which Python has from 3.13 on
    for told, cores in (("2", 2), ("100", 48), ("0", 48), ("-1", 48), ("many", 48), ("", 48)):
        monkeypatch.setenv("PYTHON_CPU_COUNT", told)
        assert usable_cores(tmp_path) == cores
    monkeypatch.delenv("PYTHON_CPU_COUNT")
    assert usable_cores(tmp_path) == 48
    monkeypatch.setitem(sys._xoptions, "cpu_count", "2")
    assert usable_cores(tmp_path) == 2
    monkeypatch.delitem(sys._xoptions, "cpu_count")
    monkeypatch.delattr(os, "sched_getaffinity")  # which Linux alone has
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1
