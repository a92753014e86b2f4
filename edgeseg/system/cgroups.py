"""The CPU quota of a container on Linux, as set by `docker --cpus` and Kubernetes.

A quota differs from CPU affinity: all cores stay visible, and their time is limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from edgeseg.system.sensors import read_text

_ESCAPE = re.compile(r"\\([0-7]{3})")  # of spaces in mountinfo


@cache  # it takes 0.3 ms and is needed several times in a run
def cpu_quota(root: Path) -> float | None:
    """Return the CPU quota of this process in cores; None without one.

    It is the smallest quota of the process's control group and all groups that contain it.

    Parameters
    ----------
    root
        Folder that ``proc`` and ``sys`` are in.
    """
    quotas = [
        quota
        for folder, version in _group_folders(root)
        if (quota := _quota(folder, version)) is not None
    ]
    return min(quotas, default=None)


def _group_folders(root: Path) -> Iterator[tuple[Path, int]]:
    """Yield the folders of this process's groups and their parents, each with its version."""
    own = _own_groups(root)
    for line in (read_text(root / "proc/self/mountinfo") or "").splitlines():
        # id, parent's id, device, root, mount point, ... - type, source, options
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        version = 1 if kind[0] == "cgroup" else 2
        if version not in own or (version == 1 and "cpu" not in kind[2].split(",")):
            continue
        mounted, place = (_ESCAPE.sub(_character, field) for field in fields[3:5])
        below = _below(own[version], mounted)
        top = root / place.lstrip("/")
        for depth in range(len(below), -1, -1):
            yield top.joinpath(*below[:depth]), version


def _own_groups(root: Path) -> dict[int, str]:
    """Return this process's group by version; in version 1 that of the cpu controller."""
    groups = {}
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            groups[2] = path
        elif "cpu" in controllers.split(","):
            groups[1] = path
    return groups


def _below(group: str, mounted: str) -> list[str]:
    """Return a group's path relative to a mount; empty if the container cannot see it."""
    inside = group.startswith(mounted.rstrip("/") + "/") or group == mounted
    parts = group[len(mounted.rstrip("/")) :].split("/") if inside else []
    return [] if ".." in parts else [part for part in parts if part]


def _quota(folder: Path, version: int) -> float | None:
    if version == 2:
        words = (read_text(folder / "cpu.max") or "").split()
    else:
        words = [read_text(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    try:
        quota, period = (int(word) for word in words)
    except ValueError:  # "max", or a missing file
        return None
    return quota / period if quota > 0 and period > 0 else None


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 8))
