"""What a network answers, and a check that these are probabilities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgeseg.errors import ModelError

_ROUNDING = 1e-3  # of half-precision and 8-bit networks


class Answers(NamedTuple):
    """What a network answers for images.

    Attributes
    ----------
    maps
        Shape (N, C, h, w), float32, in [0, 1].
    presence
        Shape (N,), float32, in [0, 1]: whether the structure is there; None if it does not tell.
    """

    maps: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32] | None


def check_answers(answers: Answers, shape: tuple[int, int], name: str) -> None:
    """Refuse answers that are no probabilities.

    Parameters
    ----------
    shape
        (N, C): images, and maps of each.
    name
        The model's.

    Raises
    ------
    ModelError
        If the maps are of another shape, or anything is no probability.
    """
    maps, presence = answers
    if maps.ndim != 4 or maps.shape[:2] != shape or not maps.size:
        raise ModelError(
            f"{name}: the model answers with shape {maps.shape}; expected {shape} and the sides of "
            "the maps"
        )
    values = [maps] if presence is None else [maps, presence]
    low = float(np.min([each.min() for each in values]))
    high = float(np.max([each.max() for each in values]))
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # NaN is neither
        raise ModelError(
            f"{name}: the model's answers run from {low:.3g} to {high:.3g}; expected "
            "probabilities from 0 to 1. If these are logits, 'edgeseg adopt' wraps the network "
            "with its activation"
        )
