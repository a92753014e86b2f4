"""Ctrl-C and the system's request to end: heard within a second, whatever a library is doing.

Python hears a signal when its main thread comes back to it, which may be long after a network of a
minute has begun. A second thread hears it at once and waits a little for the first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

from edgeseg.cli import console
from edgeseg.errors import OutputWriteError

_PATIENCE_S = 0.7
_A_DAY_S = 86_400  # no wait of a thread may be endless
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def wait_for_end(ending: threading.Event | None = None) -> None:
    """Wait until a signal asks for the end, which is said, or an event is set."""
    ending = ending or threading.Event()
    try:
        while not ending.wait(_A_DAY_S):
            pass
    except (KeyboardInterrupt, SystemExit):
        console.say("stopping: what is under way ends first")


class Interrupts:
    """Ends the process after a first signal that is not heeded, and at once after a second."""

    def __init__(self) -> None:
        self._advice = ""
        self._patient = False  # a library has its own way to stop, and may take its time
        self._seen = 0
        self._saying = threading.Lock()

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Hear signals meanwhile; both raise in the main thread, so that it cleans up."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        reading, writing = os.pipe()
        self._seen = 0
        with contextlib.suppress(AttributeError, OSError):  # Windows needs it neither
            os.set_blocking(writing, False)
        fd_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        if hasattr(os, "register_at_fork"):
            # else a signal to a forked child would be taken for one to this process
            os.register_at_fork(after_in_child=_forget)
        terminated_before = signal.getsignal(signal.SIGTERM)
        if terminated_before == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminated)
        threading.Thread(target=self._watch, args=(reading,), daemon=True).start()
        try:
            yield
        finally:
            if not self._seen:  # else the watch goes on until the process has ended
                signal.set_wakeup_fd(fd_before)
                signal.signal(signal.SIGTERM, terminated_before)
                os.close(writing)

    @contextlib.contextmanager
    def advising(self, advice: str) -> Iterator[None]:
        """Say how to go on, where a signal or a full disk ends what is done meanwhile."""
        self._advice = advice
        try:
            yield
        except (KeyboardInterrupt, SystemExit, OutputWriteError):
            with self._saying:  # once, though a second signal may come meanwhile
                self._advice = ""
                console.notice(advice)
            raise
        finally:
            self._advice = ""

    @contextlib.contextmanager
    def given_time(self) -> Iterator[None]:
        """Let what is under way end in its own time after a first signal; a second ends at once."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    @contextlib.contextmanager
    def left_to_library(self) -> Iterator[None]:
        """Leave the first signal to a library that stops in its own way and time."""
        before = signal.getsignal(signal.SIGTERM)
        if before is _terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._patient = True
        try:
            yield
        finally:
            self._patient = False
            if before is _terminated:
                signal.signal(signal.SIGTERM, before)

    def _watch(self, reading: int) -> None:
        while received := os.read(reading, 1):
            number = received[0]
            if number not in _SIGNALS:
                continue
            self._seen += 1
            if self._seen > 1:
                self._end(number)
            if not self._patient:
                timer = threading.Timer(_PATIENCE_S, self._end, [number])
                timer.daemon = True
                timer.start()
        os.close(reading)

    def _end(self, number: int) -> NoReturn:
        shown = b"\x1b[?25h" if sys.stderr.isatty() else b""  # a progress bar hides the cursor
        self._saying.acquire(timeout=_PATIENCE_S)
        with contextlib.suppress(OSError):  # not by the stream, which another thread may hold
            os.write(2, shown + self._advice.encode(errors="backslashreplace") + b"\n")
        os._exit(128 + number)


def _forget() -> None:
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)


def _terminated(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


interrupts = Interrupts()
"""Those of this process."""
