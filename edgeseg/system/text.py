"""Text from files that others made, as it may be shown: on a terminal, in Markdown."""

from __future__ import annotations

import re

_LONGEST = 80
_LONGEST_LINE = 1000
# besides what is not printable: what Markdown would take for HTML, a cell's end, code or a link
_MARKUP = re.compile(r"[\\`*<>\[\]&|]")


def visible(text: str) -> str:
    """Return text in which whatever steers a terminal or hides is escaped, as escape itself is.

    Control characters, marks of direction and of no width, lone surrogates and line ends, which
    could pass for a line of edgeseg's own; all other characters stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def markdown(text: str) -> str:
    """Return text as Markdown shows it, and nothing else: in a cell of a table, or outside."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", visible(text))


def short(value: object) -> str:
    """Return a value of any kind as one short line, for an error's text."""
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or its kind where it has none; cut if long."""
    return cut((str(error).strip().splitlines() or [type(error).__name__])[0])


def cut(text: str) -> str:
    """Return a text of others as it may stand in an error's: of at most 1,000 characters."""
    return text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}…"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def printable(text: str) -> str:
    """Return a text with what is no Unicode, as names of files may hold, in escapes."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
