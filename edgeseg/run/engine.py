"""Measures files in threads and keeps their rows, each file exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.errors import OutputWriteError
from edgeseg.run.commit import Committer, Job, Queue, remove_parts
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
    store
        Where rows go; its folder is held by this process.
    out
        The folder of results.
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
        self._queue = Queue()
        self._committer = Committer(
            worker, store, out, owes=owes, on_rows=on_rows, on_end=self._queue.end
        )
        self._is_stopping = False
        self._stack = ExitStack()

    def __enter__(self) -> Engine:
        remove_parts(self._out)
        with ExitStack() as stack:
            stack.callback(remove_parts, self._out)
            stack.enter_context(single_threaded_opencv)
            args = (self._queue.take,)
            commits = threading.Thread(target=self._committer.run, args=args, name="edgeseg-commit")
            commits.start()
            stack.callback(commits.join)
            stack.callback(self._queue.close)
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
        done; they are none if the file need not be measured.

        Parameters
        ----------
        sources
            All frames of the file, with its version.

        Raises
        ------
        OutputWriteError
            From the future: if something cannot be written. The file may be submitted again.
        """
        job = Job(sources, self._out)
        self._queue.begin(job.file)
        try:
            kinds, retry = self._worker.kinds, self._retry_failed
            if self._store.has(job.file, sources[0].version, kinds, retry_failed=retry):
                self._committer.finish(job, [])
                return job.future
        except BaseException:
            self._queue.end(job)
            raise
        for place in range(len(sources)):
            self._slots.acquire()
            self._pool.submit(self._measure, job, place)
        return job.future

    def _measure(self, job: Job, place: int) -> None:
        """Measure one frame; the last one of a file hands it over to be committed."""
        try:
            if job.error is None and not self._is_stopping:
                job.rows[place] = self._worker.measure(
                    job.sources[place], lambda name, data: job.write(place, name, data)
                )
        except BaseException as error:
            job.error = error
        finally:
            self._slots.release()
        with self._queue.changed:
            job.n_left -= 1
            is_last = job.n_left == 0
        if is_last:
            self._hand_over(job)

    def _hand_over(self, job: Job) -> None:
        rows = [row for row in job.rows if row is not None]
        is_whole = len(rows) == len(job.rows)
        if not is_whole and job.error is None:
            job.error = OutputWriteError(f"{job.file}: the run ended before it was measured")
        try:
            if job.error is None and job.sources[0].frame:
                self._worker.write_documents_of_film(
                    job.sources, rows, lambda name, data: job.write(0, name, data)
                )
        except BaseException as error:
            job.error = error
        if job.error is None:
            self._queue.add(job)
        else:
            self._committer.fail(job, job.error)
