"""An archive on a cluster of Ray: a part is a task, and nothing else goes over the network."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from edgeseg.archive.part_worker import Done, PartWorker, measure_part
from edgeseg.archive.plan import Plan
from edgeseg.archive.pool import run_tasks
from edgeseg.errors import ConfigError, DeviceError, EdgesegError
from edgeseg.system.text import first_line

_CONNECT_S = 10.0
_AHEAD = 3  # tasks waiting for each core, so that none waits for the driver
_LEAST_STORE_BYTES = 100 << 20  # the least Ray takes; nothing is put there
_DIED = (
    ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError,
    ray.exceptions.OutOfMemoryError, ray.exceptions.LocalRayletDiedError,
    ray.exceptions.TaskUnschedulableError, ray.exceptions.RaySystemError,
)  # fmt: skip


def measure_parts_on_ray(
    plan: Plan,
    parts: Sequence[int],
    address: str,
    cores: int | None = None,
    on_rows: Callable[[int], None] = lambda count: None,
) -> Iterator[Done]:
    """Measure parts on a cluster, and yield each once it is written.

    Every machine of the cluster needs edgeseg, and must see manifest, images, model and results
    under the same paths or URLs. Parts that are there already are passed over. The address ``auto``
    is the cluster this machine belongs to, ``local`` one of its own, with so many cores or all.
    ``on_rows`` is called with the number of images of each part. Raises `EdgesegError` if there is
    no such cluster, or as `edgeseg.archive.pool.measure_parts` does.
    """
    with _connect(address, cores):
        PartWorker(plan)  # raises here, once, if something cannot be opened
        n_gpus = 1 if plan.device in ("cuda", "tensorrt") else 0
        if n_gpus and not ray.cluster_resources().get("GPU"):  # type: ignore[no-untyped-call]
            raise DeviceError(
                f"no machine of this Ray cluster has a GPU, which {plan.device} needs; use "
                "--device cpu"
            )
        task = ray.remote(num_cpus=1, num_gpus=n_gpus, max_retries=0)(measure_part)

        def submit(number: int) -> Any:
            return task.remote(plan, 1, number).future()

        try:
            yield from run_tasks(parts, submit, _max_tasks, _DIED, on_rows)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise (cause if isinstance(cause, EdgesegError) else error) from error


def _max_tasks() -> int:
    """Return how many tasks keep all machines busy; there is at least one, or will be."""
    n_cores = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
    return _AHEAD * max(1, int(n_cores))


@contextlib.contextmanager
def _connect(address: str, cores: int | None) -> Iterator[None]:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        _check_address(address)
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


def _check_address(address: str) -> None:
    """Raise at once where nobody listens: Ray would wait for minutes, and then end the process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
