"""How far a head circumference may be off: learnt from errors on heads not trained on."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError
from edgeseg.network.interval import Interval

__all__ = ["Interval", "conformal_quantile", "fit_interval"]

FloatArray = npt.NDArray[np.float64]

# No head is measured better than half as well as heads are on average.
_FLOOR_OF_MEAN = 0.5
_REWEIGHTINGS = 10


def fit_interval(
    hc_mm: npt.ArrayLike,
    error_mm: npt.ArrayLike,
    confidence: npt.ArrayLike,
    level: float = 0.9,
) -> Interval:
    """Learn the interval of head circumferences from heads that a model was not trained on.

    Split conformal prediction with a scale (Lei et al. 2018, doi:10.1080/01621459.2017.1307116):
    first how the mean size of an error grows with HC and with doubt, by least squares with
    coefficients that are not negative, then the one factor that makes intervals of that shape hold
    the share asked for. Where one head has several images, all count.

    Parameters
    ----------
    hc_mm, error_mm, confidence
        Shape (n,): measured circumferences, measured less reference, and confidences in [0, 1].
    level
        Share of heads whose interval is to hold the reference.

    Raises
    ------
    DataError
        If the arrays are no such heads, or too few for the level.
    """
    arrays = [np.asarray(a, dtype=np.float64) for a in (hc_mm, error_mm, confidence)]
    hc, error, sure = arrays
    if hc.ndim != 1 or not hc.shape == error.shape == sure.shape:
        raise DataError(f"heads of shapes {[a.shape for a in arrays]}; expected three of one (n,)")
    if not (all(np.isfinite(a).all() for a in arrays) and (hc > 0).all()):
        raise DataError("an interval needs finite errors of heads whose HC is above 0 mm")
    if ((sure < 0) | (sure > 1)).any():
        raise DataError("confidences must lie in [0, 1]")
    size_mm = np.abs(error)
    floor_mm = _FLOOR_OF_MEAN * float(size_mm.mean()) if len(hc) else 0.0
    if len(hc) and floor_mm <= 0:
        raise DataError("all errors are 0: these are no measurements of these heads")
    terms = np.stack([np.ones_like(hc), (hc / 100) ** 3, 1 - sure], axis=1)
    coefficients = _growth(terms, size_mm, floor_mm)
    scale_mm = np.maximum(terms @ coefficients, floor_mm)
    factor = conformal_quantile(size_mm / scale_mm, level)
    offset_mm, cubic_mm, doubt_mm = (float(factor * c) for c in coefficients)
    return Interval(float(level), offset_mm, cubic_mm, doubt_mm, factor * floor_mm)


def conformal_quantile(scores: npt.ArrayLike, level: float) -> float:
    """Return the bound below which a new score lies with a probability of at least ``level``.

    It is the ``ceil((n + 1) level)``-th smallest of the n scores.

    Raises
    ------
    DataError
        If the level is not between 0 and 1, or needs more scores.
    """
    if not 0 < level < 1:
        raise DataError(f"the level is {level:g}; expected a share between 0 and 1")
    ranked = np.sort(np.asarray(scores, dtype=np.float64))
    rank = math.ceil((len(ranked) + 1) * level - 1e-9)  # 100 * 0.55 is a little more than 55
    if rank > len(ranked):
        needed = math.ceil(level / (1 - level) - 1e-9)
        raise DataError(f"{len(ranked)} heads; an interval of level {level:g} needs {needed}")
    return float(ranked[rank - 1])


def _growth(terms: FloatArray, size_mm: FloatArray, floor_mm: float) -> FloatArray:
    """Return how the mean size of errors follows from terms, (n, k): k coefficients >= 0.

    Errors spread as much as they are large, so each counts by what is expected of it.
    """
    weights = np.ones_like(size_mm)
    coefficients = np.zeros(terms.shape[1])
    for _ in range(_REWEIGHTINGS):
        coefficients = _not_negative(terms * weights[:, None], size_mm * weights)
        weights = 1 / np.maximum(terms @ coefficients, floor_mm)
    return coefficients


def _not_negative(terms: FloatArray, values: FloatArray) -> FloatArray:
    """Solve least squares with coefficients >= 0: the best of all choices of which are above 0."""
    count = terms.shape[1]
    best, least = np.zeros(count), math.inf
    for chosen in itertools.product((False, True), repeat=count):
        solution = np.zeros(count)
        solution[list(chosen)] = np.linalg.lstsq(terms[:, chosen], values, rcond=None)[0]
        left = float(((terms @ solution - values) ** 2).sum())
        if (solution >= 0).all() and left < least:
            best, least = solution, left
    return best
