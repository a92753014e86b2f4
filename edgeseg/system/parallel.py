"""Usable CPU cores, and an ordered map over threads."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_ROOT = Path("/")
_switching = threading.Lock()
_n_users = _threads_before = 0  # of `single_threaded_opencv`
_AHEAD = 3  # items in flight per worker: enough to hide one slow image, with little memory


def usable_cores(root: Path = _ROOT) -> int:
    """Return the number of cores this process may use.

    The smallest of its affinity, its container's quota rounded up, and the count set for Python
    (``PYTHON_CPU_COUNT``). The folders ``proc`` and ``sys`` are in ``root``.
    """
    counts = [os.cpu_count() or 1]
    if (text := os.environ.get("PYTHON_CPU_COUNT", "")).isdigit():  # Python reads it from 3.13 on
        counts.append(int(text) or counts[0])
    if hasattr(os, "sched_getaffinity"):
        counts.append(len(os.sched_getaffinity(0)))
    counts += map(math.ceil, _find_quotas(root))
    return max(1, min(counts))


def read_text(path: Path) -> str:
    """Return a file's text without surrounding space; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _find_quotas(root: Path) -> Iterator[float]:
    """Yield the CPU quotas of this process's control group and all that contain it, in cores.

    `docker --cpus` and Kubernetes set them; unlike with an affinity all cores stay visible. Of a
    group whose own folder the container does not see, that of the container is at the top.
    """
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
        for mount in {"cpu", controllers} if controllers else {""}:  # such as cpu,cpuacct
            top = root / "sys/fs/cgroup" / mount
            own = top / group.strip("/")
            for folder in (own, *own.parents[: len(own.parts) - len(top.parts)]):
                words = " ".join(read_text(folder / name) for name in names).split()
                if len(words) == 2 and all(word.isdigit() and int(word) for word in words):
                    yield int(words[0]) / int(words[1])


def ordered_map(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Apply a function in ``workers`` threads and yield the results in the order of the items.

    Decoding, resizing and the network release the GIL, so threads can share one session and one
    copy of the weights. Only a few items are in flight at a time. OpenCV's own threads are switched
    off meanwhile, since they would compete with the workers. What the function raises of the first
    item that fails is raised, and later items are not started.
    """
    pending: deque[Future[R]] = deque()
    with single_threaded_opencv(), ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= workers * _AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


@contextlib.contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """Switch off OpenCV's threads in the whole process until its last user's context ends."""
    global _n_users, _threads_before
    import cv2  # not at the top: the number of cores does not need it

    with _switching:
        if not _n_users:
            _threads_before = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _n_users += 1
    try:
        yield
    finally:
        with _switching:
            _n_users -= 1
            if not _n_users:
                cv2.setNumThreads(_threads_before)
