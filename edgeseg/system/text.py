"""Make text from other people's files safe to show on a terminal and in Markdown."""

from __future__ import annotations

import re

# Characters that Markdown reads as HTML, a cell's end, code or a link.
_MARKUP = re.compile(r"[\\`*<>\[\]&|]")


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
