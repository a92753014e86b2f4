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
from edgeseg.output.record import DOCUMENTS
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
    """A file in progress: all its frames, their rows, and the pictures written of them."""

    def __init__(self, sources: Sequence[Source], out: Path) -> None:
        self.sources, self._out = sources, out
        self.file = sources[0].file
        self.future: Future[list[Row]] = Future()
        self.rows: dict[int, Row] = {}  # by the frame's place
        self.parts: dict[str, tuple[Path, int, int]] = {}  # by name: part, frame's place, size
        self.n_left = len(sources)
        self.error: BaseException | None = None

    def write(self, place: int, name: str, data: bytes) -> None:
        """Write a picture of a frame, which gets its name when the file is committed."""
        part = self._out / PARTS_NAME / new_part()
        try:
            part.parent.mkdir(exist_ok=True)
            part.write_bytes(data)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise _unwritten(self._out / name, error) from error
        self.parts[name] = part, place, len(data)

    def file_rows(self, kinds: Sequence[str], *, owes: bool) -> FileRows:
        """Return what the store keeps of the file."""
        documents = [name for name in self.parts if name.partition("/")[0] in DOCUMENTS]
        rows = [self.rows[place] for place in range(len(self.sources))]
        version, owed = self.sources[0].version, documents if owes else []
        return FileRows(self.file, version, kinds, rows, [*self.parts], owed)


def remove_parts(out: Path) -> None:
    """Remove the pictures that a killed run gave no names."""
    with suppress(FileNotFoundError):
        for part in (out / PARTS_NAME).iterdir():
            part.unlink(missing_ok=True)
        (out / PARTS_NAME).rmdir()


class Committer:
    """Gives the pictures of measured files their names and makes their rows durable.

    Its parameters are those of `edgeseg.run.folder.Engine`.
    """

    def __init__(
        self,
        worker: Worker,
        store: Store,
        out: Path,
        *,
        owes: bool,
        on_rows: Callable[[list[Row]], None],
    ) -> None:
        self._worker, self._store, self._out = worker, store, out
        self._owes, self._on_rows = owes, on_rows
        self._changed = threading.Condition()  # notified of each change of what follows
        self._under_way: set[str] = set()  # files that are measured or wait to be committed
        self._measured: list[tuple[float, Job]] = []  # with the time when
        self._is_closed = False

    def begin(self, job: Job) -> None:
        """Note that a file is under way; waits while it is already, or the drive is behind."""
        with self._changed:
            self._changed.wait_for(
                lambda: job.file not in self._under_way and len(self._measured) < 2 * _GROUP
            )
            self._under_way.add(job.file)

    def add(self, job: Job) -> None:
        """Add a file that is measured."""
        with self._changed:
            self._measured.append((time.monotonic(), job))
            self._changed.notify_all()

    def end(self, job: Job, rows: list[Row] | BaseException) -> None:
        """End a job with its rows, or an error, which its caller gets."""
        if isinstance(rows, BaseException):
            for part, _, _ in job.parts.values():
                with suppress(OSError):
                    part.unlink(missing_ok=True)
        with self._changed:
            self._under_way.discard(job.file)
            self._changed.notify_all()
        if isinstance(rows, BaseException):
            job.future.set_exception(rows)
        else:
            job.future.set_result(rows)

    def close(self) -> None:
        """Have `run` commit what is left, and return."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def run(self) -> None:
        """Commit groups of files until `close`."""
        with ThreadPoolExecutor(_SYNCS, "edgeseg-sync") as self._syncs:
            while group := self._take():
                try:
                    self._commit(group)
                except BaseException as error:
                    for job in group:
                        if not job.future.done():
                            self.end(job, error)

    def _take(self) -> list[Job]:
        """Wait for files to commit: many, one that has waited, or all that are under way."""
        with self._changed:
            while not self._is_due():
                self._changed.wait(_GROUP_S / 4 if self._measured else None)
            group = [job for _, job in self._measured[:_GROUP]]
            del self._measured[:_GROUP]
            return group

    def _is_due(self) -> bool:
        n_measured = len(self._measured)
        if self._is_closed or not n_measured:
            return self._is_closed
        has_waited = time.monotonic() - self._measured[0][0] >= _GROUP_S
        return has_waited or n_measured >= min(_GROUP, len(self._under_way))

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
        files = [job.file_rows(self._worker.kinds, owes=self._owes) for job in group]
        outdated = self._store.replace_rows(files)
        for name in outdated:
            with suppress(OSError):
                (self._out / name).unlink()
        if outdated:
            self._store.forget_pictures(outdated)
        for job, file in zip(group, files, strict=True):
            self._on_rows([*file.rows])
            self.end(job, [*file.rows])

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
                raise _unwritten(final, error) from error
            self._drop(job, name, str(_unwritten(final, error)))
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
            raise _unwritten(self._out, error) from error


def _unwritten(path: Path, error: OSError) -> OutputWriteError:
    return OutputWriteError(f"{path}: cannot be written ({error.strerror})")
