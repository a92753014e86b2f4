"""An archive on all cores of this machine: processes that share parts, threads in each."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection

from edgeseg.archive.part_worker import Done, PartWorker, measure_part
from edgeseg.archive.plan import Plan
from edgeseg.errors import OutputWriteError
from edgeseg.network.session import may_use_card
from edgeseg.system.parallel import usable_cores

_THREADS_EACH = 4  # of one process: more wait for Python's lock
_RECOUNT_S = 1.0  # between looks at how many tasks there may be: a cluster grows
MAX_DEATHS = 10
"""Of processes that had one part; in a large cluster machines come and go."""
MAX_FIRST_DEATHS = 100
"""Of all processes, before any part is written."""


def measure_parts(
    plan: Plan,
    parts: Sequence[int],
    threads: int | None = None,
    processes: int | None = None,
    on_rows: Callable[[int], None] = lambda count: None,
) -> Iterator[Done]:
    """Measure parts on this machine, and yield each once it is written.

    Parts that are there already are passed over. ``threads`` images are worked on at once in all,
    by default one for each core; ``processes`` share them, each with a session, by default one for
    four threads, or one alone for a card. ``on_rows`` is called with the number of images that were
    just measured, of several processes with those of a part. Raises what `PartWorker`, its ``run``
    and `run_tasks` do.
    """
    threads = threads or usable_cores()
    if processes is None:
        processes = 1 if may_use_card(plan.device) else -(-threads // _THREADS_EACH)
    processes = min(processes, max(1, len(parts)))
    if processes == 1:
        yield from PartWorker(plan, threads).run(parts, on_rows)
        return
    with contextlib.ExitStack() as stack:
        lanes = [_Lane(plan, max(1, threads // processes)) for _ in range(processes)]
        for lane in lanes:
            stack.callback(lane.close)

        def submit(number: int) -> Future[list[Done]]:
            return next(lane for lane in lanes if lane.is_free).submit(number)

        yield from run_tasks(parts, submit, lambda: processes, (BrokenProcessPool,), on_rows)


def run_tasks(
    parts: Sequence[int],
    submit: Callable[[int], Future[list[Done]]],
    max_tasks: Callable[[], int],
    death_errors: tuple[type[Exception], ...],
    on_rows: Callable[[int], None] = lambda count: None,
) -> Iterator[Done]:
    """Run a task a part, again where its process died, and yield each part once it is written.

    ``submit`` starts the task of a part, of which there may be ``max_tasks()`` at once; it fails
    with one of ``death_errors`` if its process died. ``on_rows`` is called with each part's number
    of images.

    Raises `OutputWriteError` if processes die of one part again and again, once all others are
    written; or if nothing but deaths is seen. What tasks fail with otherwise is raised as it is.
    """
    todo = deque(parts)
    running: dict[Future[list[Done]], int] = {}
    deaths: Counter[int] = Counter()
    is_any_written = False
    while todo or running:
        n_free = max_tasks() - len(running) if todo else 0
        for number in [todo.popleft() for _ in range(min(n_free, len(todo)))]:
            running[submit(number)] = number
        ready, _ = wait(running, _RECOUNT_S, FIRST_COMPLETED)
        for future in ready:
            number = running.pop(future)
            try:
                done = future.result()
            except death_errors:
                deaths[number] += 1
                if not is_any_written and deaths.total() >= MAX_FIRST_DEATHS:
                    raise OutputWriteError(
                        f"{deaths.total()} processes died one after the other and wrote nothing; "
                        "was the memory too small? Use fewer of them"
                    ) from None
                if deaths[number] < MAX_DEATHS:
                    todo.append(number)
                continue
            is_any_written = True
            on_rows(sum(part.statuses.total() for part in done))
            yield from done
    if lost := sorted(number for number, count in deaths.items() if count >= MAX_DEATHS):
        raise OutputWriteError(
            f"of part {', '.join(map(str, lost))} the process died {MAX_DEATHS} times; was it "
            "killed, or the memory too small? All other parts are written"
        )


class _Lane:
    """A pool of one process, so that its death tells which part it had.

    The process ends with this one, however that ends: it waits for a pipe to be closed.
    """

    def __init__(self, plan: Plan, threads: int) -> None:
        self._plan, self._threads = plan, threads
        self._future: Future[list[Done]] | None = None
        self._start()

    @property
    def is_free(self) -> bool:
        """Whether it has no part."""
        return self._future is None or self._future.done()

    def submit(self, number: int) -> Future[list[Done]]:
        """Measure a part, in a new process if the last one died."""
        task = partial(measure_part, self._plan, self._threads, number)
        try:
            self._future = self._pool.submit(task)
        except BrokenProcessPool:
            self.close()
            self._start()
            self._future = self._pool.submit(task)
        return self._future

    def close(self) -> None:
        """End the process."""
        self._alive.close()
        self._pool.shutdown()

    def _start(self) -> None:
        context = get_context("spawn")  # forked, a session would hang
        end, self._alive = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, context, _prepare_process, (end,))


def _prepare_process(end: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
    threading.Thread(target=_end_with, args=(end,), daemon=True).start()


def _end_with(end: Connection) -> None:
    """End this process when the first one closes the pipe or dies."""
    with contextlib.suppress(EOFError, OSError):
        end.recv()
    os._exit(1)
