from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeseg.bench.processes import Answer, ask

READ = "from edgeseg.bench.processes import read_question; "
SLEEPS = READ + "import os, sys, time; path = read_question().strip(); "
SLEEPS += "open(path + '.new', 'w').write(str(os.getpid())); os.rename(path + '.new', path); "
SLEEPS += "time.sleep(600)"


def test_a_process_answers_what_it_is_asked() -> None:
    code = READ + "import sys; print(read_question().strip() * 2); sys.stderr.write('a\\nb\\n')"
    assert ask(code, "ü") == Answer("üü\n", 0, "b")


def test_an_answer_may_be_long_and_so_may_what_is_said_beside() -> None:
    code = READ + "import sys; read_question(); sys.stderr.write('x' * 10**6); print('y' * 10**6)"
    assert ask(code, "") == Answer("y" * 10**6 + "\n", 0, "x" * 10**6)


def test_one_that_ends_without_reading_is_no_error_here() -> None:
    answer = ask("raise SystemExit('broken')", "x" * 10**6)
    assert answer == Answer("", 1, "broken")


def test_it_sees_the_modules_of_who_asks_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "subprocess.py").write_text("raise SystemExit('taken')")
    (tmp_path / "known_module.py").write_text("word = 'known'")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(str(tmp_path))
    code = READ + "import known_module; print(known_module.word)"
    assert ask(code, "") == Answer("known\n", 0, "no message")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")  # a zombie that nobody waits for has ended too
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_asked_however_that_ends(tmp_path: Path, number: int) -> None:
    note = tmp_path / "pid"
    code = f"from edgeseg.bench.processes import ask; ask({SLEEPS!r}, {str(note)!r})"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as asking:
        waited = time.monotonic() + 60
        while not note.exists():
            assert asking.poll() is None and time.monotonic() < waited
            time.sleep(0.01)
        child = int(note.read_text())
        assert is_running(child)
        asking.send_signal(number)
        asking.wait(30)
    waited = time.monotonic() + 30
    while is_running(child):
        assert time.monotonic() < waited, "it was left behind"
        time.sleep(0.01)
