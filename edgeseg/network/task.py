"""What a model's metadata says of its task: what is measured, and how far figures are trusted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.system.text import short

_FORBIDDEN = frozenset('\r\n\t,;"')
_LONGEST_NAME = 200  # characters
_SMALLEST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Task:
    """A model's task, as its metadata says it."""

    kind: str = "head"  # a key of `edgeseg.measure.tasks.TASKS`
    # the background first; a class's place is its number in masks
    classes: tuple[str, ...] = ("background", "head")
    # whether the maps and a background share each pixel's probability (softmax), so that the
    # largest of them decides; else a class needs the threshold, and the largest of those wins
    exclusive: bool = True

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of the classes after the background: one for each of the network's maps."""
        return self.classes[1:]

    def as_dict(self) -> dict[str, Any]:
        """Return what the metadata holds."""
        if self.kind == "head":
            return {"kind": "head"}
        return {"kind": self.kind, "classes": list(self.classes), "exclusive": self.exclusive}


def read_task(value: Any) -> Task:
    """Parse what `Task.as_dict` gives; `ModelError` if it has no kind, or not its classes."""
    require(isinstance(value, dict) and isinstance(value.get("kind"), str), value, "task")
    if value["kind"] == "head":
        return Task()
    classes = value.get("classes")
    require(isinstance(classes, list | tuple), classes, "classes", "a list of names")
    task = Task(value["kind"], check_classes(classes), bool(value.get("exclusive", True)))
    is_one = task.kind != "ellipse" or len(task.structures) == 1
    require(is_one, classes, "classes", "one structure after the background")
    return task


def check_classes(names: Any) -> tuple[str, ...]:
    """Return class names, the background first, that can title columns; `ModelError` if not so."""
    listed = tuple(names)
    for name in listed:
        is_title = isinstance(name, str) and name.strip() and name.isprintable()
        if not is_title or len(name) > _LONGEST_NAME or not _FORBIDDEN.isdisjoint(name):
            raise ModelError(
                f"{short(name)} is no class name; expected a line of text without separators"
            )
    if not 2 <= len(listed) <= 256 or len(set(listed)) != len(listed):
        raise ModelError(
            f"the classes are {short(', '.join(listed)) if listed else 'none'}; expected 2 to 256 "
            "different names, the background first"
        )
    return listed


@dataclass(frozen=True, slots=True)
class Interval:
    """Coefficients of the half width of a head circumference's interval, in mm.

    The half width is ``offset_mm + cubic_mm (HC / 100 mm)³ + doubt_mm (1 - confidence)``, and never
    less than ``floor_mm``. `edgeseg_training.interval.fit_interval` learns them.
    """

    level: float  # share of heads whose HC lies within, in (0, 1)
    # 0 or more, so that a larger head and a less certain one have no narrower interval
    offset_mm: float
    cubic_mm: float
    doubt_mm: float
    floor_mm: float  # positive

    def half_width_mm(self, hc_mm: float, confidence: float) -> float:
        """Return half the interval's width at a circumference and a confidence in [0, 1]."""
        cubic_mm, doubt_mm = self.cubic_mm * (hc_mm / 100) ** 3, self.doubt_mm * (1 - confidence)
        return max(self.offset_mm + cubic_mm + doubt_mm, self.floor_mm)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits beyond which a model's measurements of heads are doubtful or refused.

    The values here are those of a file that gives none; pairs are (smallest, largest).
    """

    agreement: float = 0.75  # soft Dice between map and ellipse below which no head is claimed
    confidence: float = 0.96  # the same, below which a measurement is doubtful
    # probability of a head, below which none is claimed, or one is doubtful; of models that tell it
    presence_refused: float = 0.5
    presence_doubted: float = 0.5
    # circumference below which the model has learnt so few heads that what it would refuse is
    # doubtful instead, where the size of pixels is known
    rare_hc_mm: float = 0.0
    cut_share: float = 0.2  # of the outline outside the image, from which on one is doubtful
    look_change: float = 0.03  # of HC from one look to the next, a fraction, likewise
    # of the second look's (width, height), at most which the head's box fills
    view_shares: tuple[float, float] = (0.58, 0.70)
    field_of_view_mm: tuple[float, float] = (40.0, 279.0)  # width of the image
    hc_mm: tuple[float, float] = (40.0, 400.0)
    axis_ratio: tuple[float, float] = (0.62, 0.97)  # shorter over longer


def read_interval(value: Any) -> Interval | None:
    """Parse what metadata holds under ``interval``, None if nothing; `ModelError` if it is none."""
    if value is None:
        return None
    names = [field.name for field in fields(Interval)]
    numbers: list[Any] = [value.get(n) for n in names] if isinstance(value, dict) else [None]
    fits = all(is_number(n, 0) for n in numbers) and 0 < numbers[0] < 1 and numbers[-1] > 0
    expected = f"{', '.join(names)}, none negative, the level between 0 and 1"
    require(fits, value, "interval", expected)
    return Interval(*map(float, numbers))


def read_limits(values: Any) -> Limits:
    """Parse what metadata holds under ``limits``; `ModelError` if one is no number from 0, or pair.

    What is lacking has its default, what is unknown is ignored.
    """
    require(isinstance(values, Mapping), values, "limits")
    read: dict[str, Any] = {}
    for each in fields(Limits):
        if each.name not in values:
            continue
        value, expected = values[each.name], "a number"
        numbers = [value]
        if is_pair := isinstance(each.default, tuple):
            numbers, expected = value, "two numbers, the smaller first"
        fits = isinstance(numbers, list | tuple) and len(numbers) == 1 + is_pair
        fits = fits and all(is_number(number, 0) and number < 1e6 for number in numbers)
        if each.name == "view_shares":
            expected = f"two shares from {_SMALLEST_SHARE} to 1"
            fits = fits and all(_SMALLEST_SHARE <= share <= 1 for share in numbers)
        else:
            fits = fits and numbers[0] <= numbers[-1]
        require(fits, value, each.name, expected)
        read[each.name] = tuple(map(float, numbers)) if is_pair else float(value)
    return Limits(**read)


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
