"""Ctrl-C and a request to end, while a library does what Python cannot stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.run.store import Store
from tests.tables import read_rows

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")

# a network that answers some times and then never, outside of Python
START = """
import hashlib, itertools, signal, sys, threading, time
signal.alarm(100)  # where nothing else ends it
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from edgeseg import segmenter
from edgeseg.cli import main, process
from tests.fakes import FakeSession, bright

answers = itertools.count()

def answer(gray):
    if next(answers) >= {answers}:
        print("busy", file=sys.stderr, flush=True)
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2**31 - 1)
    return bright(gray)

segmenter.open_session = lambda *_, **__: FakeSession(answer)
process._PATIENCE_S = {patience}

def report_signal():
    while not process.interrupts._seen:
        time.sleep(0.01)
    print("seen", file=sys.stderr, flush=True)

threading.Thread(target=report_signal, daemon=True).start()
sys.argv[0] = "edgeseg"
main()
"""
LONG_S = 120  # more than any of this takes, less than the network


def start(*arguments: str, answers: int = 3, patience: float = 2.0) -> subprocess.Popen[str]:
    """Start a command and wait until its network is busy for ever."""
    code = START.format(answers=answers, patience=patience)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    wait_for_line(process, "busy\n")
    return process


def wait_for_line(process: subprocess.Popen[str], expected: str) -> None:
    while (line := process.stderr.readline()) != expected:
        assert line, "it ended before"


@pytest.fixture
def command(tmp_path: Path, scan_file: bytes) -> list[str]:
    for i in range(4):
        path = tmp_path / "my scans" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(scan_file)
    return ["infer", str(path.parent), "--out", str(tmp_path / "out"), "--threads", "1"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_that_can_be_gone_on_with(
    command: list[str], tmp_path: Path, number: int, code: int
) -> None:
    with start(*command, "--overwrite", "--jsonl", "-") as process:
        assert process.stdout.readline()  # a row is written
        process.send_signal(number)
        _, said = process.communicate(timeout=LONG_S)
    assert process.returncode == code
    assert "Traceback" not in said
    (advice,) = [line for line in said.splitlines() if "continue with" in line]
    scans, out = tmp_path / "my scans", tmp_path / "out"
    resumed = f"edgeseg infer --resume '{scans}' --out {out} --threads 1 --jsonl -"
    assert advice == f"what was measured is kept; continue with: {resumed}"
    with contextlib.closing(Store(out)) as store:
        assert 1 <= len(store.packed_rows()) < 4
    subprocess.run([sys.executable, "-m", "edgeseg", *command, "--resume"], check=True)
    assert len(read_rows(out / "results.csv")) == 4
    assert not list(out.rglob("*.part"))


def test_a_second_signal_ends_at_once(command: list[str]) -> None:
    with start(*command, patience=10 * LONG_S) as process:
        process.send_signal(signal.SIGINT)
        wait_for_line(process, "seen\n")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=LONG_S)
    assert process.returncode == 130
    assert said.count("continue with") == 1


def test_a_network_in_the_main_thread_is_no_deafer() -> None:
    with start("verify", "hc18-nano", answers=0) as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=LONG_S)
    assert process.returncode == 130
    assert set(said.split()) <= {"seen"}


SCRIPTS = {
    "a library that stops in its own way is given the time": """
with interrupts.handle():
    with interrupts.wait_patiently(leave_sigterm=True):
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        try: os.kill(os.getpid(), signal.SIGINT); time.sleep(60)
        except KeyboardInterrupt: time.sleep(0.5); print('goes on')
    assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
""",
    "a signal to a forked child is not ours": """
with interrupts.handle():
    reading, writing = os.pipe()
    child = os.fork()
    if not child: os.write(writing, b'1'); time.sleep(60); os._exit(0)
    os.read(reading, 1); os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0); time.sleep(0.5); print('goes on')
""",
    "what a process ignores stays ignored": """
for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)
with interrupts.handle():
    for number in (signal.SIGINT, signal.SIGTERM): os.kill(os.getpid(), number)
    time.sleep(0.5); print('goes on')
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_process_goes_on(name: str) -> None:
    code = "import os, signal, sys, time; from edgeseg.cli import process\n"
    code += "from edgeseg.cli.process import interrupts; process._PATIENCE_S = 0.1\n"
    # from Python 3.12 on it warns of forks
    command = [sys.executable, "-W", "ignore", "-c", code + SCRIPTS[name]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG_S)
    assert (done.returncode, done.stdout, done.stderr) == (0, "goes on\n", "")
