"""Synthetic B-mode images of fetal heads with an exactly known ellipse.

They show that an installation works, not how accurate a model is on patients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.measure.ellipse import Ellipse
from edgeseg.system.files import csv_text

if TYPE_CHECKING:
    from edgeseg.images.frame import GrayImage

Field = npt.NDArray[np.floating[Any]]

HC_RANGE_MM = (70.0, 330.0)
PIXEL_SIZE_RANGE_MM = (0.05, 0.39)
_DEMO_HC_MM = (172.0, 71.0, 118.0, 148.0, 205.0, 262.0, 328.0, 186.0)
_CUT_FRACTION = 0.125  # of a cut head's outline outside the image


@dataclass(frozen=True, slots=True)
class Phantom:
    """A synthetic scan and its ground truth."""

    name: str  # of its file
    image: GrayImage  # shape (height, width), uint8
    ellipse: Ellipse  # the outer border of the skull, in the image's pixels
    pixel_size_mm: float

    @property
    def hc_mm(self) -> float:
        """True head circumference in millimetres."""
        return self.ellipse.circumference_px * self.pixel_size_mm


def make_phantom(
    seed: int,
    *,
    height: int = 540,
    width: int = 800,
    cut_by_border: bool = False,
    name: str | None = None,
    hc_mm: float | None = None,
) -> Phantom:
    """Draw a synthetic scan of (height, width) pixels; the same arguments give the same scan.

    ``seed`` is that of numpy's PCG64; the file's name is ``phantom_<seed>.png`` by default. With
    ``cut_by_border`` an eighth of the outline lies outside the image. The head circumference is
    random from 70 to 330 mm by default, and reduced if the pixel size would exceed 0.39 mm.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    ellipse = _draw_ellipse(rng, height, width)
    if cut_by_border:
        ellipse = _shift_out(ellipse, width)
    drawn_mm = math.exp(rng.uniform(math.log(HC_RANGE_MM[0]), math.log(HC_RANGE_MM[1])))
    pixel_size_mm = (drawn_mm if hc_mm is None else hc_mm) / ellipse.circumference_px
    pixel_size_mm = min(max(pixel_size_mm, PIXEL_SIZE_RANGE_MM[0]), PIXEL_SIZE_RANGE_MM[1])
    scan = _Scan(rng, ellipse, (height, width), ellipse.circumference_px * pixel_size_mm)
    return Phantom(name or f"phantom_{seed}.png", scan.draw(), ellipse, pixel_size_mm)


def demo_phantoms() -> list[Phantom]:
    """Return the eight phantoms of the demo, 71 to 328 mm; the last is cut by the border."""
    return [
        make_phantom(80 + i, name=f"phantom_{i}.png", hc_mm=hc_mm, cut_by_border=i == 8)
        for i, hc_mm in enumerate(_DEMO_HC_MM, start=1)
    ]


def table(phantoms: Iterable[Phantom]) -> str:
    """Return the phantoms' pixel sizes and true HC as CSV with HC18's columns."""
    rows = [(p.name, repr(p.pixel_size_mm), f"{p.hc_mm:.4f}") for p in phantoms]
    return csv_text([("filename", "pixel size(mm)", "head circumference (mm)"), *rows])


def _draw_ellipse(rng: np.random.Generator, height: int, width: int) -> Ellipse:
    ratio = rng.uniform(0.74, 0.84)
    semi_minor = min(rng.uniform(0.29, 0.36) * height, rng.uniform(0.33, 0.39) * width * ratio)
    return Ellipse(
        width * rng.uniform(0.46, 0.54),
        height * rng.uniform(0.51, 0.56),
        semi_minor / ratio,
        semi_minor,
        math.radians(rng.uniform(-14, 14)) % math.pi,
    )


def _shift_out(ellipse: Ellipse, width: int) -> Ellipse:
    """Move an ellipse to the right until an eighth of its outline is outside the image."""
    low, high = 0.0, float(width)
    for _ in range(40):
        middle = (low + high) / 2
        outside = np.mean(ellipse.moved(middle, 0).points(3600)[:, 0] > width - 0.5)
        low, high = (low, middle) if outside >= _CUT_FRACTION else (middle, high)
    return ellipse.moved(high, 0)


class _Scan:
    """A scan to draw: coordinates of its pixels relative to the probe and to the head.

    ``depth`` is the distance along a beam, 0 at the top of the image and 1 at its bottom; ``beam``
    the beam's angle in radians from straight down; ``rim`` the signed distance to the outline in
    semi-minor axes; ``u`` and ``v`` are coordinates in which the outline is the unit circle.
    """

    def __init__(
        self, rng: np.random.Generator, ellipse: Ellipse, shape: tuple[int, int], hc_mm: float
    ) -> None:
        self.rng, self.ellipse, self.shape = rng, ellipse, shape
        height, width = shape
        y, x = np.mgrid[:height, :width].astype(np.float32)
        dx, dy = x - ellipse.center_x_px, y - ellipse.center_y_px
        inverse = np.linalg.inv(ellipse.shape_matrix()).astype(np.float32)
        self.u = inverse[0, 0] * dx + inverse[0, 1] * dy
        self.v = inverse[1, 0] * dx + inverse[1, 1] * dy
        self.polar_angle = np.arctan2(self.v, self.u)
        rim = ellipse.signed_distance(x, y) / ellipse.semi_minor_px
        self.rim: Field = rim.astype(np.float32)
        # The probe's surface is an arc through the top of the image with its centre above.
        self.origin_x = 0.5 * width + 0.3 * (ellipse.center_x_px - 0.5 * width)
        self.probe_px = rng.uniform(0.35, 0.8) * height
        self.range_px = np.hypot(x - self.origin_x, y + self.probe_px)
        self.beam = np.arctan2(x - self.origin_x, y + self.probe_px)
        self.depth = (self.range_px - self.probe_px) / height
        # Early heads lie in fluid and have no hard skull yet.
        self.early = float(np.clip((125.0 - hc_mm) / 45.0, 0.0, 1.0))

    def draw(self) -> GrayImage:
        """Return the finished scan, shape (height, width), uint8."""
        inside = _step(-self.rim, 0.015)
        echo = self._surroundings() * (1 - inside) + self._brain() * inside
        echo = np.maximum(echo, 0.0) + self._skull()
        echo *= self._gain() * self._speckle()
        echo[~self._in_sector()] = 0.0
        # Bright echoes saturate softly, as with log compression.
        gray: Field = 255.0 * (1 - np.exp(-1.25 * echo))
        height, width = self.shape
        bar = slice(int(0.04 * height), int(0.35 * height))
        gray[bar, 2 : 2 + width // 100] = np.linspace(255, 0, bar.stop - bar.start)[:, None]
        return np.clip(np.round(gray), 0, 255).astype(np.uint8)

    def _surroundings(self) -> Field:
        """Return layered maternal tissue above, the uterus around, and fluid beside the head."""
        tissue = 0.17 + 0.06 * self._texture(0.08, 0.12) + 0.05 * self._texture(0.012, 0.05)
        head_top = float(self.depth[self.rim < 0].min())
        layers = np.interp(
            self.depth + 0.006 * self._texture(0.1, 0.2),
            np.linspace(-0.2, 1.5, 120),
            np.convolve(self.rng.standard_normal(120), [0.5, 1.0, 0.5], "same"),
        )
        wall = _step(0.8 * head_top - self.depth, 0.02)
        tissue += wall * (0.20 + 0.10 * layers)
        fluid = np.zeros(self.shape, dtype=np.float32)
        ripple = 0.12 * self._texture(0.03, 0.03)
        for side in (-1.0, 1.0):
            at_u, at_v = side * self.rng.uniform(1.1, 1.3), self.rng.uniform(-0.5, 0.3)
            du = (self.u - at_u) / self.rng.uniform(0.16, 0.3)
            dv = (self.v - at_v) / self.rng.uniform(0.3, 0.5)
            fluid = np.maximum(fluid, _step(1 + ripple - np.hypot(du, dv), 0.15))
        shore = 0.32 + 0.16 * self._texture(0.2, 0.2)
        fluid = np.maximum(fluid, self.early * _step(shore - self.rim, 0.05))
        return np.asarray(tissue * (1 - 0.93 * fluid))

    def _brain(self) -> Field:
        """Return dark tissue with a broken midline, and plexus and ventricle in the far half."""
        level = 0.10 + 0.17 * self.early
        brain: Field = level * (
            1 + 0.25 * self._texture(0.05, 0.07) + 0.15 * self._texture(0.008, 0.02)
        )
        far = 1.0 if math.cos(self.ellipse.angle_rad) > 0 else -1.0
        rng = self.rng
        plexus = self._blob(-0.35 * far, 0.36 * far, rng.uniform(0.16, 0.24), 0.13)
        ventricle = self._blob(-0.1 * far, 0.42 * far, 0.5, 0.2) * (1 - plexus)
        brain = brain * (1 - 0.5 * ventricle) + (0.16 + 0.08 * self.early) * plexus
        line = np.exp(-(((self.v - 0.02 * np.sin(4 * self.u)) / 0.016) ** 2))
        for _ in range(int(rng.integers(4, 7))):
            at, half = rng.uniform(-0.7, 0.7), rng.uniform(0.05, 0.14)
            part = _step(half - np.abs(self.u - at), 0.02)
            brain += rng.uniform(0.15, 0.45) * (1 - 0.6 * self.early) * line * part
        for _ in range(int(rng.integers(8, 14))):  # sulci and vessels
            u, v, length = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), rng.uniform(0.03, 0.1)
            brain += rng.uniform(0.05, 0.2) * self._blob(u, v, length, 0.02)
        return brain

    def _skull(self) -> Field:
        """Return two bright arcs where the beam is perpendicular to the bone, fading sideways."""
        rng = self.rng
        thickness = rng.uniform(0.024, 0.032)
        cos, sin = math.cos(self.ellipse.angle_rad), math.sin(self.ellipse.angle_rad)
        normal_u = self.u / self.ellipse.semi_major_px
        normal_v = self.v / self.ellipse.semi_minor_px
        normal_x, normal_y = cos * normal_u - sin * normal_v, sin * normal_u + cos * normal_v
        facing = np.abs(normal_x * np.sin(self.beam) + normal_y * np.cos(self.beam))
        facing /= np.maximum(np.hypot(normal_x, normal_y), 1e-9)
        # Lateral resolution is lower than axial: at the sides the bone is blurred outwards.
        middle, spread = 0.020 + 0.016 * facing, thickness * (1.35 - 0.35 * facing)
        band = np.exp(-0.5 * ((self.rim + middle) / spread) ** 2)
        bright = 0.16 + (0.95 - 0.35 * self.early) * facing**2.5
        knots = 0.12 * rng.standard_normal(24)
        around = (self.polar_angle / (2 * math.pi) % 1.0) * len(knots)
        bright *= 1 + np.interp(around, np.arange(len(knots) + 1), [*knots, knots[0]])
        for _ in range(int(rng.integers(1, 4))):  # sutures
            angle, depth = rng.uniform(-math.pi, math.pi), rng.uniform(0.3, 0.7)
            off = 2 - 2 * np.cos(self.polar_angle - angle)  # the angle's square, periodic
            bright *= 1 - depth * np.exp(-off / rng.uniform(0.03, 0.08) ** 2)
        return np.asarray(bright * band)

    def _gain(self) -> Field:
        """Return depth gain, and shadows beside the head and below bony fragments."""
        rng = self.rng
        knots = 1 + 0.10 * rng.standard_normal(7)
        gain = np.interp(self.depth, np.linspace(0, 1.2, 7), knots)
        gain *= np.exp(-rng.uniform(0.1, 0.5) * self.depth)
        head = self.rim < 0
        edges = (float(self.beam[head].min()), float(self.beam[head].max()))
        middle = float(self.depth[head].mean())
        for edge in edges:  # refraction at the head's sides
            shadow = np.exp(-(((self.beam - edge) / 0.035) ** 2)) * _step(self.depth - middle, 0.06)
            gain *= 1 - rng.uniform(0.3, 0.6) * shadow
        for side in (-1, 1):
            at = (edges[0] if side < 0 else edges[1]) + side * rng.uniform(0.06, 0.14)
            lit = np.exp(-(((self.beam - at) / 0.05) ** 2))
            start = rng.uniform(0.3, 0.7)
            gain *= 1 + 0.9 * lit * np.exp(-(((self.depth - start) / 0.02) ** 2))
            gain *= 1 - 0.6 * lit * _step(self.depth - start - 0.03, 0.02)
        return np.asarray(np.maximum(gain, 0.1))

    def _in_sector(self) -> npt.NDArray[np.bool_]:
        head = np.abs(self.beam[self.rim < 0.05])
        half = max(float(head.max()) + self.rng.uniform(0.02, 0.08), 0.45)
        near = self.rng.uniform(0.0, 0.03)
        far = max(float(self.depth[self.rim < 0.05].max()) + 0.03, self.rng.uniform(0.97, 1.1))
        in_range = (self.depth > near) & (self.depth < far)
        return np.asarray((np.abs(self.beam) < half) & in_range)

    def _speckle(self) -> Field:
        """Return compressed Rayleigh amplitudes, correlated along the arcs, of mean about 1."""
        height, width = self.shape
        fine = math.sqrt(height / 540)
        widest = float(np.abs(self.beam).max())
        rows = int(self.range_px.max() - self.probe_px) + 8
        columns = int(1.3 * width * widest)
        parts = [
            cv2.GaussianBlur(noise, (0, 0), sigmaX=3.2 * fine, sigmaY=1.35 * fine)
            for noise in self.rng.standard_normal((2, rows, columns), dtype=np.float32)
        ]
        amplitude = np.sqrt(parts[0] ** 2 + parts[1] ** 2)
        compressed = np.sqrt(amplitude / amplitude.mean())
        at_x = (self.beam / widest + 1) * (0.5 * columns)
        at_y = self.range_px - self.probe_px + 4
        mode = cv2.BORDER_REFLECT
        return np.asarray(cv2.remap(compressed, at_x, at_y, cv2.INTER_LINEAR, borderMode=mode))

    def _texture(self, along: float, across: float) -> Field:
        """Return smooth noise of mean 0 and SD 1; the lengths are in image heights."""
        height, width = self.shape
        # Smooth noise is generated at a lower resolution.
        step = max(1.0, min(along, across) * height / 3)
        rows, columns = math.ceil(height / step), math.ceil(width / step)
        noise = self.rng.standard_normal((rows, columns), dtype=np.float32)
        sigma_x, sigma_y = across * height / step, along * height / step
        smooth = cv2.GaussianBlur(noise, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y)
        smooth = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.asarray((smooth - smooth.mean()) / smooth.std())

    def _blob(self, u: float, v: float, radius_u: float, radius_v: float) -> Field:
        """Return a soft-edged ellipse in the head's coordinates, in [0, 1]."""
        radius = np.sqrt(((self.u - u) / radius_u) ** 2 + ((self.v - v) / radius_v) ** 2)
        return _step(1 - radius, 0.1)


def _step(x: Field, softness: float) -> Field:
    """Return 0 for x below 0 and 1 above, smooth over a few times ``softness``."""
    t = np.clip(0.5 + 0.3 / softness * x, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))
