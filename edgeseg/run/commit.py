"""Commits measured files in groups, in an order that survives a kill and a power cut."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.errors import OutputWriteError
from edgeseg.output.pictures import DOCUMENTS
from edgeseg.run.store import FileRows, Picture, Store
from edgeseg.system.files import is_name_error, new_part, sync

if TYPE_CHECKING:
    from edgeseg.inputs.source import Source
    from edgeseg.output.table import Row
    from edgeseg.run.worker import Worker

PARTS_NAME = ".edgeseg-parts"
"""Folder of pictures that have no name yet; what is in it when no run goes on is nobody's."""
_GROUP, _GROUP_S = 32, 1.0  # files committed together, and how long the first of them waits
_SYNCS = 4  # at once: a drive syncs several files in hardly more time than one


class Job:
    """A file under way: its frames, their rows, and the pictures written of them.

    Parameters
    ----------
    sources
        All frames of the file.
    out
        The folder of results.
    """

    def __init__(self, sources: Sequence[Source], out: Path) -> None:
        self.sources, self._out = sources, out
        self.future: Future[list[Row]] = Future()
        self.rows: list[Row | None] = [None] * len(sources)
        self.parts: dict[str, tuple[Path, int, int]] = {}  # by name: part, frame's place, size
        self.n_left = len(sources)
        self.error: BaseException | None = None

    @property
    def file(self) -> str:
        """What results call it."""
        return self.sources[0].file

    def write(self, place: int, name: str, data: bytes) -> None:
        """Write a picture of a frame, which gets its name when the file is committed.

        Raises
        ------
        OutputWriteError
            If it cannot be written.
        """
        part = self._out / PARTS_NAME / new_part()
        try:
            part.parent.mkdir(exist_ok=True)
            part.write_bytes(data)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise _unwritten(self._out / name, error) from error
        self.parts[name] = part, place, len(data)

    def discard(self) -> None:
        """Remove what has no name yet."""
        for part, _, _ in self.parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)
        self.parts.clear()


def remove_parts(out: Path) -> None:
    """Remove the pictures that a killed run gave no names."""
    with suppress(FileNotFoundError):
        for part in (out / PARTS_NAME).iterdir():
            part.unlink(missing_ok=True)
        (out / PARTS_NAME).rmdir()


class Committer:
    """Gives the pictures of measured files their names and makes their rows durable.

    Parameters
    ----------
    worker
        What measured them.
    store
        Where rows go; its folder is held by this process.
    out
        The folder of results.
    owes
        Whether documents are to be sent somewhere, and are noted until they are.
    on_rows
        Called with the rows of each file once they are durable, of one file at a time.
    on_end
        Called with each job before its future is done.
    """

    def __init__(
        self,
        worker: Worker,
        store: Store,
        out: Path,
        *,
        owes: bool,
        on_rows: Callable[[list[Row]], None],
        on_end: Callable[[Job], None],
    ) -> None:
        self._worker, self._store, self._out = worker, store, out
        self._owes, self._on_rows, self._on_end = owes, on_rows, on_end

    def run(self, next_group: Callable[[], Sequence[Job]]) -> None:
        """Commit groups of jobs until there is none."""
        with ThreadPoolExecutor(_SYNCS, "edgeseg-sync") as self._syncs:
            while group := next_group():
                try:
                    self._commit(group)
                except BaseException as error:
                    for job in group:
                        if not job.future.done():
                            self.fail(job, error)

    def finish(self, job: Job, rows: list[Row]) -> None:
        """End a job with its rows."""
        self._on_end(job)
        job.future.set_result(rows)

    def fail(self, job: Job, error: BaseException) -> None:
        """End a job with an error, which its caller gets."""
        job.discard()
        self._on_end(job)
        job.future.set_exception(error)

    def _commit(self, group: Sequence[Job]) -> None:
        """Commit jobs.

        What is about to be written is durable before a picture's name appears, and a row only
        after its pictures.
        """
        for job in group:
            for name in [*job.parts]:
                if self._is_of_others(name):
                    sentence = "is there, and edgeseg did not write it; move it away"
                    self._drop(job, name, f"{self._out / name} {sentence}")
        self._store.announce(
            Picture(name, job.file, size)
            for job in group
            for name, (_, _, size) in job.parts.items()
        )
        self._sync([part for job in group for part, _, _ in job.parts.values()])
        folders: set[Path] = set()
        for job in group:
            for name in [*job.parts]:
                folders.update(self._publish(job, name))
        self._sync(sorted(folders))
        files = [self._file_rows(job) for job in group]
        outdated = self._store.replace_rows(files)
        for name in outdated:
            with suppress(OSError):
                (self._out / name).unlink()
        if outdated:
            self._store.forget_pictures(outdated)
        for job, file in zip(group, files, strict=True):
            self._on_rows([*file.rows])
            self.finish(job, [*file.rows])

    def _is_of_others(self, name: str) -> bool:
        try:
            is_there = os.stat(self._out / name).st_size > 0  # noqa: PTH116 (for each picture)
        except OSError:
            return False
        return is_there and not self._store.has_picture(name)

    def _publish(self, job: Job, name: str) -> list[Path]:
        """Give a picture its name; returns the folders that changed."""
        part, final = job.parts[name][0], self._out / name
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            part.replace(final)
        except OSError as error:
            if not is_name_error(error):
                raise _unwritten(final, error) from error
            self._drop(job, name, str(_unwritten(final, error)))
            return []
        return [self._out / folder for folder in Path(name).parents]

    def _drop(self, job: Job, name: str, sentence: str) -> None:
        """Leave a picture out that cannot have its name: its frame has failed."""
        part, place, _ = job.parts.pop(name)
        part.unlink(missing_ok=True)
        job.rows[place] = self._worker.failed_row(job.sources[place], sentence)

    def _file_rows(self, job: Job) -> FileRows:
        rows = [row for row in job.rows if row is not None]
        documents = [name for name in job.parts if name.partition("/")[0] in DOCUMENTS]
        owed = documents if self._owes else []
        version, kinds = job.sources[0].version, self._worker.kinds
        return FileRows(job.file, version, kinds, rows, [*job.parts], owed)

    def _sync(self, paths: Sequence[Path]) -> None:
        try:
            for _ in self._syncs.map(sync, paths):
                pass
        except OSError as error:
            raise _unwritten(self._out, error) from error


class Queue:
    """Measured files that wait to be committed together.

    Attributes
    ----------
    changed
        Notified whenever what is under way changes; holds all that is here.
    under_way
        Files that are measured, or wait to be committed.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.under_way: set[str] = set()
        self._measured: list[tuple[float, Job]] = []  # with the time when
        self._is_closed = False

    def begin(self, file: str) -> None:
        """Note that a file is under way; waits while it is already, or the drive is behind."""
        with self.changed:
            self.changed.wait_for(
                lambda: file not in self.under_way and len(self._measured) < 2 * _GROUP
            )
            self.under_way.add(file)

    def end(self, job: Job) -> None:
        """Note that a file is not under way any more."""
        with self.changed:
            self.under_way.discard(job.file)
            self.changed.notify_all()

    def add(self, job: Job) -> None:
        """Add a file that is measured."""
        with self.changed:
            self._measured.append((time.monotonic(), job))
            self.changed.notify_all()

    def close(self) -> None:
        """Have what is left taken, and then no more."""
        with self.changed:
            self._is_closed = True
            self.changed.notify_all()

    def take(self) -> list[Job]:
        """Wait for files to commit: many, one that has waited, or all that are under way."""
        with self.changed:
            while not self._is_due():
                self.changed.wait(_GROUP_S / 4 if self._measured else None)
            group = [job for _, job in self._measured[:_GROUP]]
            del self._measured[:_GROUP]
            return group

    def _is_due(self) -> bool:
        if not self._measured:
            return self._is_closed
        n_measured = len(self._measured)
        is_idle = n_measured == len(self.under_way)
        has_waited = time.monotonic() - self._measured[0][0] >= _GROUP_S
        return self._is_closed or is_idle or has_waited or n_measured >= _GROUP


def _unwritten(path: Path, error: OSError) -> OutputWriteError:
    return OutputWriteError(f"{path}: cannot be written ({error.strerror})")
