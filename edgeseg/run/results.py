"""A results folder that a run holds: its store, and the table, record and report made from it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeseg.errors import EdgesegError
from edgeseg.output.cines import CINES_NAME, write_cines
from edgeseg.output.record import RUN_NAME, record_of
from edgeseg.output.report.page import REPORT_NAME, write_page
from edgeseg.output.table import RESULTS_NAME, Row, Table, column_decimals, write_csv
from edgeseg.run.open_store import open_store
from edgeseg.system.files import sync, write_json

if TYPE_CHECKING:
    from edgeseg.inputs.source import Source
    from edgeseg.run.store import Store
    from edgeseg.run.worker import Worker

_EXPORTS = (RESULTS_NAME, RUN_NAME, REPORT_NAME, CINES_NAME)
_EVERY_S, _REST = 5.0, 50  # between exports: seconds, and times as long as the last one took


class Exported(NamedTuple):
    """What was exported: all rows, those of films, and the time of the run."""

    rows: Table
    cines: Sequence[Row]
    wall_s: float


class Results:
    """A folder of results, held by this process.

    Attributes
    ----------
    out, store
        The folder and its store.
    """

    def __init__(
        self,
        worker: Worker,
        out: Path,
        store: Store,
        asked: Mapping[str, Any],
        on_notice: Callable[[str], None],
    ) -> None:
        self.out, self.store = out, store
        self._worker, self._on_notice = worker, on_notice
        self._asked = {**asked, "options": worker.options._asdict()}
        if worker.calibration is not None:
            self._asked["calibration"] = asdict(worker.calibration)
        self._started_s = time.perf_counter()
        self._changed, self._ending = threading.Event(), threading.Event()

    def note_change(self) -> None:
        """Note that the store has other rows than the exports."""
        self._changed.set()

    def export(self, status: str = "running", n_images: int | None = None) -> Exported:
        """Write the table, the summary of films, the record and the report from the store.

        Parameters
        ----------
        status
            ``running``, or ``done``: then they outlive a power cut too.
        n_images
            Images of the input; None: as many as there are rows.

        Raises
        ------
        OutputWriteError
            If one cannot be written.
        """
        segmenter, options = self._worker.segmenter, self._worker.options
        task, out = segmenter.metadata.task, self.out
        rows = Table(self._worker.titles, self.store.packed_rows())
        wall_s = time.perf_counter() - self._started_s
        write_csv(out / RESULTS_NAME, rows.titles, rows, column_decimals(task))
        cines = write_cines(out / CINES_NAME, rows, task)
        record = record_of(
            segmenter,
            self._asked,
            status=status,
            n_images=len(rows) if n_images is None else n_images,
            rows=rows,
            wall_s=wall_s,
        )
        write_json(out / RUN_NAME, record)
        write_page(
            out / REPORT_NAME, task, rows, record, out / "overlays" if options.overlays else None
        )
        if status == "done":
            for name in _EXPORTS:
                with contextlib.suppress(FileNotFoundError):
                    sync(out / name)
            sync(out)
        return Exported(rows, cines, wall_s)

    @contextlib.contextmanager
    def exporting(self) -> Iterator[None]:
        """Export now and then meanwhile, where something has changed, and after an exception."""
        thread = threading.Thread(target=self._export_often, name="edgeseg-export", daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            self._stop(thread)
            with contextlib.suppress(EdgesegError):
                self.export()
            raise
        self._stop(thread)

    def _stop(self, thread: threading.Thread) -> None:
        self._ending.set()
        self._changed.set()
        thread.join()

    def _export_often(self) -> None:
        rest_s = _EVERY_S
        while not self._ending.wait(rest_s):
            self._changed.wait()
            if self._ending.is_set():
                return
            self._changed.clear()
            started_s = time.monotonic()
            try:
                self.export()
            except EdgesegError as error:
                self._on_notice(str(error))
            rest_s = max(_EVERY_S, _REST * (time.monotonic() - started_s))


@contextlib.contextmanager
def open_results(
    worker: Worker,
    out: Path,
    arguments: Mapping[str, Any],
    on_notice: Callable[[str], None],
    *,
    resume: bool,
    overwrite: bool = False,
    sources: Sequence[Source] = (),
    why: str = "",
) -> Iterator[Results]:
    """Hold a folder for a run, and open its store.

    Parameters
    ----------
    worker
        What will measure.
    arguments
        Recorded in ``run.json`` as they are.
    on_notice
        Called with sentences on the folder that a user should read.
    resume, overwrite
        Whether an earlier run there is continued, or replaced.
    sources
        All images, where they are known: no picture of somebody else's is replaced.
    why
        What an error says of options when the folder is not empty.

    Raises
    ------
    OutputExistsError, OutputLockedError, OutputWriteError
        If the folder holds something else, is in use or cannot be written.
    DataError
        If the run there was of another model, engine or table, or its store is damaged.
    """
    opened = open_store(
        worker,
        out,
        on_notice,
        _EXPORTS,
        resume=resume,
        overwrite=overwrite,
        sources=sources,
        why=why,
    )
    with opened as store:
        yield Results(worker, out, store, {"arguments": dict(arguments)}, on_notice)
