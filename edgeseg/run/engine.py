"""Measures files in threads and keeps their rows, each file once.

Files are committed in groups, in an order that survives a kill and a power cut.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.errors import OutputWriteError
from edgeseg.inputs.source import Source
from edgeseg.output.record import DOCUMENTS, picture_names
from edgeseg.output.table import Row
from edgeseg.run.job import Job, remove_parts, unwritten
from edgeseg.run.store import FileRows, Picture, Store
from edgeseg.system.files import is_name_error, sync
from edgeseg.system.parallel import single_threaded_opencv

if TYPE_CHECKING:
    from edgeseg.run.worker import Worker

_AHEAD = 3  # frames under way for each thread: enough to hide one slow image, in little memory
_GROUP, _GROUP_S = 32, 1.0  # files committed together at most, and how long the first ones wait
_SYNCS = 4  # at once: a drive syncs several files in hardly more time than one


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
        self._threads, self._owes, self._retry_failed = threads, owes, retry_failed
        self._on_rows = on_rows
        self._slots = threading.BoundedSemaphore(_AHEAD * threads)
        self._changed = threading.Condition()  # notified of each change of the next two
        self._under_way: set[str] = set()  # files that are measured or wait to be committed
        self._measured: list[Job] = []
        self._is_stopping = False

    def __enter__(self) -> Engine:
        remove_parts(self._out)
        with ExitStack() as stack:
            stack.callback(remove_parts, self._out)
            stack.enter_context(single_threaded_opencv())
            self._syncs = stack.enter_context(ThreadPoolExecutor(_SYNCS, "edgeseg-sync"))
            self._commits = stack.enter_context(ThreadPoolExecutor(1, "edgeseg-commit"))
            self._commits.submit(int)  # its thread starts here, where a failure is heard
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
        job = Job(sources[0], self._out)
        with self._changed:
            self._changed.wait_for(
                lambda: job.file not in self._under_way and len(self._measured) < 2 * _GROUP
            )
            self._under_way.add(job.file)
        try:
            kinds, retry = self._worker.kinds, self._retry_failed
            is_kept = self._store.has(job.file, job.version, kinds, retry_failed=retry)
        except BaseException as error:
            self._end(job, error)
            raise
        if is_kept:
            self._end(job, [])
            return job.future
        for place, source in enumerate(self._worker.frames_of(sources)):
            self._slots.acquire()
            job.sources.append(source._replace(decoded=None))
            job.rows.append({})
            with self._changed:
                job.n_left += 1
            self._pool.submit(self._measure, job, place, source)
        self._note_end(job)
        return job.future

    def _measure(self, job: Job, place: int, source: Source) -> None:
        """Measure one frame."""
        try:
            if job.error is None and not self._is_stopping:
                job.rows[place] = self._worker.measure(source, partial(job.write, place))
        except BaseException as error:
            job.error = error
        self._slots.release()
        self._note_end(job)

    def _note_end(self, job: Job) -> None:
        """Note that a frame has ended, or the file; after the last it is to be committed."""
        with self._changed:
            job.n_left -= 1
            if job.n_left:
                return
        try:
            if job.error is not None:
                raise job.error
            if not all(job.rows):
                raise OutputWriteError(f"{job.file}: the run ended before it was measured")
            if job.sources[0].frame:
                write = partial(job.write, 0)
                self._worker.write_documents_of_film(job.sources, job.rows, write)
                if self._worker.options.annotated and job.parts:
                    film = self._worker.annotated_film(job.rows, job.parts)
                    job.write(0, picture_names(job.file)["annotated"], film)
        except BaseException as error:
            self._end(job, error)
            return
        with self._changed:
            self._measured.append(job)
            self._changed.notify_all()
        self._commits.submit(self._commit_group)

    def _end(self, job: Job, rows: list[Row] | BaseException) -> None:
        """End a job with its rows, or an error, which its caller gets."""
        with self._changed:
            self._under_way.discard(job.file)
            self._changed.notify_all()
        if isinstance(rows, BaseException):
            for part, _, _ in job.parts.values():
                with suppress(OSError):
                    part.unlink(missing_ok=True)
            job.future.set_exception(rows)
        else:
            job.future.set_result(rows)

    def _commit_group(self) -> None:
        """Commit the files that are measured, if an earlier call has not; wait for a group of them.

        Each flush costs, so a group is full, or all that is under way, or has waited long enough.
        """
        with self._changed:
            self._changed.wait_for(self._has_group, _GROUP_S)
            group = self._measured[:_GROUP]
            del self._measured[:_GROUP]
        try:
            if group:
                self._commit(group)
        except BaseException as error:
            for job in group:
                if not job.future.done():
                    self._end(job, error)

    def _has_group(self) -> bool:
        most = min(_GROUP, len(self._under_way))
        return not self._measured or len(self._measured) >= most

    def _commit(self, group: Sequence[Job]) -> None:
        """Commit jobs.

        What is about to be written is durable before a picture's name appears, and a row only
        after its pictures.
        """
        pictures, folders = [], set[str]()
        for job in group:
            for name, (_, _, size) in [*job.parts.items()]:
                if self._is_of_others(name):
                    sentence = "is there, and edgeseg did not write it; move it away"
                    self._drop(job, name, f"{self._out / name} {sentence}")
                else:
                    pictures.append(Picture(name, job.file, size))
        self._store.announce(pictures)
        self._sync([part for job in group for part, _, _ in job.parts.values()])
        for job in group:
            for name in [*job.parts]:
                if self._publish(job, name):
                    folders.add(os.path.dirname(name))  # noqa: PTH120 (for each picture)
        names = {each for folder in folders for each in (Path(folder), *Path(folder).parents)}
        self._sync(sorted(self._out / name for name in names))
        outdated = self._store.replace_rows([self._file_rows(job) for job in group])
        for name in outdated:
            with suppress(OSError):
                (self._out / name).unlink()
        if outdated:
            self._store.forget_pictures(outdated)
        for job in group:
            self._on_rows(job.rows)
            self._end(job, job.rows)

    def _file_rows(self, job: Job) -> FileRows:
        """Return what the store keeps of a file."""
        documents = [name for name in job.parts if name.partition("/")[0] in DOCUMENTS]
        kinds, owed = self._worker.kinds, documents if self._owes else []
        return FileRows(job.file, job.version, kinds, job.rows, [*job.parts], owed)

    def _is_of_others(self, name: str) -> bool:
        try:
            is_there = os.stat(self._out / name).st_size > 0  # noqa: PTH116 (for each picture)
        except OSError:
            return False
        return is_there and not self._store.has_picture(name)

    def _publish(self, job: Job, name: str) -> bool:
        """Give a picture its name, if it can have it."""
        part, final = job.parts[name][0], self._out / name
        try:
            try:
                part.replace(final)
            except FileNotFoundError:
                final.parent.mkdir(parents=True, exist_ok=True)
                part.replace(final)
        except OSError as error:
            if not is_name_error(error):
                raise unwritten(final, error) from error
            self._drop(job, name, str(unwritten(final, error)))
            return False
        return True

    def _drop(self, job: Job, name: str, sentence: str) -> None:
        """Leave a picture out that cannot have its name: its frame has failed."""
        part, place, _ = job.parts.pop(name)
        part.unlink(missing_ok=True)
        job.rows[place] = self._worker.failed_row(job.sources[place], sentence)

    def _sync(self, paths: Sequence[Path]) -> None:
        try:
            for _ in self._syncs.map(sync, paths):
                pass
        except OSError as error:
            raise unwritten(self._out, error) from error
