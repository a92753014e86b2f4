"""Run code in a fresh process that ends when the process that started it does."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from typing import NamedTuple


class Answer(NamedTuple):
    """What a process wrote, its exit status, and its last line on standard error."""

    text: str
    status: int
    last_line: str


def ask(code: str, question: str) -> Answer:
    """Run Python code in a fresh process, which gets one line and answers on standard output.

    The pipe with the question stays open until it has answered: see `read_question`.
    """
    # -P and this process's own path: the same modules, whatever lies in the working folder
    command = [sys.executable, "-P", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended; its errors say why
                process.stdin.write(question + "\n")
                process.stdin.flush()
            text = process.stdout.read()
            status = process.wait()
        except BaseException:
            process.kill()
            raise
        errors.seek(0)
        lines = errors.read().strip().splitlines() or ["no message"]
    return Answer(text, status, lines[-1])


def read_question() -> str:
    """Return the line that this process was sent; it ends from now on when its parent has ended.

    The pipe closes even if the parent was killed.
    """
    question = sys.stdin.readline()
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    return question


def _end_with_stdin() -> None:
    # not by sys.stdin, whose lock Python could not take then when it ends
    while os.read(0, 1):
        pass
    os._exit(1)
