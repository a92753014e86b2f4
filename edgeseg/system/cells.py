"""Cells of a CSV that people open in a spreadsheet: keep text from running as a formula."""

from __future__ import annotations

import re

SIGNATURE = "\ufeff"
"""UTF-8 BOM at the start of a file, for Excel."""

# The spreadsheet may split our cell at a separator of its own.
_BEGINS_A_CELL = r"(?<![^;\t\r\n])"
_FORMULA = re.compile(_BEGINS_A_CELL + r"(?='*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")
_SHIELDED = re.compile(_BEGINS_A_CELL + r"'(?='*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")


def shield(text: str) -> str:
    """Escape a text that a spreadsheet would run as a formula: ``=1+1`` becomes ``'=1+1``.

    An apostrophe is put before ``= + - @``, a tab or a carriage return at the start of a cell, and
    before apostrophes followed by one of these, so that `unshield` restores exactly the same text.
    """
    return _FORMULA.sub("'", text)


def unshield(text: str) -> str:
    """Undo `shield`."""
    return _SHIELDED.sub("", text) if "'" in text else text
