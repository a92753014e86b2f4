"""Interval of a head circumference, as a model's metadata gives it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from edgeseg.network.checks import is_number, require


@dataclass(frozen=True, slots=True)
class Interval:
    """Coefficients of the half width of a head circumference's interval, in mm.

    The half width is ``offset_mm + cubic_mm (HC / 100 mm)³ + doubt_mm (1 - confidence)``, and never
    less than ``floor_mm``. `edgeseg.measure.interval.fit_interval` learns them.

    Attributes
    ----------
    level
        Share of heads whose HC lies within, in (0, 1).
    floor_mm
        Positive; the others are 0 or more, so that a larger head and a less certain one have no
        narrower interval.
    """

    level: float
    offset_mm: float
    cubic_mm: float
    doubt_mm: float
    floor_mm: float

    def half_width_mm(self, hc_mm: float, confidence: float) -> float:
        """Return half the interval's width at a circumference and a confidence in [0, 1]."""
        half_mm = (
            self.offset_mm + self.cubic_mm * (hc_mm / 100) ** 3 + self.doubt_mm * (1 - confidence)
        )
        return max(half_mm, self.floor_mm)


def read_interval(value: Any) -> Interval | None:
    """Parse what a model's metadata holds under ``interval``; None if it holds none.

    Raises
    ------
    ModelError
        If it is there and cannot be one.
    """
    if value is None:
        return None
    names = [field.name for field in fields(Interval)]
    numbers: list[Any] = [value.get(n) for n in names] if isinstance(value, dict) else [None]
    expected = f"{', '.join(names)}, none negative, the level between 0 and 1"
    require(all(is_number(n, 0) for n in numbers), value, "interval", expected)
    interval = Interval(*map(float, numbers))
    require(0 < interval.level < 1 and interval.floor_mm > 0, value, "interval", expected)
    return interval
