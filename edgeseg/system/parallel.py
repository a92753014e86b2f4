"""Usable CPU cores, and an ordered map over threads."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from edgeseg.system.cgroups import cpu_quota

T = TypeVar("T")
R = TypeVar("R")

_ROOT = Path("/")
_AHEAD = 3  # items in flight per worker: enough to hide one slow image, with little memory


def usable_cores(root: Path = _ROOT) -> int:
    """Return the number of cores this process may use.

    The smallest of its affinity, its container's quota (``cpu.max``) rounded up, and the count set
    for Python (``PYTHON_CPU_COUNT``, ``-X cpu_count``).

    Parameters
    ----------
    root
        Folder that ``proc`` and ``sys`` are in.
    """
    counts = [os.cpu_count() or 1, *_count_set_for_python()]
    if hasattr(os, "sched_getaffinity"):
        counts.append(len(os.sched_getaffinity(0)))
    if sys.platform == "linux" and (quota := cpu_quota(root)) is not None:
        counts.append(math.ceil(quota))
    return max(1, min(counts))


def _count_set_for_python() -> list[int]:
    """Return the CPU count set for Python, which Python itself reads from 3.13 on."""
    if hasattr(os, "process_cpu_count"):
        return [os.process_cpu_count() or 1]
    text = sys._xoptions.get("cpu_count") or os.environ.get("PYTHON_CPU_COUNT", "")
    with contextlib.suppress(ValueError):
        return [int(text)] if int(text) > 0 else []
    return []


def ordered_map(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Apply a function in ``workers`` threads and yield the results in the order of the items.

    Decoding, resizing and the network release the GIL, so threads can share one session and one
    copy of the weights. Only a few items are in flight at a time. OpenCV's own threads are switched
    off meanwhile, since they would compete with the workers.

    Raises
    ------
    Exception
        The function's exception on the first item that fails; later items are not started.
    """
    pending: deque[Future[R]] = deque()
    with single_threaded_opencv, ThreadPoolExecutor(workers) as pool:
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


class _SingleThreadedOpenCv:
    """Switches OpenCV's threads off until its last user exits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._threads_before = 0

    def __enter__(self) -> None:
        import cv2  # not at the top: the number of cores does not need it

        with self._lock:
            if self._users == 0:
                self._threads_before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        import cv2

        with self._lock:
            self._users -= 1
            if self._users == 0:
                cv2.setNumThreads(self._threads_before)


single_threaded_opencv = _SingleThreadedOpenCv()
"""Context manager that switches off OpenCV's threads in the whole process; reentrant."""
