"""An archive on a cluster of Ray: a part is a task, and nothing else goes over the network."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.exceptions import RayError

from edgeseg.archive.deaths import Deaths
from edgeseg.archive.plan import ALL, Plan, Shard
from edgeseg.archive.work import Done, Worker
from edgeseg.errors import ConfigError, DeviceError, EdgesegError
from edgeseg.system.text import first_line

_KNOCK_S = 10.0
_AHEAD = 3  # tasks waiting for each core, so that none waits for the driver
_LEAST_STORE_BYTES = 100 << 20  # the least Ray takes; nothing is put there
_DIED = (
    ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError,
    ray.exceptions.OutOfMemoryError, ray.exceptions.LocalRayletDiedError,
    ray.exceptions.TaskUnschedulableError, ray.exceptions.RaySystemError,
)  # fmt: skip


def run_on_ray(
    plan: Plan,
    address: str,
    shard: Shard = ALL,
    cores: int | None = None,
    on_rows: Callable[[int], None] = lambda count: None,
) -> Iterator[Done]:
    """Measure a shard's parts that are not written yet, and yield each once it is.

    Every machine of the cluster needs edgeseg, and must see manifest, images, model and results
    under the same paths or URLs.

    Parameters
    ----------
    address
        Of the cluster; ``auto`` is the one this machine belongs to, ``local`` one of its own.
    cores
        Of a local cluster; None: all.
    on_rows
        Called with the number of images of each part.

    Raises
    ------
    EdgesegError
        As `Worker` and its ``run`` do, if there is no such cluster, or if processes die of one
        part again and again.
    """
    with _connected(address, cores):
        worker = Worker(plan)  # what cannot be opened is told here, once
        todo = deque(worker.archive.missing(shard))
        del worker
        yield from _tasks(plan, todo, on_rows)


def _tasks(plan: Plan, todo: deque[int], on_rows: Callable[[int], None]) -> Iterator[Done]:
    n_gpus = 1 if plan.device in ("cuda", "tensorrt") else 0
    if n_gpus and not _resources().get("GPU"):
        raise DeviceError(
            f"no machine of this Ray cluster has a GPU, which {plan.device} needs; use --device cpu"
        )
    task = ray.remote(num_cpus=1, num_gpus=n_gpus, max_retries=0)(_measure)
    running: dict[Any, int] = {}
    deaths = Deaths()
    while todo or running:
        room = _AHEAD * _cores() - len(running)
        for _ in range(min(room, len(todo))):
            number = todo.popleft()
            running[task.remote(plan, number)] = number
        ready, _ = ray.wait([*running], timeout=5, fetch_local=False)
        for reference in ready:
            number = running.pop(reference)
            try:
                found = ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                raise _cause(error) from error
            except _DIED:
                todo += deaths.add([number])
                continue
            deaths.written()
            for done in found:
                on_rows(done.n_rows)
                yield done
    deaths.check()


def _cores() -> int:
    """Return the cores of all machines together; there is at least one, or will be."""
    return max(1, int(_resources().get("CPU", 1)))


def _resources() -> dict[str, float]:
    """Return what all machines of the cluster have together."""
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


_opened: dict[Plan, Worker] = {}  # in a process of the cluster: one session, kept for its next task


def _measure(plan: Plan, number: int) -> list[Done]:
    """Measure a part in a process of the cluster; nothing where it is there already."""
    if plan not in _opened:
        _opened.clear()
        _opened[plan] = Worker(plan)
    return list(_opened[plan].run([number]))


@contextlib.contextmanager
def _connected(address: str, cores: int | None) -> Iterator[None]:
    """Be a driver of a cluster meanwhile."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        _knock(address)
        if address == "local":
            options |= {"num_cpus": cores, "object_store_memory": _LEAST_STORE_BYTES}
            ray.init(address="local", include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except (OSError, ImportError, RuntimeError, ValueError, RayError) as error:
        raise ConfigError(
            f"no Ray cluster at {address!r} ({first_line(error)}); start one with 'ray start', use "
            "--ray local, or give its token and RAY_AUTH_MODE=token where it asks for one"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise at once where nobody listens: Ray would wait for minutes, and then end the process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_S).close()


def _cause(error: ray.exceptions.RayTaskError) -> Exception:
    """Return what a task raised, as it would have been raised here."""
    cause = error.cause
    if isinstance(cause, EdgesegError):
        return cause
    return error
