from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest
from pytest import MonkeyPatch

from edgeseg.errors import OutputExistsError, OutputLockedError, OutputNameError, OutputWriteError
from edgeseg.system import files

# The process holds the folder and has a child, which outlives it.
HOLD = """
import os, sys, time
from pathlib import Path
from edgeseg.system.files import locked
with locked(Path(sys.argv[1])):
    child = os.fork()
    if child: print(child, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_lock_keeps_others_out_and_dies_with_its_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        with pytest.raises(OutputLockedError, match=str(tmp_path)):
            files.locked(tmp_path).__enter__()
        holder.kill()
        holder.wait()
        try:
            with pytest.raises(ZeroDivisionError), files.locked(tmp_path):
                raise ZeroDivisionError
        finally:
            os.kill(child, signal.SIGKILL)
    with files.locked(tmp_path):
        with pytest.raises(OutputLockedError):
            files.locked(tmp_path / "x" / "..").__enter__()
        # and the refused attempt did not give it away
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "OutputLockedError" in other.stderr


def test_of_many_threads_one_gets_the_lock(tmp_path: Path) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def take(folder: Path, start: threading.Barrier, end: threading.Barrier) -> bool:
        start.wait()
        try:
            with files.locked(folder):
                end.wait()
                return True
        except OutputLockedError:
            end.wait()
            return False

    try:
        with ThreadPoolExecutor(4) as pool:
            for i in range(50):
                shared = tmp_path / str(i), threading.Barrier(4), threading.Barrier(4)
                taken = [pool.submit(take, *shared) for _ in range(4)]
                assert sum(each.result() for each in taken) == 1
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.skipif(os.name == "nt", reason="fcntl is POSIX's")
def test_without_locks_a_run_goes_on(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.lockf", Mock(side_effect=OSError(errno.ENOLCK, "No locks")))
    notices: list[str] = []
    for _ in range(2):  # nothing is left behind that would keep the next run out
        with files.locked(tmp_path, notices.append) as has_locks, pytest.raises(OutputLockedError):
            files.locked(tmp_path).__enter__()  # this process itself holds the folder
        assert not has_locks
    assert len(notices) == 2 and str(tmp_path) in notices[0]
    monkeypatch.setattr("fcntl.lockf", Mock(side_effect=OSError(errno.EIO, "a fault")))
    with pytest.raises(OutputWriteError, match=str(tmp_path)):
        files.locked(tmp_path).__enter__()


def test_claim(tmp_path: Path) -> None:
    files.claim(tmp_path / "new", overwrite=False)
    (tmp_path / files.LOCK_NAME).touch()
    files.claim(tmp_path, overwrite=False)
    (tmp_path / "result").touch()
    with pytest.raises(OutputExistsError, match=r"exists.*--overwrite"):
        files.claim(tmp_path, overwrite=False)
    with pytest.raises(OutputExistsError, match="of another model"):
        files.claim(tmp_path / "result", overwrite=False, why=", of another model")
    files.claim(tmp_path, overwrite=True)
    assert (tmp_path / "result").exists()


def test_a_failed_write_leaves_the_old(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    path = tmp_path / "a" / "b ü" / "file.bin"
    files.write_atomic(path, (part for part in (b"one", b"", b" two")))
    cases: list[tuple[str, BaseException, type[BaseException]]] = [
        ("open", OSError(errno.ENOSPC, "No space left"), OutputWriteError),
        ("replace", OSError(errno.ENAMETOOLONG, "Name too long"), OutputNameError),
        ("replace", KeyboardInterrupt(str(path)), KeyboardInterrupt),
    ]
    for broken, error, expected in cases:
        with monkeypatch.context() as patch, pytest.raises(expected) as raised:
            patch.setattr(Path, broken, Mock(side_effect=error))
            files.write_atomic(path, b"new")
        assert str(path) in str(raised.value)
        assert path.read_bytes() == b"one two"
        assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_a_report_that_cannot_be_written_is_found_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    files.check_targets(None, tmp_path / "new" / "deep" / "report.json", tmp_path / "file")
    assert not (tmp_path / "new").exists()
    for wrong in (tmp_path, tmp_path / "file" / "report.json"):
        with pytest.raises(OutputWriteError, match=r"is a folder|file"):
            files.check_targets(tmp_path / "report.json", wrong)
    with pytest.raises(OutputWriteError, match="file"):
        files.locked(tmp_path / "file" / "out").__enter__()


def test_json_says_null_for_what_it_cannot_say() -> None:
    text = files.json_text({"a": math.nan, "b": [-math.inf, 1.5, {"c": 1}], "d": (1,), "ü": "é"})
    assert json.loads(text) == {"a": None, "b": [None, 1.5, {"c": 1}], "d": [1], "ü": "é"}
    assert text.endswith("}\n") and "ü" in text
