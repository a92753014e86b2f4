"""Ellipses in image coordinates, and their fit to points.

Points are ``(x, y)`` in pixels with the origin at the **centre** of the top-left pixel, x to the
right and y down; arrays are indexed ``(row, column)``.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.uint8]

_INVERSE_CONSTRAINT = np.array([[0.0, 0.0, 0.5], [0.0, -1.0, 0.0], [0.5, 0.0, 0.0]])
_ROBUST_ROUNDS = 4
_MIN_POINTS = 12
_SINGULAR = 1e-13  # determinant over the product of the diagonal, for points on a line


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse in image coordinates, ``semi_major_px >= semi_minor_px > 0``.

    A centre of (0, 0) is that of the top-left pixel. ``angle_rad`` is the angle of the major axis
    from +x towards +y (down), in [0, pi).
    """

    center_x_px: float
    center_y_px: float
    semi_major_px: float
    semi_minor_px: float
    angle_rad: float

    @property
    def circumference_px(self) -> float:
        """Circumference in pixels (Ramanujan's second approximation, as HC18 uses).

        Relative error below 1e-7 for the eccentricities of a head (Ramanujan 1914, "Modular
        equations and approximations to pi").
        """
        a, b = self.semi_major_px, self.semi_minor_px
        h = ((a - b) / (a + b)) ** 2
        return math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))

    @property
    def area_px(self) -> float:
        """Area in square pixels."""
        return math.pi * self.semi_major_px * self.semi_minor_px

    @property
    def center(self) -> FloatArray:
        """Centre (x, y) in pixels, shape (2,)."""
        return np.array([self.center_x_px, self.center_y_px])

    def shape_matrix(self) -> FloatArray:
        """Matrix M, shape (2, 2), with the ellipse as {c + M u : |u| = 1}."""
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        rotation = np.array([[cos, -sin], [sin, cos]])
        matrix: FloatArray = rotation * np.array([self.semi_major_px, self.semi_minor_px])
        return matrix

    def transformed(self, matrix: FloatArray) -> Ellipse:
        """Return the image of the ellipse under an affine map, which is an ellipse again.

        The matrix, shape (2, 3), maps ``(x, y, 1)`` to the new ``(x, y)``; it must be invertible.
        """
        # Singular values of a 2x2 matrix, in Python floats for speed.
        (a, b, x), (c, d, y) = matrix.tolist()
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        # The images of the two semi-axes are (e, g) and (f, h).
        e, f = self.semi_major_px * (a * cos + b * sin), self.semi_minor_px * (b * cos - a * sin)
        g, h = self.semi_major_px * (c * cos + d * sin), self.semi_minor_px * (d * cos - c * sin)
        xx, xy, yy = e * e + f * f, e * g + f * h, g * g + h * h
        semi_major = math.sqrt((xx + yy) / 2 + math.hypot((xx - yy) / 2, xy))
        return Ellipse(
            a * self.center_x_px + b * self.center_y_px + x,
            c * self.center_x_px + d * self.center_y_px + y,
            semi_major,
            abs(e * h - f * g) / semi_major,
            (math.atan2(2 * xy, xx - yy) + 2 * math.pi) / 2 % math.pi,
        )

    def moved(self, x_px: float, y_px: float) -> Ellipse:
        """Return the ellipse shifted by an offset."""
        x, y = self.center_x_px + x_px, self.center_y_px + y_px
        return replace(self, center_x_px=x, center_y_px=y)

    def resized(self, old_size: tuple[int, int], new_size: tuple[int, int]) -> Ellipse:
        """Return the ellipse after its image was resized from one (height, width) to another."""
        sy, sx = new_size[0] / old_size[0], new_size[1] / old_size[1]
        matrix = np.array([[sx, 0.0, (sx - 1) / 2], [0.0, sy, (sy - 1) / 2]])
        return self.transformed(matrix)

    def scaled(self, x: float, y: float) -> Ellipse:
        """Return the ellipse with its coordinates multiplied, as from pixels to millimetres.

        The fields of the result are in the new unit although their names end in ``_px``.
        """
        if x == y:
            center = (self.center_x_px * x, self.center_y_px * x)
            return Ellipse(*center, self.semi_major_px * x, self.semi_minor_px * x, self.angle_rad)
        return self.transformed(np.array([[x, 0.0, 0.0], [0.0, y, 0.0]]))

    def points(self, count: int) -> FloatArray:
        """Return ``count`` points on the outline, shape (count, 2), as (x, y)."""
        offset: FloatArray = (self.shape_matrix() @ _unit_circle(count)).T
        return offset + self.center

    def signed_distance(self, x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
        """Signed distance to the outline in pixels, to first order; negative inside.

        The Sampson distance (Sampson 1982): exact on the outline, and good to a few percent within
        a tenth of the semi-minor axis of it.
        """
        u, v = self.in_unit_circle(x, y)
        radius = np.sqrt(u * u + v * v)
        along, across = u / self.semi_major_px, v / self.semi_minor_px
        gradient = np.sqrt(along * along + across * across)
        distance: FloatArray = (radius - 1) * radius / np.maximum(gradient, 1e-12)
        return np.where(radius > 0, distance, -self.semi_minor_px)

    def in_unit_circle(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Map points (x, y) to (u, v), in which the outline is the unit circle.

        The inverse of ``center + shape_matrix() @ (u, v)``.
        """
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        dx = np.asarray(x, dtype=np.float64) - self.center_x_px
        dy = np.asarray(y, dtype=np.float64) - self.center_y_px
        u = dx * (cos / self.semi_major_px) + dy * (sin / self.semi_major_px)
        v = dy * (cos / self.semi_minor_px) - dx * (sin / self.semi_minor_px)
        return u, v

    def coverage(self, height: int, width: int) -> npt.NDArray[np.float32]:
        """Fraction of each pixel inside the ellipse, shape (height, width), in [0, 1].

        A pixel's coverage is derived from the distance of its centre to the outline, accurate to
        about 0.02 for heads. The ellipse may reach beyond the image.
        """
        rows = np.arange(height, dtype=np.float64)[:, None]
        columns = np.arange(width, dtype=np.float64)[None, :]
        distance = self.signed_distance(columns, rows)
        return np.clip(0.5 - distance, 0.0, 1.0).astype(np.float32)

    def mask(self, height: int, width: int) -> Mask:
        """Return the pixels whose centre lies inside, shape (height, width), 0 or 255."""
        return np.where(self.coverage(height, width) >= 0.5, 255, 0).astype(np.uint8)


@functools.lru_cache(maxsize=8)
def _unit_circle(count: int) -> FloatArray:
    """Return points on the unit circle, shape (2, count)."""
    t = np.linspace(0.0, 2 * math.pi, count, endpoint=False)
    return np.stack([np.cos(t), np.sin(t)])


def fit_ellipse(points: FloatArray) -> Ellipse | None:
    """Fit an ellipse to points on its outline, (n, 2), robustly; None if they determine none.

    Direct least squares (Halir and Flusser 1998), refined by rounds that weight each point by its
    distance from the previous ellipse, so that a dent or a bulge does not distort the outline.
    """
    count = len(points)
    if count < _MIN_POINTS:
        return None
    origin = float(points[:, 0].sum()) / count, float(points[:, 1].sum()) / count
    x, y = points[:, 0] - origin[0], points[:, 1] - origin[1]
    unit = float(np.abs(x).sum() + np.abs(y).sum()) / (2 * count)
    if not unit > 0:
        return None
    x, y = x / unit, y / unit
    powers = np.stack([x * x, x * y, y * y, x, y, np.ones_like(x)])
    found = _direct_fit(powers @ powers.T)
    for _ in range(_ROBUST_ROUNDS):
        if found is None:
            return None
        distance = np.abs(found.signed_distance(x, y))
        scale = max(2.0 * 1.4826 * _median(distance), 0.05 / unit)
        weights = 1.0 / (1.0 + (distance / scale) ** 2)  # Cauchy
        found = _direct_fit((powers * weights) @ powers.T)
    return found.scaled(unit, unit).moved(*origin) if found else None


def _direct_fit(scatter: FloatArray) -> Ellipse | None:
    """Fit by direct least squares: least v' S v with 4 a c - b² = 1 for v = (a, b, c, d, e, f).

    The ellipse is ``a x² + b xy + c y² + d x + e y + f = 0``. R. Halir and J. Flusser, Numerically
    stable direct least squares fitting of ellipses, WSCG 1998; S1, S2, S3, T and M are their names.
    None if the points do not determine an ellipse.

    The scatter matrix S, shape (6, 6), holds weighted sums of the products of x², xy, y², x, y and
    1 of the points, whose coordinates should be centred and of the order of 1.
    """
    # OpenCV's functions take half the time of numpy.linalg for so small a matrix.
    s1, s2, s3 = scatter[:3, :3], scatter[:3, 3:], scatter[3:, 3:]
    if not cv2.determinant(s3) > _SINGULAR * s3.diagonal().prod():
        return None
    t = cv2.solve(s3, -s2.T)[1]
    m = s1 + s2 @ t
    # M v = λ C v: of the three eigenvectors one is an ellipse, that of the positive eigenvalue.
    vectors = cv2.eigenNonSymmetric(_INVERSE_CONSTRAINT @ m)[1]
    quadratic = vectors[np.argmax(4 * vectors[:, 0] * vectors[:, 2] - vectors[:, 1] ** 2)]
    (a, b, c), (d, e, f) = quadratic.tolist(), (t @ quadratic).tolist()
    determinant = a * c - b * b / 4
    if not determinant > 0:
        return None
    x, y = (b * e / 4 - c * d / 2) / determinant, (b * d / 4 - a * e / 2) / determinant
    level = -(f + (d * x + e * y) / 2)  # scaled to -1 at the centre: r² - 1 at r times the outline
    if not (a + c) * level > 0:  # an imaginary ellipse
        return None
    mean, spread = (a + c) / 2 / level, math.hypot((a - c) / 2, b / 2) / abs(level)
    # The eigenvalues are mean + spread and mean - spread. The smaller one, of the major axis, is
    # computed from their product, the determinant, to avoid cancellation.
    least = determinant / level / level / (mean + spread)
    angle_rad = (math.atan2(b / level, (a - c) / level) + math.pi) / 2 % math.pi
    return Ellipse(x, y, 1 / math.sqrt(least), 1 / math.sqrt(mean + spread), angle_rad)


def _median(values: FloatArray) -> float:
    """Return the median, as `numpy.median` does, without its checks for masked arrays and NaN."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    parted = np.partition(values, (low, high))
    return float((parted[low] + parted[high]) / 2)
