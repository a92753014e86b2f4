"""Files a run writes: claimed before, locked while it runs, and never half there."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import math
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edgeseg.errors import OutputExistsError, OutputLockedError, OutputNameError, OutputWriteError

LOCK_NAME = ".edgeseg.lock"
_held: set[str] = set()  # by this process, which the system's lock does not keep from itself
_looking = threading.Lock()  # to look whether a folder is held and to hold it are one step
# too long, or a file where a folder must be, or the other way round; what a drive does not allow
# in names, such as ':' on a stick, bytes that are no text, or links that lead in a circle
_NAME_ERRORS = frozenset(
    [
        *(errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
        *(errno.EINVAL, errno.EILSEQ, errno.ELOOP),
    ]
)
# what drives without locks answer, many network drives among them
_NO_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL))
_PART = re.compile(r"\.(edgeseg-)?[0-9a-f]{12}\.part")  # without its first word in version 0.1


def write_atomic(path: Path, data: bytes | Iterable[bytes], *, durable: bool = False) -> None:
    """Write a file so that it is either the old one or the new one, whenever it is looked at.

    Parameters
    ----------
    path
        The file; folders above it are made.
    data
        Its bytes, or parts of them that follow each other.
    durable
        Whether it outlives a power cut too, at the price of a wait for the disk.

    Raises
    ------
    OutputNameError
        If it cannot be written under this name.
    OutputWriteError
        If it cannot be written.
    """
    part = path.parent / new_part()
    _check_encodable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as stream:
                stream.writelines([data] if isinstance(data, bytes) else data)
                if durable:
                    stream.flush()
                    os.fsync(stream.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        kind = OutputNameError if error.errno in _NAME_ERRORS else OutputWriteError
        raise kind(f"{path}: cannot be written ({error.strerror})") from error


def write_first(path: Path, data: bytes) -> bool:
    """Write a file whole unless there is one; returns whether the drive can tell who was first.

    If not, whoever is last of several who do so at once wins.

    Raises
    ------
    OutputWriteError
        If it cannot be written.
    """
    ours = path.parent / new_part()
    write_atomic(ours, data, durable=True)
    try:
        os.link(ours, path)
    except FileExistsError:
        pass
    except OSError:  # a drive without links
        write_atomic(path, data, durable=True)
        return False
    finally:
        ours.unlink(missing_ok=True)
    return True


def new_part() -> str:
    """Return a name for a file that is not finished, which no other has; see `is_part`."""
    return f".edgeseg-{os.urandom(6).hex()}.part"


def is_part(name: str) -> bool:
    """Return whether a file of this name is what `write_atomic` leaves where it is killed."""
    return _PART.fullmatch(name) is not None


def check_targets(*paths: Path | None) -> None:
    """Find out before a long measurement whether its reports can be written; None is none.

    Raises
    ------
    OutputWriteError
        If one is a folder or lies where nothing can be written.
    """
    for path in filter(None, paths):
        _check_encodable(path)
        try:
            above = next(parent for parent in path.absolute().parents if parent.exists())
            is_folder = path.is_dir()
        except OSError as error:
            raise OutputWriteError(f"{path}: cannot be written ({error.strerror})") from error
        if is_folder:
            raise OutputWriteError(f"{path} is a folder; give the name of a file in it")
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise OutputWriteError(f"{path}: cannot be written: {above} is no folder to write in")


def json_text(value: Any) -> str:
    """Return JSON, ended by a newline; NaN and infinity become null, which JSON can say."""
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write `json_text` atomically."""
    write_atomic(path, json_text(value).encode(errors="backslashreplace"))


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as CSV text, one line each, ended by a newline on every system."""
    stream = io.StringIO(newline="")
    plain = csv.writer(stream, lineterminator="\n")
    quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        # The module does not quote a bare carriage return, and then reads it as a line's end.
        (quoted if any("\r" in cell for cell in row) else plain).writerow(row)
    return stream.getvalue()


@contextlib.contextmanager
def locked(folder: Path, on_notice: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Hold a folder for one run; the lock dies with its process, however it ends.

    Parameters
    ----------
    folder
        It is made if it is not there.
    on_notice
        Called with a sentence if the drive has no locks: the folder is then held against other
        runs of this process alone.

    Raises
    ------
    OutputLockedError
        If another run holds the folder.
    OutputWriteError
        If the folder cannot be made, written into or locked, though its drive has locks.
    """
    _check_encodable(folder)
    # Not by filelock: it too fails on drives without locks, and importing it delays every command.
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held = os.path.realpath(folder)
            with _looking:
                # Before opening: closing any stream on the file would drop the lock we have.
                free = held not in _held
                if free:
                    stream = stack.enter_context((folder / LOCK_NAME).open("a+b"))
                    free = _lock(stream.fileno(), folder, on_notice)
                if free:
                    _held.add(held)
                    stack.callback(_held.discard, held)
        except OSError as error:
            raise OutputWriteError(
                f"{folder}: cannot write there ({error.strerror}); choose another output folder"
            ) from error
        if not free:
            raise OutputLockedError(
                f"{folder}: another run is writing there; wait for it or choose another folder"
            )
        yield


def claim(path: Path, overwrite: bool, why: str = "") -> None:
    """Refuse an output that exists unless it may be overwritten.

    Raises
    ------
    OutputExistsError
        If ``path`` exists, is not an empty folder, and ``overwrite`` is false.
    OutputWriteError
        If it cannot be looked at.
    """
    if overwrite:
        return
    _check_encodable(path)
    try:
        if not path.exists():
            return
        if path.is_dir() and not any(p for p in path.iterdir() if p.name != LOCK_NAME):
            return
    except OSError as error:
        raise OutputWriteError(
            f"{path}: cannot be written or looked at ({error.strerror}); choose another output"
        ) from error
    raise OutputExistsError(
        f"{path} exists{why}; pass --overwrite to replace it, or choose another output"
    )


def _check_encodable(path: Path) -> None:
    """Refuse what is no path on any system, or not on this one."""
    try:
        broken = b"\0" in os.fsencode(path)
    except UnicodeEncodeError:
        broken = True
    if broken:
        raise OutputNameError(f"{path}: cannot be written: this system has no such names")


def _lock(descriptor: int, folder: Path, on_notice: Callable[[str], None]) -> bool:
    """Lock a file and tell whether it was free, as one on a drive without locks always is."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            # Not flock: a forked child would share that lock and keep it when its parent is killed.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        if error.errno not in _NO_LOCKS:
            raise
        on_notice(
            f"{folder}: this drive has no locks ({error.strerror}), so nothing keeps a second run "
            "out; start none into this folder before this one ends"
        )
    return True


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
