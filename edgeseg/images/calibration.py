"""How a site measures: its own outlines against the model's, learnt by ``edgeseg calibrate``."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.errors import DataError, InputNotFoundError

FORMAT = "edgeseg-calibration"
VERSION = 1
FACTOR_RANGE = (0.8, 1.25)
"""No two ways to outline one structure differ by more; such a ratio has another reason."""
MAX_SHIFT_MM = 20.0
_NUMBERS = ("factor", "shift_mm", "factor_half_width", "shift_half_width_mm")


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns a model's circumferences into a site's: ``factor * mm + shift_mm``.

    An outline that lies ``t`` farther out everywhere is ``2 pi t`` longer. The half widths say how
    far factor and shift may be off, at the level of the model's intervals.
    """

    factor: float = 1.0  # Of every length; 1 where the site lies a fixed distance off.
    shift_mm: float = 0.0  # Of the circumference.
    factor_half_width: float = 0.0
    shift_half_width_mm: float = 0.0
    model_sha256: str = ""  # Hash of the model it was learnt for; empty if unknown.

    def circumference_mm(self, model_mm: float) -> float:
        """Return the site's circumference for the model's."""
        return self._correct(model_mm, self.shift_mm)

    def diameter_mm(self, model_mm: float) -> float:
        """Return the site's diameter for the model's."""
        return self._correct(model_mm, self.shift_mm / math.pi)

    def half_width_mm(self, model_mm: float, half_width_mm: float) -> float:
        """Return half the width of a calibrated interval, from the model's mm and half width."""
        offset_mm = self.factor_half_width * model_mm + self.shift_half_width_mm
        return math.hypot(self.factor * half_width_mm, offset_mm)

    def _correct(self, model_mm: float, shift_mm: float) -> float:
        # where a wrong pixel size makes a head smaller than the shift, something is left of it
        return max(self.factor * model_mm + shift_mm, model_mm / 10)


def read_calibration(path: Path) -> Calibration:
    """Read what ``edgeseg calibrate`` wrote, or raise an InputNotFoundError or DataError."""
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
        if values["format"] != FORMAT:
            raise ValueError("another format")
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such file; 'edgeseg calibrate' writes one") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: not a calibration ({error}); expected a file that 'edgeseg calibrate' wrote"
        ) from error
    if values.get("version") != VERSION:
        raise DataError(
            f"{path}: a calibration of version {values.get('version')!r}, this edgeseg reads "
            f"{VERSION}; calibrate again or install a matching edgeseg"
        )
    low, high = FACTOR_RANGE
    numbers: list[Any] = [values.get(name) for name in _NUMBERS]
    if all(type(number) in (int, float) for number in numbers):
        factor, shift_mm, *halves = numbers
        is_near = low <= factor <= high and abs(shift_mm) <= MAX_SHIFT_MM
        if is_near and all(0 <= half < math.inf for half in halves):
            model = str(values.get("model_sha256") or "")
            read = dict(zip(_NUMBERS, map(float, numbers), strict=True))
            return Calibration(**read, model_sha256=model)
    raise DataError(
        f"{path}: {', '.join(_NUMBERS)} are {', '.join(map(repr, numbers))}; expected a factor of "
        f"{low:g} to {high:g}, a shift of at most {MAX_SHIFT_MM:g} mm, and half widths of 0 or more"
    )
