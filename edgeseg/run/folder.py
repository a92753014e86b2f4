"""Measures a folder of images: pictures, table, record and report, safe to kill and to resume."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from edgeseg.errors import DataError
from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import Frame
from edgeseg.inputs.facts import Ages, PixelSizes
from edgeseg.inputs.source import Source
from edgeseg.output.table import Row
from edgeseg.run.engine import Engine
from edgeseg.run.results import open_results
from edgeseg.run.store import Store
from edgeseg.run.worker import Options as Options
from edgeseg.run.worker import Worker, read_source
from edgeseg.segmenter import Segmenter
from edgeseg.system.parallel import usable_cores

_MOST_WAITING = 256  # files whose rows wait for those of earlier files


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run ended with."""

    out: Path
    rows: Sequence[Row]  # all, sorted by file and frame
    n_kept: int  # how many came from an earlier run
    wall_s: float  # time of this run, without loading the model
    cines: Sequence[Row] = ()  # a row a film, see `edgeseg.output.cines`

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
                for row in _measure(engine, worker, todo):
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


def _measure(engine: Engine, worker: Worker, files: Sequence[Sequence[Source]]) -> Iterator[Row]:
    """Measure files and yield their rows, in order."""
    waiting: deque[Future[list[Row]]] = deque()
    for frames in files:
        version = worker.version(frames[0])  # before it is read
        waiting.append(engine.submit([source._replace(version=version) for source in frames]))
        while waiting and (waiting[0].done() or len(waiting) > _MOST_WAITING):
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()
