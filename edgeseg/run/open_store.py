"""Opens a results folder: refuses what is somebody else's, continues or replaces what is ours."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.errors import DataError, OutputExistsError, OutputLockedError
from edgeseg.output.pictures import PICTURES, picture_names
from edgeseg.output.table import RESULTS_NAME
from edgeseg.run.store import STORE_NAME, Picture, Store
from edgeseg.system.cells import unshield
from edgeseg.system.files import claim, locked

if TYPE_CHECKING:
    from edgeseg.inputs.source import Source
    from edgeseg.run.worker import Worker

_JOURNAL_NAME = ".edgeseg.journal"  # of version 0.2


@contextlib.contextmanager
def open_store(
    worker: Worker,
    out: Path,
    on_notice: Callable[[str], None],
    exports: Sequence[str],
    *,
    resume: bool,
    overwrite: bool,
    sources: Sequence[Source],
    why: str,
) -> Iterator[Store]:
    """Hold a folder for a run, and open its store; see `edgeseg.run.results.open_results`.

    Parameters
    ----------
    exports
        Names of the files that are made from the store.
    """
    is_ours = (out / STORE_NAME).exists()
    if not is_ours:
        _refuse_earlier_version(out)
        claim(out, overwrite, why)
        _refuse_others(out, exports, sources, worker.kinds, lambda name: False)
    elif not resume:
        claim(out, overwrite, why)
    with locked(out, on_notice) as has_locks:
        if not is_ours and (out / STORE_NAME).exists():
            raise OutputLockedError(f"{out}: another run writes there; choose another folder")
        with contextlib.closing(_open(out, has_locks=has_locks, anew=overwrite)) as store:
            if is_ours:
                _refuse_others(out, (), sources, worker.kinds, store.has_picture)
            if overwrite:
                _remove_earlier(out, exports, store)
            _check_same_run(out, store, worker)
            yield store


def _open(out: Path, *, has_locks: bool, anew: bool) -> Store:
    """Open a folder's store; one that is damaged or emptied is made anew if nothing hangs on it."""
    path, table = out / STORE_NAME, out / RESULTS_NAME
    try:
        is_emptied = path.stat().st_size == 0
    except FileNotFoundError:
        is_emptied = False
    keys = _keys_of_table(table)
    if is_emptied and keys and not anew:
        raise DataError(
            f"{path} is empty, but {RESULTS_NAME} beside it is not; begin anew (--overwrite), or "
            "choose another folder"
        )
    try:
        store = Store(out, has_locks=has_locks)
    except DataError:
        if not anew:
            raise
        for name in (STORE_NAME, f"{STORE_NAME}-wal", f"{STORE_NAME}-journal"):
            (out / name).unlink(missing_ok=True)
        store, is_emptied = Store(out, has_locks=has_locks), True
    if is_emptied:
        names = ((file, picture_names(file, frame)) for file, frame in keys)
        store.announce(Picture(each[kind], file, 0) for file, each in names for kind in PICTURES)
    return store


def _check_same_run(out: Path, store: Store, worker: Worker) -> None:
    """Note with what is measured, or refuse a folder whose rows were measured with other things."""
    model, titles = worker.segmenter.file, [*worker.titles]
    record = {"sha256": model.sha256, "provider": worker.segmenter.provider, "titles": titles}
    known = store.read_record()
    if known is None:
        store.write_record(record)
        return
    if known["sha256"] != model.sha256:
        raise DataError(
            f"{out}: the run there used another model (SHA-256 {known['sha256'][:12]}…, now "
            f"{model.sha256[:12]}…); choose another folder, or begin anew (--overwrite)"
        )
    if known["provider"] != record["provider"]:
        raise DataError(
            f"{out}: the run there used {known['provider']}, now {record['provider']}, which need "
            "not measure the same to the last digit; resume with the same device or choose another "
            "folder"
        )
    if known["titles"] != titles:
        raise DataError(
            f"{out}: the results there have other columns, as of a run with other ages, "
            "calibration or --keep-ids; choose another folder, or begin anew (--overwrite)"
        )


def _refuse_earlier_version(out: Path) -> None:
    """Refuse the folder of a run of version 0.2."""
    try:
        lines = (out / _JOURNAL_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    owed: set[str] = set()
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):
            kind, *names = json.loads(line)
            if kind in ("owed", "sent"):
                owed = owed | {*names} if kind == "owed" else owed - {*names}
    unsent = f"; {len(owed)} of its reports were never sent" if owed else ""
    raise OutputExistsError(
        f"{out} holds results of edgeseg 0.2, which this version does not continue{unsent}; choose "
        "another folder"
    )


def _refuse_others(
    out: Path,
    exports: Sequence[str],
    sources: Sequence[Source],
    kinds: Sequence[str],
    is_ours: Callable[[str], bool],
) -> None:
    """Refuse to replace what no run of edgeseg wrote into this folder; empty files are nobody's."""
    there = [kind for kind in kinds if os.path.lexists(out / kind)]
    pictures = (picture_names(*source.key)[kind] for kind in there for source in sources)
    for name in (*exports, *pictures):
        try:
            is_there = os.stat(f"{out}/{name}").st_size > 0  # noqa: PTH116 (for each picture)
        except OSError:
            continue
        if is_there and not is_ours(name):
            raise OutputExistsError(
                f"{out / name} is there, and no earlier run of edgeseg wrote it; move it away, or "
                "choose another output folder"
            )


def _remove_earlier(out: Path, exports: Sequence[str], store: Store) -> None:
    """Remove pictures and exports of earlier runs; the store forgets them last, as a kill may come.

    A store that somebody changed may name any file: only those below the folder are removed.
    """
    within = os.path.join(os.path.realpath(out), "")  # noqa: PTH118
    for name in (*store.pictures(), *exports):
        path = out / name
        if os.path.join(os.path.realpath(path.parent), "").startswith(within):  # noqa: PTH118
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
    store.clear()


def _keys_of_table(path: Path) -> list[tuple[str, int]]:
    """Return the files and frames that a table of results names, as far as it can be read."""
    found = []
    with (
        contextlib.suppress(OSError, UnicodeDecodeError, csv.Error),
        path.open(encoding="utf-8-sig", newline="") as stream,
    ):
        for row in csv.DictReader(stream):
            file, frame = row.get("file") or "", row.get("frame") or ""
            found.append((unshield(file), int(frame) if frame.isdecimal() else 0))
    return [key for key in found if key[0]]
