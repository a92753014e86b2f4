"""Measures a whole folder of images, or what an earlier run there has not measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.errors import DataError
from edgeseg.inputs.source import Source
from edgeseg.output.record import FINDINGS
from edgeseg.output.table import Row
from edgeseg.run.engine import Engine
from edgeseg.run.exams import Exams
from edgeseg.run.results import open_results
from edgeseg.run.store import Store
from edgeseg.system.parallel import usable_cores

if TYPE_CHECKING:
    from edgeseg.run.worker import Worker

_MOST_WAITING = 256  # files whose rows wait for those of earlier files


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


def measure_folder(
    worker: Worker,
    sources: Sequence[Source],
    out: Path,
    arguments: Mapping[str, Any] | None = None,
    on_row: Callable[[Row], None] = lambda row: None,
) -> Summary:
    """Measure what is not yet measured and write everything into a folder.

    ``sources`` are sorted by file and frame, the worker's segmenter is best opened with one thread
    on a CPU, for images are measured in parallel, and ``arguments`` are recorded in ``run.json``.
    ``on_row`` is called with each row once it is durable, in the order of the sources.

    Raises `OutputExistsError`, `OutputLockedError` or `OutputWriteError` if the folder holds
    something, is in use or cannot be written; `DataError` if the run in it cannot be resumed with
    these images and this model.
    """
    threads = usable_cores() if worker.options.workers is None else worker.options.workers
    if threads < 1:
        raise DataError("workers must be 1 or more")
    n_measured = 0
    with open_results(worker, out, arguments or {}, sources) as results:
        if strangers := results.store.files().difference(source.file for source in sources):
            raise DataError(
                f"{out}: the run there measured {len(strangers)} files that are not in the input, "
                f"such as {min(strangers)!r}; resume with the same input or choose another folder"
            )
        on_rows = results.note_change
        engine = Engine(worker, results.store, out, threads, retry_failed=True, on_rows=on_rows)
        with results.exporting():
            with engine:
                for row in _measure_all(engine, worker, results.store, sources):
                    n_measured += 1
                    on_row(row)
            if FINDINGS in worker.kinds:
                Exams(out, results.store, worker.on_notice).write_all()
        rows, cines, wall_s = results.export("done")
    return Summary(out, rows, len(rows) - n_measured, wall_s, cines)


def _measure_all(
    engine: Engine, worker: Worker, store: Store, sources: Sequence[Source]
) -> Iterator[Row]:
    """Measure what is not measured as it is now, and yield the rows, in order."""
    waiting: deque[Future[list[Row]]] = deque()
    changed = []
    for file, frames in groupby(sources, lambda source: source.file):
        first, *others = frames
        version = worker.version(first)  # before it is read
        if store.version_of(file) not in (None, version):
            changed.append(file)
        waiting.append(engine.submit([s._replace(version=version) for s in (first, *others)]))
        while waiting and (waiting[0].done() or len(waiting) > _MOST_WAITING):
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()
    if changed:
        count = f"{len(changed)} {'files were' if len(changed) > 1 else 'file was'}"
        worker.on_notice(
            f"{count} measured again, such as {changed[0]}: moved or changed since, or of another "
            "pixel size or age"
        )
