"""What the system refuses, as sentences: paths, memory, packages, the standard streams."""

from __future__ import annotations

import contextlib
import errno
import os
import sys

from edgeseg.cli import console
from edgeseg.errors import EdgesegError

_UNPRINTED = "standard output cannot be written ({}); what goes to files is there"
_PACKAGES = {"cv2": "opencv-python-headless"}


def is_said(error: Exception) -> bool:
    """Say what ended a command; return False of a fault of edgeseg itself, of which nothing is."""
    text = sentence(error)
    if text is None:
        return False
    of_a_stream = isinstance(error, OSError) and text.startswith(_UNPRINTED.partition("{")[0])
    if not (close_standard_output() and of_a_stream):  # which then has been said
        console.failure(text)
    return True


def sentence(error: Exception) -> str | None:
    """Return what an error says to a user, or None where it is a fault of edgeseg itself."""
    if isinstance(error, EdgesegError):
        return str(error)
    if isinstance(error, OSError):
        where = ", ".join(str(name) for name in (error.filename, error.filename2) if name)
        if where or error.errno is None:
            return f"{where}: {error.strerror}" if where else str(error)
        return _UNPRINTED.format(error.strerror)  # all other writing names its file
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({error})" if str(error) else "out of memory"
    if isinstance(error, ImportError):
        package = (error.name or "").split(".")[0]
        package = _PACKAGES.get(package, package) or "one of the packages"
        return f"the package {package} does not load ({error}); install it anew"
    # what paths that no system has raise, and Path.resolve before Python 3.13 of links in a circle
    if isinstance(error, ValueError) and "null byte" in str(error):
        return f"a path holds a null character ({error})"
    if isinstance(error, RuntimeError) and "Symlink loop" in str(error):
        return str(error)
    return None


def open_standard_streams() -> None:
    """Put something where a standard stream was closed.

    The next file that is opened would get its number, and what a library prints would go there.
    Standard output then fails when it is written, as it does of other programs.
    """
    for name, flags in (("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            opened = os.fdopen(os.open(os.devnull, flags), "r" if name == "stdin" else "w")
            setattr(sys, name, opened)


def close_standard_output() -> int:
    """Write out what was printed; if that fails, say so and return 1, the exit code.

    Nothing is said where nobody listens any more, as behind `| head`.
    """
    try:
        sys.stdout.flush()
        return 0
    except OSError as error:
        # Python would try again at its end, and then complain itself.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:
            console.failure(_UNPRINTED.format(error.strerror))
        return 1
