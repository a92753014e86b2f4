"""Write files atomically, check outputs before a run, and lock an output folder."""

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
_held: set[str] = set()  # folders locked by this process, which may lock a file twice
_looking = threading.Lock()  # makes the check of _held and the lock one step
# The name is too long, a file is where a folder must be or the other way round, the drive does not
# allow a character such as ':' or the bytes, or links form a circle.
_NAME_ERRORS = frozenset(
    [
        *(errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
        *(errno.EINVAL, errno.EILSEQ, errno.ELOOP),
    ]
)
# Errors of drives without locks, such as many network drives.
_NO_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL))


def write_atomic(path: Path, data: bytes | Iterable[bytes], *, durable: bool = False) -> None:
    """Write a file atomically, whole or in parts: readers see either the old or the new content.

    Missing parent folders are created. A ``durable`` file survives a power cut. Raises
    `OutputNameError` if it cannot be written under this name, `OutputWriteError` if not at all.
    """
    part = path.parent / new_part()
    _check_encodable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as stream:
                stream.writelines([data] if isinstance(data, bytes) else data)
            if durable:
                sync(part)
            part.replace(path)
            if durable:
                sync(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        kind = OutputNameError if is_name_error(error) else OutputWriteError
        raise kind(f"{path}: cannot be written ({error.strerror})") from error


def write_first(path: Path, data: bytes) -> bool:
    """Write a file atomically unless it exists; return whether the drive could guarantee that.

    On a drive without hard links the last of several concurrent writers wins. Raises
    `OutputWriteError` if it cannot be written.
    """
    ours = path.parent / new_part()
    write_atomic(ours, data, durable=True)
    try:
        os.link(ours, path)
    except FileExistsError:
        pass
    except OSError:  # a drive without hard links
        write_atomic(path, data, durable=True)
        return False
    finally:
        ours.unlink(missing_ok=True)
    return True


def is_name_error(error: OSError) -> bool:
    """Return whether a file cannot be written under its name, though others beside it may."""
    return error.errno in _NAME_ERRORS


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, outlive a power cut, or raise an `OSError`."""
    if os.name == "nt" and path.is_dir():  # which does not open folders
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of folders on some network drives
            raise
    finally:
        os.close(descriptor)


def new_part() -> str:
    """Return a unique name for an unfinished file; see `is_part`."""
    return f".edgeseg-{os.urandom(6).hex()}.part"


def is_part(name: str) -> bool:
    """Return whether a file name is that of an unfinished file left by `write_atomic`."""
    return re.fullmatch(r"\.edgeseg-[0-9a-f]{12}\.part", name) is not None


def check_targets(*paths: Path | None) -> None:
    """Check before a long run that files can be written; None is skipped.

    Raises `OutputWriteError` if one is a folder, or its folder is not writable.
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


def claim(path: Path, overwrite: bool, why: str = "") -> None:
    """Raise `OutputExistsError` if an output exists and may not be overwritten.

    A folder that is empty may be. Raises `OutputWriteError` if it cannot be looked at.
    """
    _check_encodable(path)
    try:
        if overwrite or not path.exists():
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


def json_text(value: Any) -> str:
    """Return a value as JSON with a final newline; NaN and infinity become null."""
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write `json_text` atomically."""
    write_atomic(path, json_text(value).encode(errors="backslashreplace"))


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as CSV text whose lines end in a line feed on every system."""
    stream = io.StringIO(newline="")
    plain = csv.writer(stream, lineterminator="\n")
    quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        # The csv module does not quote a bare carriage return, but reads it as a line's end.
        (quoted if any("\r" in cell for cell in row) else plain).writerow(row)
    return stream.getvalue()


@contextlib.contextmanager
def locked(folder: Path, on_notice: Callable[[str], None] = lambda text: None) -> Iterator[bool]:
    """Lock a folder for one run; the system releases the lock when the process ends.

    The folder is created if missing. If the drive has no locks, ``on_notice`` gets a sentence, and
    the folder is only locked against other runs in this process. Yields whether it has locks.
    Raises `OutputLockedError` if another run has locked the folder, `OutputWriteError` if it cannot
    be created, written or locked.
    """
    _check_encodable(folder)
    # Not filelock: it fails on drives without locks too, and importing it delays every command.
    trouble = ""
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held = os.path.realpath(folder)
            with _looking:
                # Check before opening: closing any stream on the file would release our lock.
                free = held not in _held
                if free:
                    stream = stack.enter_context((folder / LOCK_NAME).open("a+b"))
                    free, trouble = _lock(stream.fileno())
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
        if trouble:
            on_notice(
                f"{folder}: this drive has no locks ({trouble}), so nothing keeps a second run "
                "out; start none into this folder before this one ends"
            )
        yield not trouble


def _lock(descriptor: int) -> tuple[bool, str]:
    """Lock a file; return whether it was free, and why the drive has no locks, "" if it has."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            # Not flock: a forked child shares that lock and keeps it when its parent is killed.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False, ""
        if error.errno not in _NO_LOCKS:
            raise
        return True, str(error.strerror)
    return True, ""


def _check_encodable(path: Path) -> None:
    try:
        broken = b"\0" in os.fsencode(path)
    except UnicodeEncodeError:
        broken = True
    if broken:
        raise OutputNameError(f"{path}: cannot be written: the name is not valid on this system")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
