"""Numbers in the cells of a table, as people and their spreadsheets write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from edgeseg.inputs.size_table.titles import MM_PER_UNIT

_NONE = (
    *("", "na", "n/a", "n.a.", "n.a", "nan", "none", "null", "nil", "<na>", "unknown", "missing"),
    *("-", "--", "---", "\u2013", "\u2014", "?", ".", "x", "unbekannt", "k.a.", "k.a"),
    *("#n/a", "#nv", "#value!", "#wert!", "#ref!", "#div/0!", "#num!"),
)
_LONGEST = 100  # characters; patterns take long over what is longer and no number either
_UNIT = rf"({'|'.join(sorted(MM_PER_UNIT, key=len, reverse=True))})"
_POINT = r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
_COMMA = r"([+-]?(?:\d+,?\d*|,\d+)(?:e[+-]?\d+)?)"
_USUAL = re.compile(r"\s*[0-9]+(?:[.,][0-9]+)?\s*")
_PER_PIXEL = r"(?:\s*(?:/|per)\s*(?:px|pixels?))?"
_ONE = [re.compile(rf"{number}\s*{_UNIT}?{_PER_PIXEL}") for number in (_POINT, _COMMA)]
_TWO = [
    re.compile(rf"{number}\s*{_UNIT}?({between}){number}\s*{_UNIT}?{_PER_PIXEL}")
    for number, between in (
        (_POINT, r"\s*[\\x;|,/*]\s*|\s+"),
        (_COMMA, r"\s*[\\x;|/*]\s*|,?\s+"),
    )
]


def is_none(text: str) -> bool:
    """Tell whether a cell says that there is no figure."""
    return text.strip().casefold() in _NONE


def read_numbers(text: str, mm: float = 1.0) -> tuple[list[float], str] | None:
    """Read one number, or two, with a point or a comma before the decimals.

    Parameters
    ----------
    text
        Such as ``0.12``, ``0,12``, ``0.12 mm``, ``0.12x0.11`` or ``[0.2, 0.1]``.
    mm
        Millimetres in the unit of a number that has none of its own.

    Returns
    -------
    (list of float, str) or None
        Millimetres, and the sign between two numbers; None if it is neither.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    if _USUAL.fullmatch(text):
        return [float(text.replace(",", ".")) * mm], ""
    plain = unicodedata.normalize("NFKC", text).casefold().strip().strip("[](){}")
    plain = re.sub(r"['\"]", "", plain).replace("\u00d7", "x").strip()
    for pattern in _ONE:
        if found := pattern.fullmatch(plain):
            return [_millimetres(found.group(1), found.group(2), mm)], ""
    for pattern in _TWO:
        if found := pattern.fullmatch(plain):
            first, unit, between, second, last_unit = found.groups()
            if between == "," and not ("." in first and "." in second):
                return None  # a comma that separates thousands, or decimals, or numbers
            values = (first, unit or last_unit), (second, last_unit or unit)
            return [_millimetres(*value, mm) for value in values], between.strip()
    return None


def in_order(values: Sequence[float], between: str, axes: str) -> tuple[float, float] | None:
    """Return two sizes as (x, y); None if nothing says which is which.

    Parameters
    ----------
    between
        The sign between them. A backslash is DICOM's: the distance of rows, y, comes first.
    axes
        The order that the title gives, ``xy`` or ``yx``; empty if none.
    """
    first, second = values
    if first == second:
        return first, second
    order = "yx" if between == "\\" else axes or ("xy" if between == "x" else "")
    if not order or (order == "yx" and between == "x"):
        return None
    return (first, second) if order == "xy" else (second, first)


def _millimetres(number: str, unit: str | None, mm: float) -> float:
    return float(number.replace(",", ".")) * (MM_PER_UNIT[unit] if unit else mm)
