"""A results folder that a run holds: its store, and the table, record and report made from it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.errors import DataError, EdgesegError, OutputExistsError, OutputLockedError
from edgeseg.output import table
from edgeseg.output.record import RUN_NAME, picture_names, record_of
from edgeseg.output.report.page import REPORT_NAME, write_page
from edgeseg.run.store import STORE_NAME, Picture, Store
from edgeseg.system.files import claim, locked, sync, write_json

if TYPE_CHECKING:
    from edgeseg.inputs.source import Source
    from edgeseg.run.worker import Worker

_EXPORTS = (table.RESULTS_NAME, RUN_NAME, REPORT_NAME, table.CINES_NAME)
_JOURNAL_NAME = ".edgeseg.journal"  # of version 0.2
_EVERY_S, _REST = 5.0, 100  # between exports: seconds, and times as long as the last one took


class Results:
    """A folder of results and its store, held by this process; see `open_results`."""

    def __init__(
        self, worker: Worker, out: Path, store: Store, arguments: Mapping[str, Any]
    ) -> None:
        self.out, self.store, self._worker = out, store, worker
        self._asked = {"arguments": {**arguments}, "options": worker.options._asdict()}
        if worker.calibration is not None:
            self._asked["calibration"] = asdict(worker.calibration)
        self._started_s = time.perf_counter()
        self._changed, self._ending = threading.Event(), threading.Event()

    def note_change(self, _: Sequence[table.Row]) -> None:
        """Note that the store has rows that the exports lack; for `Engine`'s ``on_rows``."""
        self._changed.set()

    def export(self, status: str = "running") -> tuple[table.Table, Sequence[table.Row], float]:
        """Write the table, the summary of films, the record and the report from the store.

        With the status ``done`` they outlive a power cut too. Returns all rows, those of films, and
        the time of the run in seconds; raises `OutputWriteError` if something cannot be written.
        """
        segmenter, out = self._worker.segmenter, self.out
        task = segmenter.metadata.task
        packed, titles = self.store.packed_rows(), self._worker.titles
        if self.store.has_more_values(len(titles)):
            titles = (*titles, table.TIME_COLUMN)
        rows = table.Table(titles, packed)
        wall_s = time.perf_counter() - self._started_s
        table.write_csv(out / table.RESULTS_NAME, rows.titles, rows, table.column_decimals(task))
        cines = table.write_cines(out / table.CINES_NAME, rows, task)
        count = {"n_images": len(rows), "n_waiting": len(self.store.waiting())}
        record = record_of(segmenter, self._asked, status=status, **count, rows=rows, wall_s=wall_s)
        write_json(out / RUN_NAME, record)
        overlays = out / "overlays" if self._worker.options.overlays else None
        write_page(out / REPORT_NAME, task, rows, record, overlays)
        if status == "done":
            for path in (*map(out.joinpath, _EXPORTS), out):
                with contextlib.suppress(FileNotFoundError):
                    sync(path)
        return rows, cines, wall_s

    @contextlib.contextmanager
    def exporting(self) -> Iterator[None]:
        """Export now and then meanwhile, where something has changed, and after an exception."""
        thread = threading.Thread(target=self._export_often, name="edgeseg-export", daemon=True)
        thread.start()
        try:
            try:
                yield
            finally:
                self._ending.set()
                thread.join()
        except BaseException:
            with contextlib.suppress(EdgesegError):
                self.export()
            raise

    def _export_often(self) -> None:
        rest_s = 2 * _EVERY_S  # most folders are measured by then
        while not self._ending.wait(rest_s):
            if not self._changed.is_set():
                continue
            self._changed.clear()
            started_s = time.monotonic()
            try:
                self.export()
            except EdgesegError as error:
                self._worker.on_notice(str(error))
            rest_s = max(_EVERY_S, _REST * (time.monotonic() - started_s))


@contextlib.contextmanager
def open_results(
    worker: Worker,
    out: Path,
    arguments: Mapping[str, Any],
    sources: Sequence[Source] = (),
) -> Iterator[Results]:
    """Hold a folder for a run, and open its store: refuse what is somebody else's.

    The worker's options say whether an earlier run there is continued, or replaced; ``arguments``
    are recorded in ``run.json`` as they are. ``sources`` are all images, where they are known: no
    picture of somebody else's is replaced.

    Raises `OutputExistsError`, `OutputLockedError` or `OutputWriteError` if the folder holds
    something else, is in use or cannot be written; `DataError` if the run there was of another
    model, engine or table, or its store is damaged.
    """
    is_ours = (out / STORE_NAME).exists()
    if not is_ours and (out / _JOURNAL_NAME).is_file():
        raise OutputExistsError(
            f"{out} holds results of edgeseg 0.2, which this version does not continue"
            f"{_count_unsent(out / _JOURNAL_NAME)}; choose another folder"
        )
    resume, overwrite = worker.options.resume, worker.options.overwrite
    why = "" if resume else " (--resume continues an earlier run)"
    claim(out, overwrite or (is_ours and resume), why)
    there = [kind for kind in worker.kinds if os.path.lexists(out / kind)]
    of_images = [picture_names(*source.key) for source in sources]
    names = [names[kind] for names in of_images for kind in there if kind in names]
    if not is_ours:
        _refuse_others(out, [*_EXPORTS, *names], lambda name: False)
    with locked(out, worker.on_notice) as has_locks:
        if not is_ours and (out / STORE_NAME).exists():
            raise OutputLockedError(f"{out}: another run writes there; choose another folder")
        opened = _open_store(out, names, has_locks=has_locks, anew=overwrite)
        with contextlib.closing(opened) as store:
            if is_ours:
                _refuse_others(out, names, store.has_picture)
            if overwrite:
                _remove_earlier(out, store)
            _check_same_run(out, store, worker)
            yield Results(worker, out, store, arguments)


def _count_unsent(journal: Path) -> str:
    """Say how many reports a node of version 0.2 still owed an archive."""
    owed: set[str] = set()
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, TypeError):  # of a line cut off by a kill
            kind, *names = json.loads(line)
            if kind in ("owed", "sent"):
                owed = owed | {*names} if kind == "owed" else owed - {*names}
    return f"; {len(owed)} of its reports were never sent" if owed else ""


def _refuse_others(out: Path, names: Sequence[str], is_ours: Callable[[str], bool]) -> None:
    """Refuse to replace what no run of edgeseg wrote into this folder; empty files are nobody's."""
    for name in names:
        try:
            is_there = os.stat(f"{out}/{name}").st_size > 0  # noqa: PTH116 (for each picture)
        except OSError:
            continue
        if is_there and not is_ours(name):
            raise OutputExistsError(
                f"{out / name} is there, and no earlier run of edgeseg wrote it; move it away, or "
                "choose another output folder"
            )


def _open_store(out: Path, names: Sequence[str], *, has_locks: bool, anew: bool) -> Store:
    """Open a folder's store; one that is damaged or emptied is made anew if nothing hangs on it.

    Where the run begins anew, pictures of ``names`` are this folder's: nothing else says which are.
    """
    path, table_path = out / STORE_NAME, out / table.RESULTS_NAME
    is_lost = path.exists() and not path.stat().st_size
    if is_lost and not anew and table_path.exists() and table_path.stat().st_size:
        raise DataError(
            f"{path} is empty, but {table_path.name} beside it is not; begin anew (--overwrite), "
            "or choose another folder"
        )
    try:
        store = Store(out, has_locks=has_locks)
    except DataError:
        if not anew:
            raise
        for end in ("", "-wal", "-journal"):
            (out / f"{STORE_NAME}{end}").unlink(missing_ok=True)
        store, is_lost = Store(out, has_locks=has_locks), True
    if is_lost and anew:
        store.announce(Picture(name, "", 0) for name in names)
    return store


def _remove_earlier(out: Path, store: Store) -> None:
    """Remove pictures and exports of earlier runs; the store forgets them last, as a kill may come.

    A store that somebody changed may name any file: only those below the folder are removed.
    """
    within = os.path.join(os.path.realpath(out), "")  # noqa: PTH118
    for name in (*store.pictures(), *_EXPORTS):
        path = out / name
        if os.path.join(os.path.realpath(path.parent), "").startswith(within):  # noqa: PTH118
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
    store.clear()


def _check_same_run(out: Path, store: Store, worker: Worker) -> None:
    """Note with what is measured, or refuse a folder whose rows were measured with other things."""
    model, provider, titles = worker.segmenter.file, worker.segmenter.provider, [*worker.titles]
    known = store.read_record()
    if known is None:
        store.write_record({"sha256": model.sha256, "provider": provider, "titles": titles})
        return
    other = ""
    if known["sha256"] != model.sha256:
        other = f"model (SHA-256 {known['sha256'][:12]}…, now {model.sha256[:12]}…)"
    elif known["provider"] != provider:
        other = f"engine ({known['provider']}, now {provider}), which may differ in the last digits"
    elif known["titles"] != titles:
        other = "set of columns, as with other ages, calibration, --ruler or --keep-ids"
    if other:
        raise DataError(
            f"{out}: the run there used another {other}; use the same, choose another folder, or "
            "begin anew (--overwrite)"
        )
