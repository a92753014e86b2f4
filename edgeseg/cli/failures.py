"""Turn errors into messages, and handle standard streams that are closed or full."""

from __future__ import annotations

import contextlib
import errno
import os
import sys

from edgeseg.cli import console
from edgeseg.errors import EdgesegError
from edgeseg.system.memory import is_out_of_memory
from edgeseg.system.text import first_line

_UNPRINTED = "standard output cannot be written ({}); what goes to files is there"
_PACKAGES = {"cv2": "opencv-python-headless"}


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
        package = (error.name or "").split(".")[0]
        package = _PACKAGES.get(package, package) or "one of the packages"
        return f"the package {package} cannot be imported ({error}); reinstall it"
    if isinstance(error, RuntimeError) and "Symlink loop" in str(error):
        return str(error)  # of Path.resolve before Python 3.13
    return None


def open_standard_streams() -> None:
    """Open a substitute for each standard stream that is closed; that of output is not writable.

    Otherwise the next file to be opened would get its descriptor, and what libraries print.
    """
    for name, flags in (("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            opened = os.fdopen(os.open(os.devnull, flags), "r" if name == "stdin" else "w")
            setattr(sys, name, opened)


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
