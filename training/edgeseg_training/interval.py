"""Fit the interval of head circumferences from errors on held-out heads."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError
from edgeseg.measure.ellipse import FloatArray
from edgeseg.network.task import Interval

_FLOOR_OF_MEAN = 0.5  # the half width is never below this part of the mean error
_REWEIGHTINGS = 10


def fit_interval(
    hc_mm: npt.ArrayLike,
    error_mm: npt.ArrayLike,
    confidence: npt.ArrayLike,
    level: float = 0.9,
) -> Interval:
    """Fit the interval of head circumferences to errors on heads a model was not trained on.

    Split conformal prediction with a scale (Lei et al. 2018, doi:10.1080/01621459.2017.1307116):
    first the mean absolute error as a function of HC and confidence, by least squares with
    non-negative coefficients, then the factor by which these intervals contain the requested share
    of errors. Several images of one head all count.

    Parameters
    ----------
    hc_mm, error_mm, confidence
        Shape (n,): measured circumferences, measured minus reference, and confidences in [0, 1].
    level
        Share of heads whose interval contains the reference.

    Raises
    ------
    DataError
        If the arrays are inconsistent, or there are too few heads for the level.
    """
    arrays = [np.asarray(a, dtype=np.float64) for a in (hc_mm, error_mm, confidence)]
    hc, error, sure = arrays
    if hc.ndim != 1 or not hc.shape == error.shape == sure.shape:
        raise DataError(f"heads of shapes {[a.shape for a in arrays]}; expected three of one (n,)")
    if not (np.isfinite(arrays).all() and (hc > 0).all() and ((sure >= 0) & (sure <= 1)).all()):
        raise DataError("expected finite errors of heads with HC above 0 mm, confidences in [0, 1]")
    size_mm = np.abs(error)
    floor_mm = _FLOOR_OF_MEAN * float(size_mm.mean()) if len(hc) else 0.0
    if len(hc) and floor_mm <= 0:
        raise DataError("all errors are 0: these are no measurements of these heads")
    terms = np.stack([np.ones_like(hc), (hc / 100) ** 3, 1 - sure], axis=1)
    coefficients = _fit_error_model(terms, size_mm, floor_mm)
    scale_mm = np.maximum(terms @ coefficients, floor_mm)
    factor = conformal_quantile(size_mm / scale_mm, level)
    offset_mm, cubic_mm, doubt_mm = (float(factor * c) for c in coefficients)
    return Interval(float(level), offset_mm, cubic_mm, doubt_mm, factor * floor_mm)


def conformal_quantile(scores: npt.ArrayLike, level: float) -> float:
    """Return the bound that a new score does not exceed with a probability of at least ``level``.

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


def _fit_error_model(terms: FloatArray, size_mm: FloatArray, floor_mm: float) -> FloatArray:
    """Return k coefficients >= 0 that predict the mean absolute error from terms, (n, k).

    The spread of errors is proportional to their mean, so each is weighted by the inverse of its
    expected value.
    """
    weights = np.ones_like(size_mm)
    coefficients = np.zeros(terms.shape[1])
    for _ in range(_REWEIGHTINGS):
        coefficients = _solve_non_negative(terms * weights[:, None], size_mm * weights)
        weights = 1 / np.maximum(terms @ coefficients, floor_mm)
    return coefficients


def _solve_non_negative(terms: FloatArray, values: FloatArray) -> FloatArray:
    """Solve least squares with coefficients >= 0, by trying every set of positive ones."""
    count = terms.shape[1]
    best, least = np.zeros(count), math.inf
    for chosen in itertools.product((False, True), repeat=count):
        solution = np.zeros(count)
        solution[list(chosen)] = np.linalg.lstsq(terms[:, chosen], values, rcond=None)[0]
        left = float(((terms @ solution - values) ** 2).sum())
        if (solution >= 0).all() and left < least:
            best, least = solution, left
    return best
