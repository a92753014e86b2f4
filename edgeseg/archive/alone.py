"""An archive on all cores of this machine: threads share a session, some processes share parts."""

from __future__ import annotations

import contextlib
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import cast

from edgeseg.archive.deaths import Deaths
from edgeseg.archive.manifest import Manifest
from edgeseg.archive.plan import ALL, Archive, Plan, Shard
from edgeseg.archive.work import Done, Worker
from edgeseg.errors import EdgesegError
from edgeseg.network.session import may_use_card
from edgeseg.system.parallel import usable_cores

_THREADS_EACH = 4  # of one process: more wait for Python's lock
_TELL_S = 0.2


def run_alone(
    plan: Plan,
    shard: Shard = ALL,
    threads: int | None = None,
    processes: int | None = None,
    on_rows: Callable[[int], None] = lambda count: None,
) -> Iterator[Done]:
    """Measure a shard's parts that are not written yet, and yield each once it is.

    Parameters
    ----------
    threads
        Images worked on at once in all; None: one for each core.
    processes
        That share them, each with a session; None: one for four threads on a CPU, one alone for a
        card.
    on_rows
        Called with the number of images that were just measured.

    Raises
    ------
    EdgesegError
        As `Worker` and its ``run`` do, or if processes die of one part again and again.
    """
    threads = threads or usable_cores()
    if processes is None:
        processes = 1 if may_use_card(plan.device) else -(-threads // _THREADS_EACH)
    archive = Archive(plan, Manifest(plan.manifest))
    todo = archive.missing(shard)
    processes = min(processes, max(1, len(todo)))
    if processes == 1:
        worker = Worker(plan, threads)
        yield from worker.run(todo, on_rows)
        return
    with _Children(plan, max(1, threads // processes), deque(todo), on_rows) as children:
        yield from children.run(processes)


@dataclass(slots=True, eq=False)
class _Child:
    """A process that asks for parts, and those that it has."""

    process: SpawnProcess
    pipe: Connection
    parts: list[int] = field(default_factory=list)
    is_alone: bool = False  # with its only part


class _Children:
    """Processes that share parts; one that dies is replaced, and its parts are given away again."""

    def __init__(
        self, plan: Plan, threads: int, todo: deque[int], on_rows: Callable[[int], None]
    ) -> None:
        self._plan, self._threads, self._todo, self._on_rows = plan, threads, todo, on_rows
        self._spawn = get_context("spawn")  # forked, a session would hang
        self._children: dict[Connection, _Child] = {}
        self._deaths = Deaths()
        self._suspects: deque[int] = deque()  # parts that processes had which died

    def __enter__(self) -> _Children:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children.values():
            child.process.terminate()
            child.process.join()

    def run(self, count: int) -> Iterator[Done]:
        """Yield each part once it is written."""
        for _ in range(count):
            self._start()
        while self._children:
            for pipe in connection.wait([*self._children]):
                yield from self._hear(self._children[cast(Connection, pipe)])
        self._deaths.check()

    def _start(self) -> None:
        here, there = self._spawn.Pipe()
        told = self._plan, self._threads, there
        process = self._spawn.Process(target=_serve, args=told, daemon=True)
        process.start()
        there.close()
        self._children[here] = _Child(process, here)

    def _hear(self, child: _Child) -> Iterator[Done]:
        try:
            what, value = child.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._bury(child)
            return
        if what == "ask":
            number = self._next(child)
            if number is not None:
                child.parts.append(number)
            with contextlib.suppress(BrokenPipeError):  # its death is heard next
                child.pipe.send(number)
        elif what == "rows":
            self._on_rows(value)
        elif what == "done":
            child.parts.remove(value.number)
            self._deaths.written()
            yield value
        elif what == "failed":
            raise value
        else:  # the end: what it was given and did not write, others had
            del self._children[child.pipe]
            child.process.join()
            if self._todo or self._suspects:
                self._start()

    def _next(self, child: _Child) -> int | None:
        """Return the next part for a process; None if it shall end.

        One that a process died of is alone in its process: others are not lost by it.
        """
        if child.is_alone:
            return None
        if self._todo:
            return self._todo.popleft()
        if self._suspects and not child.parts:
            child.is_alone = True
            return self._suspects.popleft()
        return None

    def _bury(self, child: _Child) -> None:
        """Take a dead process's parts back, and start another."""
        del self._children[child.pipe]
        child.process.join()
        self._suspects += self._deaths.add(child.parts)
        if self._todo or self._suspects:
            self._start()


def _serve(plan: Plan, threads: int, pipe: Connection) -> None:
    """Measure the parts that another process hands out, until there are none or it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process hears it, and ends this one
    with contextlib.suppress(BrokenPipeError, EOFError, ConnectionResetError):
        try:
            rows = _Told(pipe)
            for done in Worker(plan, threads).run(_asked(pipe), rows.add):
                rows.tell()
                pipe.send(("done", done))
            pipe.send(("end", None))
        except EdgesegError as error:
            pipe.send(("failed", error))
        except Exception:  # the other process says it
            pipe.send(("failed", RuntimeError(traceback.format_exc())))


def _asked(pipe: Connection) -> Iterator[int]:
    while True:
        pipe.send(("ask", None))
        number: int | None = pipe.recv()
        if number is None:
            return
        yield number


class _Told:
    """Tells how many images were measured, now and then."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._count, self._last_s = pipe, 0, time.monotonic()

    def add(self, count: int) -> None:
        self._count += count
        if time.monotonic() - self._last_s > _TELL_S:
            self.tell()

    def tell(self) -> None:
        self._pipe.send(("rows", self._count))
        self._count, self._last_s = 0, time.monotonic()
