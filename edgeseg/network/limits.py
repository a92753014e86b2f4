"""What a model of heads has learnt, and from where on its answers are not to be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.system.text import short

_SMALLEST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on what a model measures; those of a file stand in its metadata.

    The values here are those of a file that gives none.

    Attributes
    ----------
    agreement
        Soft Dice between map and ellipse below which no head is claimed.
    confidence
        The same, below which a measurement is doubtful.
    presence_refused, presence_doubted
        Probability that there is a head, below which none is claimed, or one is doubtful; of models
        that answer it.
    rare_hc_mm
        Circumference below which the model has learnt so few heads that what it would refuse is
        doubtful instead, where the size of pixels is known.
    cut_share
        Share of the outline outside the image from which on a measurement is doubtful.
    look_change
        Change of the circumference from one look to the next, as a fraction, from which on a
        measurement is doubtful.
    view_shares
        Of the second look's (width, height), at most which the head's box fills.
    field_of_view_mm, hc_mm, axis_ratio
        (smallest, largest) width of the image, circumference, and shorter over longer axis.
    """

    agreement: float = 0.75
    confidence: float = 0.96
    presence_refused: float = 0.5
    presence_doubted: float = 0.5
    rare_hc_mm: float = 0.0
    cut_share: float = 0.2
    look_change: float = 0.03
    view_shares: tuple[float, float] = (0.58, 0.70)
    field_of_view_mm: tuple[float, float] = (40.0, 279.0)
    hc_mm: tuple[float, float] = (40.0, 400.0)
    axis_ratio: tuple[float, float] = (0.62, 0.97)


def read_limits(values: Any) -> Limits:
    """Read what a file's metadata gives; what is lacking or unknown is as in a file without any.

    Raises
    ------
    ModelError
        If a limit is not a positive number, or a range not two of them in order.
    """
    if not isinstance(values, Mapping):
        raise ModelError(f"the model's metadata gives {short(values)} as its limits")
    given: dict[str, Any] = {}
    for each in fields(Limits):
        if each.name not in values:
            continue
        value = values[each.name]
        if isinstance(each.default, tuple):
            given[each.name] = _pair(each.name, value)
        else:
            given[each.name] = _number(each.name, value)
    return Limits(**given)


def _pair(name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ModelError(
            f"the model's metadata gives {short(value)} as {name}; expected two numbers"
        )
    first, second = (_number(name, each) for each in value)
    if name == "view_shares":
        if not all(_SMALLEST_SHARE <= share <= 1 for share in (first, second)):
            raise ModelError(
                f"the model's metadata gives {short(value)} as {name}; expected shares from "
                f"{_SMALLEST_SHARE} to 1"
            )
    elif first > second:
        raise ModelError(f"the model's metadata gives {short(value)} as {name}, the larger first")
    return first, second


def _number(name: str, value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6
    if not good or not math.isfinite(value):
        raise ModelError(f"the model's metadata gives {short(value)} as {name}; expected a number")
    return float(value)
