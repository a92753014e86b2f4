"""Instances that came: kept on disk, answered, and measured afterwards, after a restart too."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from edgeseg.errors import EdgesegError, OutputWriteError
from edgeseg.inputs.discover import items_of
from edgeseg.node.terms import Received, Status
from edgeseg.output.table import Row
from edgeseg.run.engine import Engine
from edgeseg.run.store import Store
from edgeseg.system.files import sync

_RETRY_S = 5.0  # after which an instance is tried again whose rows could not be written


class Inbox:
    """Takes instances while its context is open, and has them measured.

    An instance is safe once it is taken: its file and a note of it in the store outlive a power
    cut. What is not measured when the context ends is measured by the next run.

    Parameters
    ----------
    engine, store
        What measures, and where rows go.
    spool
        Folder of instances that are not measured yet.
    limit
        Instances that may wait.
    on_measured
        Called with the name of each file that is measured, from any thread.
    on_notice
        Called with sentences that a user should read, from any thread.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        spool: Path,
        limit: int,
        on_measured: Callable[[str], None],
        on_notice: Callable[[str], None],
    ) -> None:
        self._engine, self._store, self._spool, self._limit = engine, store, spool, limit
        self._on_measured, self._on_notice = on_measured, on_notice
        self._changed = threading.Condition()
        self._known: set[str] = set()  # what is taken, or about to be, and not measured
        self._arriving: set[str] = set()
        self._queue: deque[str] = deque()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="edgeseg-inbox")

    def __enter__(self) -> Inbox:
        self._queue.extend(self._store.waiting())
        self._known.update(self._queue)
        for path in self._spool.glob("*.dcm"):
            if path.name not in self._known:  # measured, or never answered
                path.unlink(missing_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ending.set()
            self._engine.stop()
            self._changed.notify_all()
        self._thread.join()
        if self._known:
            self._on_notice(f"{len(self._known)} instances wait; the next start measures them")

    def take(self, received: Received) -> Status:
        """Keep an instance, unless it is measured or waits already, and return what to answer."""
        file = f"{received.sop_instance}.dcm"
        with self._changed:
            self._changed.wait_for(lambda: file not in self._arriving)
            if file in self._known or self._store.version_of(file) is not None:
                return Status.SUCCESS
            if len(self._known) >= self._limit:
                self._on_notice(f"{self._limit} instances wait to be measured; more are refused")
                return Status.OUT_OF_RESOURCES
            self._known.add(file)
            self._arriving.add(file)
        try:
            received.path.replace(self._spool / file)
            sync(self._spool / file)
            sync(self._spool)
            self._store.enqueue(file)
        except (OSError, OutputWriteError) as error:
            self._on_notice(f"an instance could not be kept: {error}")
            with self._changed:
                self._known.discard(file)
            return Status.OUT_OF_RESOURCES
        finally:
            with self._changed:
                self._arriving.discard(file)
                self._changed.notify_all()
        with self._changed:
            self._queue.append(file)
            self._changed.notify_all()
        return Status.SUCCESS

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._ending.is_set())
                if self._ending.is_set():
                    return
                file = self._queue.popleft()
            future = self._engine.submit([*items_of(file, str(self._spool / file))])
            future.add_done_callback(lambda future, file=file: self._end(file, future))  # type: ignore[misc]

    def _end(self, file: str, future: Future[list[Row]]) -> None:
        error = future.exception()
        if error is None:
            with contextlib.suppress(OSError):
                (self._spool / file).unlink()
            with self._changed:
                self._known.discard(file)
            self._on_measured(file)
        elif not self._ending.is_set():
            reason = str(error) if isinstance(error, EdgesegError) else type(error).__name__
            self._on_notice(f"{file}: could not be measured, and is tried again: {reason}")
            retry = threading.Timer(_RETRY_S, self._requeue, [file])
            retry.daemon = True
            retry.start()

    def _requeue(self, file: str) -> None:
        with self._changed:
            self._queue.append(file)
            self._changed.notify_all()
