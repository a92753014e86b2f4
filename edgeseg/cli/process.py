"""The process of a command: standard streams, errors as messages, Ctrl-C and SIGTERM.

Python runs signal handlers in its main thread only, and not while that thread is inside a library,
such as a long run of a network. So that a signal ends the process within a second, a second thread
is woken by it at once, gives the main thread a moment and then ends the process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

from edgeseg.cli import console
from edgeseg.errors import EdgesegError, MissingExtraError, OutputWriteError
from edgeseg.system.text import first_line, is_out_of_memory

_UNPRINTED = "standard output cannot be written ({}); what goes to files is there"
_PATIENCE_S = 0.7
_LOOK_S = 0.5  # a signal that comes just as a wait begins, or on Windows, does not end it
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def report_error(error: Exception) -> bool:
    """Print why a command ended; return False for a bug in edgeseg, which is not printed."""
    text = describe_error(error)
    if text is None:
        return False
    is_stream_error = isinstance(error, OSError) and text.startswith(_UNPRINTED.partition("{")[0])
    if not (close_standard_output() and is_stream_error):  # which has then been printed
        console.failure(text)
    return True


def describe_error(error: Exception) -> str | None:
    """Return the message of an error for a user, or None if it is a bug in edgeseg."""
    if is_out_of_memory(error):
        return (
            f"there is not enough memory ({first_line(error)}); close other programs, raise the "
            "limit of the container or shell, or measure fewer images at once (--threads 1)"
        )
    if isinstance(error, EdgesegError):
        return str(error)
    if isinstance(error, OSError):
        where = ", ".join(str(name) for name in (error.filename, error.filename2) if name)
        if where or error.errno is None:
            return f"{where}: {error.strerror}" if where else str(error)
        return _UNPRINTED.format(error.strerror)  # all other errors of writing name a file
    if isinstance(error, ImportError):
        name = (error.name or "one of the packages").partition(".")[0]
        package = "opencv-python-headless" if name == "cv2" else name
        return f"the package {package} cannot be imported ({error}); reinstall it"
    if isinstance(error, RuntimeError) and "Symlink loop" in str(error):
        return str(error)  # of Path.resolve before Python 3.13
    return None


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Name the extra to install if a package is missing in the context."""
    try:
        yield
    except ModuleNotFoundError as error:
        if isinstance(error, EdgesegError):
            raise
        raise MissingExtraError(
            f"this command needs {error.name!r}; install it with pip install "
            f"'edgeseg[{extra}]' (from a checkout: pip install '.[{extra}]')"
        ) from error


def open_standard_streams() -> None:
    """Open a substitute for each standard stream that is closed; that of output is not writable.

    Otherwise the next file to be opened would get its descriptor, and what libraries print.
    """
    for name, flags in (("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            opened = os.fdopen(os.open(os.devnull, flags), "r" if name == "stdin" else "w")
            setattr(sys, name, opened)
        # A file name that the terminal cannot encode must not end a run.
        if name != "stdin" and hasattr(stream := getattr(sys, name), "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def close_standard_output() -> int:
    """Flush standard output and return the exit code: 1, with a message, if that fails.

    There is no message for a closed pipe, as behind `| head`.
    """
    try:
        sys.stdout.flush()
        return 0
    except OSError as error:
        # Otherwise Python tries again at exit, and prints an error of its own.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:
            console.failure(_UNPRINTED.format(error.strerror))
        return 1


def wait_for_end(text: str, ending: threading.Event | None = None) -> None:
    """Print a text, and wait until an event is set, or a signal asks to stop, which is printed."""
    ending = ending or threading.Event()
    try:
        console.say(text)
        while not ending.wait(_LOOK_S):
            pass
    except (KeyboardInterrupt, SystemExit):
        console.say("stopping after the images in progress")


class Interrupts:
    """Ends the process if a first signal is not handled in time, and at once after a second."""

    def __init__(self) -> None:
        self._advice = ""
        self._patient = False  # the first signal may take any time to be handled
        self._seen = 0
        self._printing = threading.Lock()

    @contextlib.contextmanager
    def handle(self) -> Iterator[None]:
        """Handle signals inside the context; both raise in the main thread, which cleans up."""
        reading, writing = os.pipe()
        self._seen = 0
        with contextlib.suppress(AttributeError, OSError):  # not needed on Windows
            os.set_blocking(writing, False)
        fd_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        if hasattr(os, "register_at_fork"):
            # Otherwise a signal to a forked child would count as one to this process.
            os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
        terminated_before = signal.getsignal(signal.SIGTERM)
        if terminated_before == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminated)
        threading.Thread(target=self._watch, args=(reading,), daemon=True).start()
        try:
            yield
        finally:
            if not self._seen:  # otherwise keep watching until the process has ended
                signal.set_wakeup_fd(fd_before)
                signal.signal(signal.SIGTERM, terminated_before)
                os.close(writing)

    @contextlib.contextmanager
    def advise(self, advice: str) -> Iterator[None]:
        """Print how to continue if a signal or a full disk ends the context."""
        self._advice = advice
        try:
            yield
        except (KeyboardInterrupt, SystemExit, OutputWriteError):
            with self._printing:  # once, even if a second signal arrives
                self._advice = ""
                console.notice(advice)
            raise
        self._advice = ""

    @contextlib.contextmanager
    def wait_patiently(self, *, leave_sigterm: bool = False) -> Iterator[None]:
        """Allow any time to stop after a first signal; a second one ends the process at once.

        ``leave_sigterm`` leaves SIGTERM to a library that has its own way to stop.
        """
        before = signal.getsignal(signal.SIGTERM)
        is_left = leave_sigterm and before is _terminated
        if is_left:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._patient = True
        try:
            yield
        finally:
            self._patient = False
            if is_left:
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
        self._printing.acquire(timeout=_PATIENCE_S)
        with contextlib.suppress(OSError):  # not sys.stderr, which another thread may have locked
            os.write(2, shown + self._advice.encode(errors="backslashreplace") + b"\n")
        os._exit(128 + number)


def _terminated(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


interrupts = Interrupts()
"""The handler of this process."""
