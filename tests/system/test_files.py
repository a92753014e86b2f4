from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeseg.errors import OutputExistsError, OutputLockedError, OutputWriteError
from edgeseg.system import files

HOLD = """
import sys
from pathlib import Path
from edgeseg.system.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold_elsewhere(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_folder_held_by_another_process_is_refused(tmp_path: Path, is_killed: bool) -> None:
    folder = tmp_path / "out"
    with hold_elsewhere(folder) as process:
        with pytest.raises(OutputLockedError, match=str(folder)):
            files.locked(folder).__enter__()
        if is_killed:
            process.kill()
            process.wait(10)
        else:
            process.communicate("")
    with pytest.raises(ZeroDivisionError), files.locked(folder):
        raise ZeroDivisionError
    with files.locked(folder):
        for again in (folder, folder / "x" / ".."):
            with pytest.raises(OutputLockedError):
                files.locked(again).__enter__()
        # and the refused attempts did not give it away
        command = [sys.executable, "-c", HOLD, str(folder)]
        other = subprocess.run(command, input="", capture_output=True, text=True, check=False)
        assert "OutputLockedError" in other.stderr


def test_of_many_threads_one_gets_the_lock(tmp_path: Path) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for i in range(50):
            start, end, given = threading.Barrier(4), threading.Barrier(4), []

            def take(folder: Path, start=start, end=end, given=given) -> None:  # type: ignore[no-untyped-def]
                start.wait()
                try:
                    with files.locked(folder):
                        given.append(1)
                        end.wait()
                except OutputLockedError:
                    end.wait()

            threads = [threading.Thread(target=take, args=(tmp_path / str(i),)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert given == [1]
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.skipif(os.name == "nt", reason="fcntl is POSIX's")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EIO])
def test_without_locks_a_run_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.lockf", refused)
    if number == errno.EIO:  # a fault is neither
        with pytest.raises(OutputWriteError, match=str(tmp_path)):
            files.locked(tmp_path).__enter__()
        return
    said: list[str] = []
    for _ in range(2):  # nothing is left behind that would keep the next run out
        with files.locked(tmp_path, said.append) as has_locks, pytest.raises(OutputLockedError):
            files.locked(tmp_path).__enter__()  # this process itself holds the folder
        assert not has_locks
    assert len(said) == 2 and str(tmp_path) in said[0]
    files.claim(tmp_path, overwrite=False)


def test_claim(tmp_path: Path) -> None:
    files.claim(tmp_path / "new", overwrite=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    files.claim(empty, overwrite=False)
    (empty / files.LOCK_NAME).touch()
    files.claim(empty, overwrite=False)
    (empty / "result").touch()
    with pytest.raises(OutputExistsError, match=r"empty exists.*--overwrite"):
        files.claim(empty, overwrite=False)
    with pytest.raises(OutputExistsError, match="of another model"):
        files.claim(empty / "result", overwrite=False, why=", of another model")
    files.claim(empty, overwrite=True)
    assert (empty / "result").exists()


@pytest.mark.parametrize(
    ("broken", "error", "expected"),
    [
        ("open", OSError(28, "No space left on device"), OutputWriteError),
        ("replace", OSError(28, "No space left on device"), OutputWriteError),
        ("replace", KeyboardInterrupt(), KeyboardInterrupt),
        (None, ValueError("no more"), ValueError),
    ],
)
def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str | None, error: BaseException,
    expected: type[BaseException],
) -> None:  # fmt: skip
    path = tmp_path / "a" / "b ü" / "file.bin"
    files.write_atomic(path, b"first")
    files.write_atomic(path, (part for part in (b"one", b"", b" two")))

    def fail(*_: object, **__: object) -> Iterator[bytes]:
        raise error

    def parts() -> Iterator[bytes]:
        yield b"new"
        if broken is None:
            raise error

    with monkeypatch.context() as patch, pytest.raises(expected) as raised:
        if broken:
            patch.setattr(Path, broken, fail)
        files.write_atomic(path, parts())
    assert expected is not OutputWriteError or str(path) in str(raised.value)
    assert path.read_bytes() == b"one two"
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_a_report_that_cannot_be_written_is_found_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    files.check_targets(None, tmp_path / "new" / "deep" / "report.json", tmp_path / "file")
    assert not (tmp_path / "new").exists()
    with pytest.raises(OutputWriteError, match="is a folder"):
        files.check_targets(tmp_path / "report.json", tmp_path)
    with pytest.raises(OutputWriteError, match="file"):
        files.check_targets(tmp_path / "file" / "report.json")
    with pytest.raises(OutputWriteError, match="file"):
        files.locked(tmp_path / "file" / "out").__enter__()


def test_json_says_null_for_what_it_cannot_say(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    value = {"a": math.nan, "b": [math.inf, 1.5, {"c": -math.inf}], "d": (1, None), "ü": "é"}
    files.write_json(path, value)
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == {"a": None, "b": [None, 1.5, {"c": None}], "d": [1, None], "ü": "é"}
    assert text.endswith("}\n")
    assert "ü" in text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_the_lock_dies_with_its_process_though_a_child_lives(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from edgeseg.system.files import locked\n"
        "with locked(Path(sys.argv[1])):\n"
        "    child = os.fork()\n"
        "    if child: print(child, flush=True)\n"
        "    time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        with pytest.raises(OutputLockedError), files.locked(tmp_path):
            pass
        holder.kill()
        holder.wait()
        try:
            with files.locked(tmp_path):
                pass
        finally:
            os.kill(child, signal.SIGKILL)
