"""Measures files in threads and keeps their rows, each file exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.errors import OutputWriteError
from edgeseg.run.commit import Committer, Job, remove_parts
from edgeseg.system.parallel import single_threaded_opencv

if TYPE_CHECKING:
    from edgeseg.inputs.source import Source
    from edgeseg.output.table import Row
    from edgeseg.run.store import Store
    from edgeseg.run.worker import Worker

_AHEAD = 3  # frames under way for each thread: enough to hide one slow image, in little memory


class Engine:
    """Measures files and keeps their rows, while its context is open.

    Leaving the context waits for what is under way; after an exception frames that have not begun
    are dropped, and their files are measured by the next run.

    Parameters
    ----------
    worker
        How a frame is measured.
    store, out
        Where rows go, and the folder of results, which this process holds.
    threads
        Frames measured at once.
    owes
        Whether documents are to be sent somewhere, and are noted until they are.
    retry_failed
        Whether files that failed are measured again.
    on_rows
        Called with the rows of each file once they are durable, of one file at a time.
    """

    def __init__(
        self,
        worker: Worker,
        store: Store,
        out: Path,
        threads: int,
        *,
        owes: bool = False,
        retry_failed: bool = False,
        on_rows: Callable[[list[Row]], None] = lambda rows: None,
    ) -> None:
        self._worker, self._store, self._out = worker, store, out
        self._threads, self._retry_failed = threads, retry_failed
        self._slots = threading.BoundedSemaphore(_AHEAD * threads)
        self._committer = Committer(worker, store, out, owes=owes, on_rows=on_rows)
        self._counting = threading.Lock()
        self._is_stopping = False

    def __enter__(self) -> Engine:
        remove_parts(self._out)
        with ExitStack() as stack:
            stack.callback(remove_parts, self._out)
            stack.enter_context(single_threaded_opencv())
            commits = threading.Thread(target=self._committer.run, name="edgeseg-commit")
            commits.start()
            stack.callback(commits.join)
            stack.callback(self._committer.close)
            self._pool = stack.enter_context(ThreadPoolExecutor(self._threads, "edgeseg-measure"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.stop()
        self._stack.close()

    def stop(self) -> None:
        """Drop the frames that have not begun; files that are not whole then are not kept."""
        self._is_stopping = True

    def submit(self, sources: Sequence[Source]) -> Future[list[Row]]:
        """Measure a file unless the store has its rows, and return the future of its rows.

        Waits while much is under way, or the same file is. The rows are durable once the future is
        done; they are none if the file need not be measured. ``sources`` are all its frames, with
        its version. The future raises `OutputWriteError` if something cannot be written; the file
        may be submitted again.
        """
        job = Job(sources, self._out)
        self._committer.begin(job)
        try:
            kinds, retry = self._worker.kinds, self._retry_failed
            is_kept = self._store.has(job.file, sources[0].version, kinds, retry_failed=retry)
        except BaseException as error:
            self._committer.end(job, error)
            raise
        if is_kept:
            self._committer.end(job, [])
            return job.future
        for place in range(len(sources)):
            self._slots.acquire()
            self._pool.submit(self._measure, job, place)
        return job.future

    def _measure(self, job: Job, place: int) -> None:
        """Measure one frame; the last one of a file hands it over to be committed."""
        try:
            if job.error is None and not self._is_stopping:
                write = partial(job.write, place)
                job.rows[place] = self._worker.measure(job.sources[place], write)
        except BaseException as error:
            job.error = error
        finally:
            self._slots.release()
        with self._counting:
            job.n_left -= 1
            is_last = job.n_left == 0
        if is_last:
            self._hand_over(job)

    def _hand_over(self, job: Job) -> None:
        try:
            if job.error is not None:
                raise job.error
            if len(job.rows) < len(job.sources):
                raise OutputWriteError(f"{job.file}: the run ended before it was measured")
            if job.sources[0].frame:
                rows = [job.rows[place] for place in range(len(job.sources))]
                write = partial(job.write, 0)
                self._worker.write_documents_of_film(job.sources, rows, write)
        except BaseException as error:
            self._committer.end(job, error)
        else:
            self._committer.add(job)
