"""Limits beyond which a model's measurements of heads are doubtful or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from edgeseg.network.checks import is_number, require

_SMALLEST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a model of heads, as its metadata gives them.

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
        If a limit is not a number from 0, or a range not two of them in order.
    """
    require(isinstance(values, Mapping), values, "limits")
    read: dict[str, Any] = {}
    for each in fields(Limits):
        if each.name not in values:
            continue
        value = values[each.name]
        if not isinstance(each.default, tuple):
            require(_is_limit(value), value, each.name, "a number")
            read[each.name] = float(value)
            continue
        are_two = isinstance(value, list | tuple) and len(value) == 2
        require(are_two and all(map(_is_limit, value)), value, each.name, "two numbers")
        first, second = read[each.name] = (float(value[0]), float(value[1]))
        if each.name == "view_shares":
            fit = all(_SMALLEST_SHARE <= share <= 1 for share in (first, second))
            require(fit, value, each.name, f"shares from {_SMALLEST_SHARE} to 1")
        else:
            require(first <= second, value, each.name, "the smaller first")
    return Limits(**read)


def _is_limit(value: Any) -> bool:
    return is_number(value, 0) and value < 1e6
