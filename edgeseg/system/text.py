"""Make text from other people's files and libraries safe to show, and recognize what it means."""

from __future__ import annotations

import errno
import re

SIGNATURE = "\ufeff"
"""UTF-8 BOM at the start of a file, for Excel."""

# The spreadsheet may split our cell at a separator of its own.
_BEGINS_A_CELL = r"(?<![^;\t\r\n])"
_FORMULA = re.compile(_BEGINS_A_CELL + r"(?='*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")
_SHIELDED = re.compile(_BEGINS_A_CELL + r"'(?='*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")
# Characters that Markdown reads as HTML, a cell's end, code or a link.
_MARKUP = re.compile(r"[\\`*<>\[\]&|]")
# Of OpenCV, onnxruntime and other C++ code, of the dynamic linker, and of threads, whose stacks
# need memory. A folder mounted without permission to execute is another trouble of the linker.
_TEXTS = re.compile(
    r"bad_alloc|OutOfMemory|Insufficient memory|[Cc]annot allocate memory|[Uu]nable to allocate|"
    r"can't start new thread|pthread_create|thread.*Resource temporarily unavailable|"
    r"failed to map segment from shared object(?!: Operation not permitted)|"
    r"error return without exception set"  # of Python itself, which had no room for the exception
)


def visible(text: str) -> str:
    """Escape all characters that are not printable, and no others.

    These are control characters, including escape and line ends, direction and zero-width marks,
    and lone surrogates.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def markdown(text: str) -> str:
    """Escape text for Markdown, so that it is shown literally, also in a cell of a table."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", visible(text))


def short(value: object) -> str:
    """Return the repr of a value, shortened to 80 characters, for an error message."""
    return cut(repr(value), 80)


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or its class name if there is none; cut if long."""
    return cut((str(error).strip().splitlines() or [type(error).__name__])[0])


def cut(text: str, length: int = 1000) -> str:
    """Shorten a text to a number of characters, for an error message."""
    return text if len(text) <= length else f"{text[:length]}…"


def printable(text: str) -> str:
    """Escape lone surrogates, which names of files may contain, so that it encodes to UTF-8."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def describe_text_file(data: bytes) -> str:
    """Say what a text is that lies where a model or an image was expected, or return ''."""
    if data.startswith(b"version https://git-lfs"):
        return "this is a Git LFS pointer, not the file itself; fetch it with 'git lfs pull'"
    if data[:500].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "this is a web page, not the file itself; download the file again"
    return ""


def shield(text: str) -> str:
    """Escape a text that a spreadsheet would run as a formula: ``=1+1`` becomes ``'=1+1``.

    An apostrophe is put before ``= + - @``, a tab or a carriage return at the start of a cell, and
    before apostrophes followed by one of these, so that `unshield` restores exactly the same text.
    """
    return _FORMULA.sub("'", text)


def unshield(text: str) -> str:
    """Undo `shield`."""
    return _SHIELDED.sub("", text) if "'" in text else text


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that led to it, means that memory ran out."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        # Only of libraries: a path in a message of edgeseg's own may contain anything.
        if not isinstance(error, OSError) and _TEXTS.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
