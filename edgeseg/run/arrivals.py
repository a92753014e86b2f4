"""A run without an end: files are measured as they come, each exactly once, whatever is killed."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeseg.errors import DataError, OutputExistsError, OutputWriteError
from edgeseg.inputs.source import Source
from edgeseg.output import table
from edgeseg.output.appender import RowAppender
from edgeseg.output.pictures import DOCUMENTS, PICTURES, picture_names, picture_paths
from edgeseg.output.record import RUN_NAME, write_record
from edgeseg.output.table import RESULTS_NAME, Table
from edgeseg.run.journal import JOURNAL_NAME, Journal, read_journal
from edgeseg.run.measuring import Measuring
from edgeseg.run.results import write_results
from edgeseg.run.resume import check_same_model
from edgeseg.system.files import claim, locked
from edgeseg.system.parallel import ordered_map, single_threaded_opencv, usable_cores

_MARK = "arrivals"  # in the record of such a run


class Arrivals:
    """A folder of results to which files are added one by one, from several threads.

    It is open while its context is: then no other run may write there. A folder of an earlier
    such run is gone on with.

    Parameters
    ----------
    measuring
        How they are measured, and into which folder.
    arguments
        Recorded in ``run.json`` as they are.
    on_notice
        Called with sentences on the folder that a user should read.
    owes
        Whether documents are to be sent somewhere, and are noted until they are.
    on_rows
        Called with the rows of each file once they are on disk, of one file at a time.

    Attributes
    ----------
    owed
        Documents of earlier runs, by their names below the folder, that were not sent yet.
    """

    def __init__(
        self,
        measuring: Measuring,
        arguments: Mapping[str, Any] | None = None,
        on_notice: Callable[[str], None] = lambda text: None,
        *,
        owes: bool = False,
        on_rows: Callable[[Sequence[table.Row]], None] = lambda rows: None,
    ) -> None:
        self.measuring = measuring
        self.owed: list[str] = []
        self._arguments, self._on_notice, self._owes = dict(arguments or {}), on_notice, owes
        self._out = measuring.out
        self._on_rows = on_rows
        self._done: set[str] = set()
        self._versions: dict[str, str] = {}
        self._under_way: set[str] = set()
        self._ended = threading.Condition()
        self._writing, self._reporting = threading.Lock(), threading.Lock()
        self._open = contextlib.ExitStack()
        self._started = 0.0

    def __enter__(self) -> Arrivals:
        """Open the folder.

        Raises
        ------
        OutputExistsError, OutputLockedError, OutputWriteError
            If it holds something else, is in use or cannot be written.
        DataError
            If the run in it was of another model or with other options, or its journal is missing.
        """
        out = self._out
        is_one = _is_one(out / RUN_NAME)
        if not is_one:
            try:
                claim(out, overwrite=False)
            except OutputExistsError:
                raise OutputExistsError(
                    f"{out} holds something else than what such a run writes; choose another folder"
                ) from None
        with contextlib.ExitStack() as opening:
            opening.enter_context(locked(out, self._on_notice))
            lines: list[str] = []
            if is_one:
                check_same_model(out / RUN_NAME, out, self.measuring.segmenter)
                lines = self._go_on()
            write_record(
                *(out, self.measuring.segmenter, self._asked),
                status="running",
                n_images=len(lines),
            )
            table.write_lines(out / RESULTS_NAME, self.measuring.titles, lines)
            self._journal = opening.enter_context(Journal(out, durable=True))
            self._appender = RowAppender(out / RESULTS_NAME, durable=True)
            opening.callback(lambda: self._appender.__exit__())  # whichever is open then
            opening.enter_context(single_threaded_opencv)
            self._open = opening.pop_all()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        with self._open:
            self.report("done")

    def add(self, file: str, path: Path, n_frames: int, version: str = "") -> list[str]:
        """Measure a file unless it is measured already; its rows are on disk on return.

        Rows of another version of the file are replaced.

        Of two threads that bring the same file, one waits for the other.

        Parameters
        ----------
        file
            What results call it.
        path
            Where it lies now; it need not stay there afterwards.
        n_frames
            As many as it has; 0 of a file that is one image.
        version
            What tells it from what it was or will be; empty where files do not change.

        Returns
        -------
        list of str
            Names, below the folder, of the documents that were made of it.

        Raises
        ------
        OutputWriteError
            If the folder cannot be written to, or the file is taken away meanwhile; it may be
            added again.
        """
        with self._turn(file):
            if file in self._done and self._versions.get(file, "") == version:
                return []
            numbers = range(1, n_frames + 1) if n_frames else (0,)
            items = [Source(file, str(path), number) for number in numbers]
            with self._writing:
                self._journal.pictures(self.measuring.names(items))
            documents = self.measuring.documents
            if file in self._done:  # those of what it was
                for kind in DOCUMENTS:
                    picture_paths(self._out, *items[0].key)[kind].unlink(missing_ok=True)
            rows = [*self._rows(items)]
            if n_frames:
                documents.finish(items, rows, self.measuring.remeasure)
            made = self._documents(items[0]) if documents.kinds else []
            if not path.is_file():  # its sender was cut off, and sends it again
                raise OutputWriteError(f"{file}: it was taken away while it was measured")
            with self._writing:
                take_back = self._write(file, rows)
                try:
                    self._journal.done(file, made if self._owes else (), version)
                except OutputWriteError:
                    take_back()  # else they would stand there twice
                    raise
                self._done.add(file)
                self._versions[file] = version
                self._on_rows(rows)
            for text in documents.take_notices():
                self._on_notice(text)
            return made

    def sent(self, names: Sequence[str]) -> None:
        """Note documents that need not be sent any more."""
        with self._writing:
            self._journal.sent(names)

    def report(self, status: str = "running") -> None:
        """Write what is made of all rows so far: the report, the summary of films, the record."""
        with self._reporting:
            with self._writing:
                rows = table.read_rows(self._out / RESULTS_NAME, self.measuring.titles)
            write_results(
                *(self._out, self.measuring.segmenter, rows, self._asked),
                status=status,
                wall_s=time.perf_counter() - self._started,
                overlays=self.measuring.options.overlays,
            )

    def _write(self, file: str, rows: Sequence[table.Row]) -> Callable[[], None]:
        """Write a file's rows in place of those it has, and return what takes them back.

        Whatever is killed meanwhile, a file that has changed counts as not measured, and at no time
        is it without a row.
        """
        lines = [*map(table.line, rows)]
        if file not in self._done:
            start = self._appender.append("".join(lines))
            return lambda: self._appender.cut(start)
        results, titles = self._out / RESULTS_NAME, self.measuring.titles
        earlier = table.read_rows(results, titles)
        pairs = [*zip(earlier, earlier.lines, strict=True)]
        kept = [line for row, line in pairs if row["file"] != file]
        self._journal.again(file)
        self._rewrite([*kept, *lines])
        self._done.discard(file)
        gone = {table.key(row) for row, _ in pairs if row["file"] == file} - {*map(table.key, rows)}
        for key in gone:
            paths = picture_paths(self._out, *key)
            for kind in PICTURES:
                paths[kind].unlink(missing_ok=True)
        return lambda: self._rewrite(kept)

    def _rewrite(self, lines: Sequence[str]) -> None:
        results = self._out / RESULTS_NAME
        self._appender.__exit__()
        try:
            table.write_lines(results, self.measuring.titles, lines)
        finally:
            self._appender = RowAppender(results, durable=True)

    def _rows(self, items: Sequence[Source]) -> Iterator[table.Row]:
        if len(items) == 1:
            yield self.measuring.measure(items)[0].row
            return
        workers = self.measuring.options.workers or usable_cores()
        for measured in ordered_map(self.measuring.measure, ([item] for item in items), workers):
            yield measured[0].row

    def _documents(self, item: Source) -> list[str]:
        names = picture_names(*item.key)
        wanted = (names[kind] for kind in self.measuring.documents.kinds)
        return [name for name in wanted if (self._out / name).is_file()]

    @contextlib.contextmanager
    def _turn(self, file: str) -> Iterator[None]:
        with self._ended:
            self._ended.wait_for(lambda: file not in self._under_way)
            self._under_way.add(file)
        try:
            yield
        finally:
            with self._ended:
                self._under_way.discard(file)
                self._ended.notify_all()

    def _go_on(self) -> list[str]:
        """Return the rows of an earlier run, of those files that were finished.

        The sender of any other was not told that it is measured, and sends it again.
        """
        noted = read_journal(self._out)
        rows = Table(self.measuring.titles, ())
        if (self._out / RESULTS_NAME).is_file():
            rows = table.read_rows(self._out / RESULTS_NAME, self.measuring.titles)
        if rows and not (self._out / JOURNAL_NAME).is_file():
            raise DataError(
                f"{self._out}: {RESULTS_NAME} has {len(rows)} rows, but {JOURNAL_NAME}, which "
                "tells whether they are whole, is not there; copy it too, or choose another folder"
            )
        files = [row["file"] for row in rows]
        self._done, self.owed = noted.done.intersection(files), [*noted.owed]
        self._versions = noted.versions
        pairs = zip(files, rows.lines, strict=True)
        return [line for file, line in pairs if file in self._done]

    @property
    def _asked(self) -> dict[str, Any]:
        measuring = self.measuring
        asked = {"arguments": self._arguments, "options": measuring.options._asdict(), _MARK: True}
        if measuring.calibration is not None:
            asked["calibration"] = asdict(measuring.calibration)
        return asked


def _is_one(path: Path) -> bool:
    """Tell whether a record is of such a run."""
    try:
        return json.loads(path.read_text(encoding="utf-8")).get(_MARK) is True
    except (OSError, ValueError, AttributeError, RecursionError):
        return False
