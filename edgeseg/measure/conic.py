"""Ellipses as conic sections, and their direct least-squares fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgeseg.measure.ellipse import Ellipse, FloatArray

Vector = tuple[float, float, float]

_MOST_STEPS = 60  # of Newton's method; a few are enough unless two roots coincide
_SINGULAR = 1e-13  # determinant over the product of the diagonal, for points on a line


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

        Rounding makes it too large within 1e-4 of the way from the centre to the outline.
        """
        a, b, c, d, e, f = self
        left, slope_x, slope_y = (
            np.array([[a, b, c, d, e, f], [0, 0, 0, 2 * a, b, d], [0, 0, 0, b, 2 * c, e]]) @ powers
        )
        square = np.maximum(left + 1, 1e-8)  # r²
        gradient = np.sqrt(slope_x * slope_x + slope_y * slope_y) / 2
        distance: FloatArray = (square - np.sqrt(square)) / np.maximum(gradient, 1e-12)
        return distance

    def ellipse(self, origin: tuple[float, float], unit: float) -> Ellipse:
        """Convert to an `Ellipse`, from coordinates ``(x - origin) / unit`` to plain ones."""
        a, b, c = self.a, self.b, self.c
        x, y = _center(self)
        mean, spread = (a + c) / 2, math.hypot((a - c) / 2, b / 2)
        # The eigenvalues are mean + spread and mean - spread. The smaller one, of the major axis,
        # is computed from their product, the determinant, to avoid cancellation.
        least = _determinant(self) / (mean + spread)
        return Ellipse(
            x * unit + origin[0],
            y * unit + origin[1],
            unit / math.sqrt(least),
            unit / math.sqrt(mean + spread),
            (math.atan2(b, a - c) + math.pi) / 2 % math.pi,
        )


def powers(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return x², xy, y², x, y and 1 for n points, shape (6, n)."""
    rows = np.empty((6, len(x)))
    np.multiply(x, x, out=rows[0])
    np.multiply(x, y, out=rows[1])
    np.multiply(y, y, out=rows[2])
    rows[3], rows[4], rows[5] = x, y, 1
    return rows


def direct_fit(scatter: FloatArray) -> Conic | None:
    """Fit by direct least squares: least v' S v with 4 a c - b² = 1 for v = (a, b, c, d, e, f).

    R. Halir and J. Flusser, Numerically stable direct least squares fitting of ellipses, WSCG 1998;
    S1, S2, S3, T and M are their names. None if the points do not determine an ellipse.

    The scatter matrix S, shape (6, 6), holds weighted sums of the products of the points' `powers`,
    of coordinates that should be centred and of the order of 1.
    """
    # In Python floats: for a 3x3 matrix numpy.linalg is slower (benchmarks/README.md).
    rows = scatter.tolist()
    s1 = [row[:3] for row in rows[:3]]  # of the quadratic terms a, b, c
    s2 = [row[3:] for row in rows[:3]]  # of these with the linear ones d, e, f
    s3 = [row[3:] for row in rows[3:]]  # of the linear terms
    inverse = _inverse(s3)
    if inverse is None:
        return None
    t = [[-_dot(row, column) for column in s2] for row in inverse]  # -S3⁻¹ S2', so (d, e, f) = T v1
    columns = [*zip(*t, strict=True)]
    reduced_scatter = [
        [each + _dot(row2, column) for each, column in zip(row1, columns, strict=True)]
        for row1, row2 in zip(s1, s2, strict=True)
    ]
    v1 = _least_under_constraint(reduced_scatter)
    if v1 is None:
        return None
    return _scaled(Conic(*v1, *(_dot(row, v1) for row in t)))


def _least_under_constraint(reduced_scatter: Sequence[Sequence[float]]) -> Vector | None:
    """Return v1 = (a, b, c) with the least v1' M v1 for its v1' C v1 = 4 a c - b².

    M is the reduced scatter matrix S1 + S2 T, C the constraint matrix ((0, 0, 2), (0, -1, 0),
    (2, 0, 0)). v1 is the generalized eigenvector, M v1 = λ C v1, of the one positive eigenvalue:
    the largest root of det(M - λ C), a cubic that is concave beyond it, so that Newton's method
    comes down to it from any larger value.
    """
    (p, q, s), (_, t, u), (_, _, w) = reduced_scatter
    # det(M - λ C) = k0 - k1 λ + k2 λ² - 4 λ³
    k0 = p * (t * w - u * u) - q * (q * w - u * s) + s * (q * u - t * s)
    k1 = 4 * (q * u - s * t) + s * s - p * w
    k2 = 4 * (s - t)
    eigenvalue = (p + 2 * s + w) / 4  # that of a circle, so no less than the least
    for _ in range(_MOST_STEPS):
        slope = -k1 + eigenvalue * (2 * k2 - 12 * eigenvalue)
        if not slope < 0:
            break
        step = (k0 + eigenvalue * (-k1 + eigenvalue * (k2 - 4 * eigenvalue))) / slope
        eigenvalue -= step
        if abs(step) <= 1e-15 * abs(eigenvalue):
            break
    # The eigenvector is orthogonal to all rows of M - λ C: a cross product, the longest of three.
    rows = ((p, q, s - 2 * eigenvalue), (q, t + eigenvalue, u), (s - 2 * eigenvalue, u, w))
    found = max(
        (_cross(rows[i], rows[j]) for i, j in ((0, 1), (0, 2), (1, 2))), key=lambda v: _dot(v, v)
    )
    return found if 4 * found[0] * found[2] - found[1] ** 2 > 0 else None


def _inverse(m: Sequence[Sequence[float]]) -> tuple[Vector, Vector, Vector] | None:
    """Invert a symmetric 3x3 matrix of positive diagonal; None if it is nearly singular."""
    x, y, z = (_cross(m[i], m[j]) for i, j in ((1, 2), (2, 0), (0, 1)))
    determinant = _dot(m[0], x)
    if not determinant > _SINGULAR * m[0][0] * m[1][1] * m[2][2]:
        return None
    return _over(x, determinant), _over(y, determinant), _over(z, determinant)


def _cross(u: Sequence[float], v: Sequence[float]) -> Vector:
    return u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]


def _over(v: Vector, divisor: float) -> Vector:
    return v[0] / divisor, v[1] / divisor, v[2] / divisor


def _dot(u: Sequence[float], v: Sequence[float]) -> float:
    return u[0] * v[0] + u[1] * v[1] + u[2] * v[2]


def _scaled(conic: Conic) -> Conic | None:
    """Scale a conic to -1 at its centre, as `Conic` requires; None if it is not an ellipse."""
    if not _determinant(conic) > 0:
        return None
    x, y = _center(conic)
    level = -(conic.f + (conic.d * x + conic.e * y) / 2)
    if level == 0 or not math.isfinite(level):
        return None
    scaled = Conic(*(value / level for value in conic))
    # The sign excludes imaginary ellipses; a very thin ellipse can lose its determinant.
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
