"""What lies in a run's folder already: what earlier runs wrote, and what is not theirs."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.errors import OutputExistsError
from edgeseg.inputs.source import Source
from edgeseg.output.cines import CINES_NAME
from edgeseg.output.pictures import DOCUMENTS, KINDS, PICTURES, picture_names
from edgeseg.output.record import RUN_NAME
from edgeseg.output.report.page import REPORT_NAME
from edgeseg.output.table import RESULTS_NAME
from edgeseg.run.journal import JOURNAL_NAME, Journal, Noted, Stamp, read_journal
from edgeseg.system.cells import unshield
from edgeseg.system.files import is_part, write_atomic

_FIRST_COLUMN = "file"  # of every version's table


class Earlier(NamedTuple):
    """What earlier runs left in a folder.

    Attributes
    ----------
    noted
        Their journal.
    kinds
        Kinds of pictures that were theirs altogether, of a version that kept no journal.
    files
        Names of what belongs to them beside the pictures.
    """

    noted: Noted
    kinds: frozenset[str]
    files: frozenset[str]

    @property
    def stamps(self) -> Mapping[int, Stamp]:
        """What files their rows are of."""
        return self.noted.stamps

    def wrote(self, kind: str, picture: str) -> bool:
        """Return whether a picture of a kind, named below the folder, is theirs."""
        return kind in self.kinds or picture in self.noted.pictures


def spare_others(out: Path, items: Sequence[Source], kinds: Sequence[str]) -> None:
    """Refuse a folder of somebody else's before even a lock lies in it; see `take_over`."""
    if not (out / JOURNAL_NAME).is_file() and _record(out) is None:
        _refuse_others(out, items, kinds, look_back(out))


def take_over(out: Path, items: Sequence[Source], kinds: Sequence[str]) -> Earlier:
    """Return what earlier runs left in a folder that is locked, ready to be added to or removed.

    Parameters
    ----------
    kinds
        Kinds of pictures that will be written of the items.

    Raises
    ------
    OutputExistsError
        If a file or picture that would be written is there, and not from an earlier run.
    """
    earlier = look_back(out)
    _refuse_others(out, items, kinds, earlier)
    _remove_parts(out)
    if earlier.kinds:  # known by the journal from now on
        with Journal(out) as journal:
            for _, name in _existing_pictures(out, items, sorted(earlier.kinds)):
                journal.pictures([name])
    return earlier


def look_back(out: Path) -> Earlier:
    """Return what earlier runs left in a folder."""
    record, has_journal = _record(out), (out / JOURNAL_NAME).is_file()
    files = set()
    if record is not None or has_journal:
        files = {RUN_NAME, RESULTS_NAME, REPORT_NAME, CINES_NAME}
    elif _is_table(out / RESULTS_NAME):
        files = {RESULTS_NAME, REPORT_NAME}
    options = (record or {}).get("options")
    told = options if isinstance(options, dict) else {}
    kinds = {kind for kind in PICTURES if files and not has_journal and told.get(kind, True)}
    return Earlier(read_journal(out), frozenset(kinds), frozenset(files))


def _refuse_others(
    out: Path, items: Sequence[Source], kinds: Sequence[str], earlier: Earlier
) -> None:
    for name in (RESULTS_NAME, RUN_NAME, REPORT_NAME, CINES_NAME):
        if name not in earlier.files and os.path.lexists(out / name):
            raise _others(out, name)
    for kind, picture in _existing_pictures(out, items, kinds):
        if not earlier.wrote(kind, picture):
            raise _others(out, picture)


def _existing_pictures(
    out: Path, items: Sequence[Source], kinds: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name, below the folder, of each picture of the items that is there."""
    there = [kind for kind in kinds if os.path.lexists(out / kind)]
    for item in items if there else ():
        names = picture_names(item.file, item.frame)
        for kind in there:
            if os.path.lexists(f"{out}/{names[kind]}"):
                yield kind, names[kind]


def remove_earlier(out: Path, earlier: Earlier) -> None:
    """Remove the pictures, the table and the report of earlier runs, and nothing else.

    Their journal is emptied last: killed meanwhile, the rest is still known for what it is.
    """
    pictures: Iterable[str] = earlier.noted.pictures
    if earlier.kinds:
        names = (picture_names(*key) for key in _keys_of_table(out / RESULTS_NAME))
        pictures = (each[kind] for each in names for kind in earlier.kinds)
    _remove(out, pictures)
    for name in earlier.files - {RUN_NAME}:
        (out / name).unlink(missing_ok=True)
    write_atomic(out / JOURNAL_NAME, b"")


def remove_outdated(
    out: Path, earlier: Earlier, items: Sequence[Source], kept: Container[tuple[str, int]]
) -> None:
    """Remove what an earlier run wrote of what is measured otherwise now, or is not there.

    That are the documents of files of which a row is not kept: of a film they tell of one frame,
    and are only written where they are missing. And all pictures of frames that a film had.

    Parameters
    ----------
    items
        All of the run.
    kept
        The `Source.key` of those whose rows are kept.
    """
    outdated = set(earlier.noted.pictures)
    for item in items:
        outdated.difference_update(picture_names(*item.key).values())
    for item in items:
        if item.key not in kept:
            names = picture_names(*item.key)
            outdated.update(earlier.noted.pictures.intersection(names[kind] for kind in DOCUMENTS))
    _remove(out, outdated)


def _remove(out: Path, pictures: Iterable[str]) -> None:
    within = os.path.realpath(out)
    for picture in pictures:
        path = out / picture
        # Whoever changed the table or the journal may have named any file.
        if os.path.realpath(path.parent).startswith(os.path.join(within, "")):  # noqa: PTH118
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()


def _remove_parts(out: Path) -> None:
    """Remove the unfinished files of runs that were killed."""
    folders = [out, *(out / kind for kind in KINDS)]
    for top in folders:
        for here, below, names in os.walk(top):
            if top is out:
                below.clear()
            for name in filter(is_part, names):
                Path(here, name).unlink(missing_ok=True)


def _others(out: Path, name: str) -> OutputExistsError:
    return OutputExistsError(
        f"{out / name} is there, and no earlier run of edgeseg wrote it; move it away, or choose "
        "another output folder"
    )


def _record(out: Path) -> dict[str, Any] | None:
    """Return the record of a run in a folder; None if there is none, or it is of something else."""
    try:
        record = json.loads((out / RUN_NAME).read_text(encoding="utf-8"))
        return record if "sha256" in record["model"] and "edgeseg" in record["versions"] else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _is_table(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return stream.readline().startswith(f"{_FIRST_COLUMN},frame,status,")
    except (OSError, UnicodeDecodeError):
        return False


def _keys_of_table(path: Path) -> list[tuple[str, int]]:
    """Return the files and frames that a table of any version names, as far as it can be read."""
    found = []
    with (
        contextlib.suppress(OSError, UnicodeDecodeError, csv.Error),
        path.open(encoding="utf-8-sig", newline="") as stream,
    ):
        for row in csv.DictReader(stream):
            file, frame = row.get(_FIRST_COLUMN) or "", row.get("frame") or ""
            found.append((unshield(file), int(frame) if frame.isdecimal() else 0))
    return [key for key in found if key[0]]
