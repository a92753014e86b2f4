"""Ellipses as curves of the second degree, which is how least squares finds them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from edgeseg.ellipse import Ellipse, FloatArray

# inverse of the constraint matrix [[0, 0, 2], [0, -1, 0], [2, 0, 0]], as order and factors of rows
_ROW_ORDER = np.array([2, 1, 0])
_ROW_FACTORS = np.array([[0.5], [-1.0], [0.5]])


class Conic(NamedTuple):
    """The ellipse ``a x² + b xy + c y² + d x + e y + f = 0``, the left side -1 at its centre.

    The left side is then r² - 1 for points at r times the outline's distance from the centre.
    """

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def signed_distance(self, powers: FloatArray) -> FloatArray:
        """Signed distance to the outline, as `Ellipse.signed_distance`, of points as `powers`.

        Within a ten-thousandth of the way from the centre to the outline digits run out, and the
        distance comes out larger.
        """
        a, b, c, d, e, f = self
        left, slope_x, slope_y = (
            np.array([[a, b, c, d, e, f], [0, 0, 0, 2 * a, b, d], [0, 0, 0, b, 2 * c, e]]) @ powers
        )
        square = np.maximum(left + 1, 1e-8)  # r²
        gradient = np.sqrt(slope_x * slope_x + slope_y * slope_y) / 2
        distance: FloatArray = (square - np.sqrt(square)) / np.maximum(gradient, 1e-12)
        return distance

    def ellipse(self, origin: FloatArray, unit: float) -> Ellipse:
        """Return the ellipse in the coordinates in which ``origin`` and ``unit`` are given."""
        a, b, c = self.a, self.b, self.c
        x, y = _center(self)
        mean, spread = (a + c) / 2, math.hypot((a - c) / 2, b / 2)
        # of the curvatures mean + spread and mean - spread, which goes with the major axis; their
        # product is the determinant, which loses no digits where they are far apart
        least = _determinant(self) / (mean + spread)
        return Ellipse(
            x * unit + float(origin[0]),
            y * unit + float(origin[1]),
            unit / math.sqrt(least),
            unit / math.sqrt(mean + spread),
            (math.atan2(b, a - c) + math.pi) / 2 % math.pi,
        )


def powers(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return x², xy, y², x, y and 1 of n points, shape (6, n)."""
    return np.stack([x * x, x * y, y * y, x, y, np.ones_like(x)])


def direct_fit(scatter: FloatArray) -> Conic | None:
    """Fit by direct least squares (Halir and Flusser 1998, WSCG'98).

    Parameters
    ----------
    scatter
        Weighted sums of the products of the points' `powers`, shape (6, 6). They hold fourth powers
        of the coordinates, which should be centred and of the order of 1.

    Returns
    -------
    Conic or None
        None if the points do not determine an ellipse.
    """
    s1, s2, s3 = scatter[:3, :3], scatter[:3, 3:], scatter[3:, 3:]
    try:
        to_linear = -np.linalg.solve(s3, s2.T)
        reduced = s1 + s2 @ to_linear
        _, vectors = np.linalg.eig(reduced[_ROW_ORDER] * _ROW_FACTORS)
    except np.linalg.LinAlgError:
        return None
    vectors = vectors.real
    constraint = 4 * vectors[0] * vectors[2] - vectors[1] ** 2
    best = int(constraint.argmax())
    if not constraint[best] > 0:
        return None
    quadratic = vectors[:, best]
    return _scaled(Conic(*quadratic.tolist(), *(to_linear @ quadratic).tolist()))


def _scaled(conic: Conic) -> Conic | None:
    """Scale a curve's equation to what `Conic` says; None if it is not an ellipse."""
    if not _determinant(conic) > 0:
        return None
    x, y = _center(conic)
    level = -(conic.f + (conic.d * x + conic.e * y) / 2)
    if level == 0 or not math.isfinite(level):
        return None
    scaled = Conic(*(value / level for value in conic))
    # an imaginary ellipse is upside down; one too thin for its digits has lost its determinant
    return scaled if scaled.a + scaled.c > 0 and _determinant(scaled) > 0 else None


def _determinant(conic: Conic) -> float:
    return conic.a * conic.c - conic.b * conic.b / 4


def _center(conic: Conic) -> tuple[float, float]:
    _, b, _, d, e, _ = conic
    determinant = _determinant(conic)
    return (
        (b * e / 4 - conic.c * d / 2) / determinant,
        (b * d / 4 - conic.a * e / 2) / determinant,
    )
