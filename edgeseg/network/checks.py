"""Checks of the values that a model's metadata holds."""

from __future__ import annotations

import sys
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.system.text import short


def require(holds: bool, value: object, name: str, expected: str = "") -> None:
    """Refuse a value that does not hold: `ModelError`, which names it."""
    if not holds:
        more = f"; expected {expected}" if expected else ""
        raise ModelError(f"the model's metadata gives {short(value)} as its {name}{more}")


def is_number(value: Any, low: float = -sys.float_info.max) -> bool:
    """Tell whether a value is a finite number, not below ``low``; truth values are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return low <= value <= sys.float_info.max  # not isfinite: whole numbers may be too long for it
