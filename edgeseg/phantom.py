"""Synthetic B-mode images of fetal heads whose ellipse is known exactly.

They stand in for scans where none may be shipped: in the demo, in tests and in benchmarks without
data. No shipped model is trained on them.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg import image
from edgeseg.files import write_atomic
from edgeseg.geometry import Ellipse
from edgeseg.hc18 import ANNOTATION_SUFFIX, CSV_NAME
from edgeseg.image import GrayImage

Field = npt.NDArray[np.float32]

_OUTLINE_HALF_WIDTH_PX = 1.5


@dataclass(frozen=True, slots=True)
class Phantom:
    """A synthetic scan.

    Attributes
    ----------
    name
        File name.
    image
        Shape (height, width), uint8.
    ellipse
        Outer border of the skull, native pixels.
    pixel_size_mm
        Millimetres per pixel.
    """

    name: str
    image: GrayImage
    ellipse: Ellipse
    pixel_size_mm: float

    @property
    def hc_mm(self) -> float:
        """True head circumference in millimetres."""
        return self.ellipse.circumference_px * self.pixel_size_mm

    def probability(self, height: int, width: int) -> Field:
        """Return what a perfect network of that input size would give: (height, width), float32."""
        coverage = self.ellipse.coverage(*self.image.shape)
        resized = cv2.resize(coverage, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(resized, dtype=np.float32)


def make_phantom(
    seed: int,
    *,
    height: int = 540,
    width: int = 800,
    pixel_size_mm: float | None = None,
    hc_mm: float | None = None,
    cut_by_border: bool = False,
    name: str | None = None,
) -> Phantom:
    """Draw a head in a sector of speckle; the same arguments always give the same image.

    Parameters
    ----------
    seed
        Decides shape, place, tissue and noise.
    height, width
        Size of the image, pixels.
    pixel_size_mm, hc_mm
        Drawn from the seed where not given; together they decide the size in pixels.
    cut_by_border
        Whether part of the outline lies outside the image.
    name
        File name; by default from the seed.
    """
    random = np.random.default_rng(seed)
    circumference_px = float(random.uniform(2.3, 3.0)) * height
    if pixel_size_mm is None:
        pixel_size_mm = float(random.uniform(0.06, 0.3)) * 540 / height
    if hc_mm is not None:
        circumference_px = hc_mm / pixel_size_mm
    ellipse = _place(random, circumference_px, height, width, cut_by_border)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    distance = ellipse.signed_distance(columns, rows).astype(np.float32)
    # depth along the beam from the probe above the image
    apex_x, apex_y = width * float(random.uniform(0.45, 0.55)), -0.35 * height
    beam = np.arctan2(columns - apex_x, rows - apex_y)
    depth = np.hypot(columns - apex_x, rows - apex_y) / height

    echo = _tissue(random, distance, ellipse, depth)
    echo += _skull(random, distance, ellipse, rows, columns, apex_x, apex_y)
    echo *= _shadows(random, beam, depth, distance)
    echo *= _speckle(random, height, width)
    inside = (np.abs(beam) < 0.62) & (depth > 0.37) & (depth < 1.33)
    level = np.log1p(22 * np.maximum(echo, 0)) / math.log(23)
    level *= cv2.GaussianBlur(inside.astype(np.float32), (0, 0), height / 400)
    gray = np.clip(np.round(255 * level), 0, 255).astype(np.uint8)
    return Phantom(name or f"phantom_{seed}.png", gray, ellipse, pixel_size_mm)


def demo_phantoms() -> list[Phantom]:
    """Return eight phantoms from 12 to 40 weeks' size; the last head is cut by the border."""
    sizes = ((70, 0.060), (105, 0.078), (140, 0.098), (175, 0.120))
    sizes += ((215, 0.150), (255, 0.175), (295, 0.205), (330, 0.235))
    return [
        make_phantom(
            i,
            pixel_size_mm=pixel_size_mm,
            hc_mm=hc_mm,
            cut_by_border=i == len(sizes),
            name=f"phantom_{i}.png",
        )
        for i, (hc_mm, pixel_size_mm) in enumerate(sizes, start=1)
    ]


def write_hc18(phantoms: Iterable[Phantom], folder: Path) -> None:
    """Write phantoms as an HC18-shaped folder: images, annotation outlines and the table.

    Raises
    ------
    OutputWriteError
        If a file cannot be written.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("filename", "pixel size(mm)", "head circumference (mm)"))
    for phantom in phantoms:
        path = folder / "training_set" / phantom.name
        height, width = phantom.image.shape
        rows, columns = np.mgrid[:height, :width]
        distance = np.abs(phantom.ellipse.signed_distance(columns, rows))
        outline = np.where(distance <= _OUTLINE_HALF_WIDTH_PX, 255, 0).astype(np.uint8)
        write_atomic(path, image.encode(".png", phantom.image))
        write_atomic(path.with_name(path.stem + ANNOTATION_SUFFIX), image.encode(".png", outline))
        writer.writerow((phantom.name, repr(phantom.pixel_size_mm), f"{phantom.hc_mm:.4f}"))
    write_atomic(folder / CSV_NAME, table.getvalue().encode())


def _place(
    random: np.random.Generator, circumference_px: float, height: int, width: int, cut: bool
) -> Ellipse:
    """Choose shape and place of a head of a given circumference."""
    ratio = float(random.uniform(0.74, 0.84))
    angle = float(random.uniform(-0.35, 0.35)) % math.pi
    unit = Ellipse(0.0, 0.0, 1.0, ratio, angle)
    semi_major = circumference_px / unit.circumference_px
    x = width * (0.5 + float(random.uniform(-0.02, 0.02)))
    y = height * (0.5 + float(random.uniform(-0.02, 0.02)))
    if cut:
        # a seventh of the head's height lies below the image
        reach = float(np.ptp(unit.points(360)[:, 1])) / 2 * semi_major
        y = height - reach * (1 - 2 / 7)
    return Ellipse(x, y, semi_major, semi_major * ratio, angle)


def _tissue(random: np.random.Generator, distance: Field, ellipse: Ellipse, depth: Field) -> Field:
    """Return echo of the mother's tissue, amniotic fluid, brain and midline, without speckle."""
    height, width = distance.shape
    coarse = _noise(random, height, width, height / 9)
    layers = np.sin(depth * float(random.uniform(55, 75)) + 2.0 * coarse)
    mother = 0.13 + 0.06 * coarse + 0.05 * layers * np.clip(1.1 - 1.2 * depth, 0, 1)
    # fluid lies in pockets along the head
    pocket = np.clip(1.4 * _noise(random, height, width, height / 5), 0, 1)
    near = np.exp(-((distance / (0.14 * height)) ** 2))
    outside = np.maximum(mother * (1 - 0.9 * pocket * near), 0.012)
    texture = _noise(random, height, width, height / 30)
    brain = 0.040 + 0.016 * texture + 0.010 * coarse
    for side in (-0.42, 0.42):  # lateral ventricles, darker
        brain *= 1 - 0.7 * _blob(ellipse, distance.shape, 0.15, side, 0.42, 0.16)
    brain += 0.10 * _blob(ellipse, distance.shape, -0.35, 0.0, 0.13, 0.16) * (0.6 + 0.4 * texture)
    brain += 0.22 * _blob(ellipse, distance.shape, 0.0, 0.0, 0.85, 0.012) * (0.75 + 0.4 * coarse)
    weight = np.clip(0.5 - distance / 2, 0, 1)
    tissue: Field = np.maximum(weight * brain + (1 - weight) * outside, 0.004).astype(np.float32)
    return tissue


def _skull(
    random: np.random.Generator,
    distance: Field,
    ellipse: Ellipse,
    rows: Field,
    columns: Field,
    apex_x: float,
    apex_y: float,
) -> Field:
    """Return the skull's echo: bright where the beam meets it squarely, faint at the sides."""
    height, width = distance.shape
    thickness = ellipse.semi_minor_px * float(random.uniform(0.028, 0.04))
    # the outline of the annotation runs along the outer border of the bone
    profile = np.exp(-(((distance + 0.75 * thickness) / (0.62 * thickness)) ** 2))
    normal_y, normal_x = np.gradient(distance)
    beam_x, beam_y = columns - apex_x, rows - apex_y
    square = np.abs(normal_x * beam_x + normal_y * beam_y) / np.hypot(beam_x, beam_y)
    brightness = 0.10 + 0.95 * np.clip(square, 0, 1) ** 3
    patches = 1 + 0.25 * _noise(random, height, width, height / 12)
    return (profile * brightness * np.maximum(patches, 0.3)).astype(np.float32)


def _shadows(random: np.random.Generator, beam: Field, depth: Field, distance: Field) -> Field:
    """Return the gain left by depth and by dark sectors behind bone and gas."""
    gain = np.exp(-0.55 * (depth - 0.4)).astype(np.float32)
    for _ in range(int(random.integers(1, 3))):
        middle = float(random.choice([-1, 1]) * random.uniform(0.34, 0.58))
        width = float(random.uniform(0.02, 0.06))
        start = float(random.uniform(0.4, 0.7))
        dark = np.exp(-(((beam - middle) / width) ** 2)) * (depth > start)
        gain *= (1 - float(random.uniform(0.4, 0.7)) * dark).astype(np.float32)
    # bone takes some of the sound: the head's inside is darker
    gain *= np.where(distance < 0, 0.85, 1.0).astype(np.float32)
    return gain


def _speckle(random: np.random.Generator, height: int, width: int) -> Field:
    """Return multiplicative speckle: the Rayleigh amplitude of a smoothed complex field, mean 1.

    After Burckhardt 1978, "Speckle in ultrasound B-mode scans"; wider across the beam than along.
    """
    sigma = height / 400
    parts = [
        cv2.GaussianBlur(
            random.standard_normal((height, width), dtype=np.float32),
            (0, 0),
            1.9 * sigma,
            None,
            sigma,
        )
        for _ in range(2)
    ]
    amplitude = np.hypot(parts[0], parts[1])
    speckle: Field = (0.25 + 0.75 * amplitude / amplitude.mean()).astype(np.float32)
    return speckle


def _noise(random: np.random.Generator, height: int, width: int, scale_px: float) -> Field:
    """Return smooth noise of mean 0 and SD 1 that varies over ``scale_px``."""
    step = max(scale_px, 1.0)
    small = (max(2, math.ceil(height / step) + 1), max(2, math.ceil(width / step) + 1))
    drawn = random.standard_normal(small, dtype=np.float32)
    smooth = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC)
    noise: Field = np.asarray((smooth - smooth.mean()) / (smooth.std() + 1e-6), dtype=np.float32)
    return noise


def _blob(
    ellipse: Ellipse,
    shape: tuple[int, ...],
    along: float,
    across: float,
    length: float,
    width: float,
) -> Field:
    """Return a soft spot in the head's own axes: place and half-widths as shares of its axes."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    dx, dy = columns - ellipse.center_x_px, rows - ellipse.center_y_px
    cos, sin = math.cos(ellipse.angle_rad), math.sin(ellipse.angle_rad)
    u = (dx * cos + dy * sin) / ellipse.semi_major_px - along
    v = (dy * cos - dx * sin) / ellipse.semi_minor_px - across
    spot: Field = np.exp(-((u / length) ** 4) - (v / width) ** 2).astype(np.float32)
    return spot
