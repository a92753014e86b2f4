"""Measures files in threads and keeps their rows, each file once; whole folders, to be resumed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from edgeseg.errors import DataError, OutputWriteError
from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import Frame
from edgeseg.inputs.facts import Ages, PixelSizes
from edgeseg.inputs.source import Source
from edgeseg.output.table import Row
from edgeseg.run.commit import Committer, Job, remove_parts
from edgeseg.run.results import open_results
from edgeseg.run.store import Store
from edgeseg.run.worker import Options as Options
from edgeseg.run.worker import Worker, read_source
from edgeseg.segmenter import Segmenter
from edgeseg.system.parallel import single_threaded_opencv, usable_cores

_AHEAD = 3  # frames under way for each thread: enough to hide one slow image, in little memory
_MOST_WAITING = 256  # files whose rows wait for those of earlier files


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


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run ended with."""

    out: Path
    rows: Sequence[Row]  # all, sorted by file and frame
    n_kept: int  # how many came from an earlier run
    wall_s: float  # time of this run, without loading the model
    cines: Sequence[Row] = ()  # a row a film, see `edgeseg.output.table.film_summaries`

    def count(self, status: str) -> int:
        """Return how many rows have a status: ``ok``, ``doubtful``, ``empty`` or ``failed``."""
        return sum(row["status"] == status for row in self.rows)


@dataclass(slots=True)
class FolderRun:
    """One run of a model over images into a folder."""

    segmenter: Segmenter  # best opened with one thread on a CPU: images are measured in parallel
    sources: Sequence[Source]  # sorted by file and frame
    pixel_sizes: PixelSizes
    out: Path  # folder for everything that is written
    options: Options = field(default_factory=Options)
    arguments: dict[str, Any] = field(default_factory=dict)  # recorded in ``run.json``
    ages: Ages = field(default_factory=Ages)  # these two add columns at the table's end
    calibration: Calibration | None = None
    read: Callable[[Source], Frame] = read_source

    def run(
        self,
        on_row: Callable[[Row], None] = lambda row: None,
        on_notice: Callable[[str], None] = lambda text: None,
    ) -> Summary:
        """Measure what is not yet measured and write everything.

        ``on_row`` is called with each row once it is durable, in the order of the sources,
        ``on_notice`` with sentences that a user should read.

        Raises `OutputExistsError`, `OutputLockedError` or `OutputWriteError` if the folder holds
        something, is in use or cannot be written; `DataError` if the run in it cannot be resumed
        with these images and this model.
        """
        options, out = self.options, self.out
        threads = usable_cores() if options.workers is None else options.workers
        if threads < 1:
            raise DataError("workers must be 1 or more")
        known = self.pixel_sizes, options, self.ages, self.calibration, self.read
        worker = Worker(self.segmenter, *known, on_notice=on_notice)
        opened = open_results(
            worker,
            out,
            self.arguments,
            on_notice,
            resume=options.resume,
            overwrite=options.overwrite,
            sources=self.sources,
        )
        with opened as results:
            store = results.store
            todo = self._find_unmeasured(worker, store, on_notice)
            n_kept = len(self.sources) - sum(map(len, todo))
            on_rows = results.note_change
            engine = Engine(worker, store, out, threads, retry_failed=True, on_rows=on_rows)
            with results.exporting(), engine:
                for row in _measure_all(engine, worker, todo):
                    on_row(row)
            rows, cines, wall_s = results.export("done", n_images=len(self.sources))
        return Summary(out, rows, n_kept, wall_s, cines)

    def _find_unmeasured(
        self, worker: Worker, store: Store, on_notice: Callable[[str], None]
    ) -> list[list[Source]]:
        """Return the frames of each file that must be measured."""
        files = [[*frames] for _, frames in groupby(self.sources, lambda source: source.file)]
        measured = store.files()
        strangers = measured.difference(frames[0].file for frames in files)
        if strangers:
            raise DataError(
                f"{self.out}: the run there measured {len(strangers)} files that are not in the "
                f"input, such as {min(strangers)!r}; resume with the same input or choose another "
                "folder"
            )
        todo, changed = [], []
        for frames in files:
            file = frames[0].file
            if file not in measured:
                todo.append(frames)
                continue
            version = worker.version(frames[0])
            if not store.has(file, version, worker.kinds, retry_failed=True):
                todo.append(frames)
                if store.version_of(file) != version:
                    changed.append(file)
        if changed:
            count = f"{len(changed)} {'files are' if len(changed) > 1 else 'file is'}"
            on_notice(
                f"{count} measured again, such as {changed[0]}: it was moved or changed, or has "
                "another pixel size or age"
            )
        return todo


def _measure_all(
    engine: Engine, worker: Worker, files: Sequence[Sequence[Source]]
) -> Iterator[Row]:
    """Measure files and yield their rows, in order."""
    waiting: deque[Future[list[Row]]] = deque()
    for frames in files:
        version = worker.version(frames[0])  # before it is read
        waiting.append(engine.submit([source._replace(version=version) for source in frames]))
        while waiting and (waiting[0].done() or len(waiting) > _MOST_WAITING):
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()
