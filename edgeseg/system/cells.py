"""Cells of a CSV that people open in a spreadsheet: text there must stay text."""

from __future__ import annotations

import re

SIGNATURE = "\ufeff"
"""Begins the file, so that Excel reads it as UTF-8."""

# A cell may begin a line of its own where the spreadsheet separates by another sign than we do.
_BEGINS_A_CELL = r"(?<![^;\t\r\n])"
_FORMULA = re.compile(_BEGINS_A_CELL + r"(?='*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")
_SHIELDED = re.compile(_BEGINS_A_CELL + r"'(?='*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")


def shield(text: str) -> str:
    """Return a text so that no spreadsheet runs it: ``=1+1`` becomes ``'=1+1``.

    An apostrophe is put before ``= + - @``, a tab or a carriage return that would begin a cell,
    and before apostrophes followed by one, so that `unshield` gives back exactly the same text.
    """
    return _FORMULA.sub("'", text)


def unshield(text: str) -> str:
    """Return the text that `shield` was given."""
    return _SHIELDED.sub("", text) if "'" in text else text
