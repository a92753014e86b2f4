"""A synthetic data set of two structures that are not ellipses, with their masks.

A dark lobed ``cyst`` and a bright ``crescent`` in speckled tissue, which represent no organ.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.drawing.encode import encode
from edgeseg.system.files import claim, csv_text, write_atomic

if TYPE_CHECKING:
    from edgeseg.images.frame import GrayImage

CLASSES = ("background", "cyst", "crescent")
IMAGES_A_PATIENT = 3
_EMPTY_EVERY = 15  # one image in 15 has neither structure
_ONE_EVERY = 5  # one image in 5 lacks one of them

Field = npt.NDArray[np.float32]


class Shapes(NamedTuple):
    """A synthetic scan and its ground truth."""

    file: str  # such as ``p007_2.png``, of patient ``p007``
    patient: str  # whose images share a texture
    image: GrayImage  # shape (height, width), uint8
    mask: npt.NDArray[np.uint8]  # the same shape, indices of `CLASSES`
    pixel_size_mm: float


def make_shapes(number: int, seed: int = 0, *, height: int = 256, width: int = 384) -> Shapes:
    """Draw image ``number`` of the set; the same arguments give the same image."""
    patient, view = divmod(number, IMAGES_A_PATIENT)
    of_patient = np.random.default_rng((seed, patient))
    rng = np.random.default_rng((seed, patient, view, 1))
    tissue, contrast, grain = of_patient.uniform([0.30, 0.8, 0.8], [0.45, 1.0, 1.6])
    pixel_size_mm = round(float(of_patient.uniform(0.15, 0.4)), 3)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    mask = np.zeros((height, width), dtype=np.uint8)
    level = tissue * (1 + 0.35 * _smooth(rng, height, width, 0.12 * height))
    lacks = int(rng.integers(1, 3)) if number % _ONE_EVERY == 1 else 0
    if number % _EMPTY_EVERY != _EMPTY_EVERY - 1:
        # Side by side, so that neither hides the other.
        for kind, side in zip((1, 2), rng.permutation([0.27, 0.73]), strict=True):
            if kind == lacks:
                continue
            x, y = width * (side + rng.uniform(-0.04, 0.04)), height * rng.uniform(0.4, 0.6)
            size = height * rng.uniform(0.19, 0.27)
            inside = (_lobed if kind == 1 else _crescent)(rng, columns - x, rows - y, size)
            mask[inside] = kind
            level[inside] = 0.06 if kind == 1 else 0.85 * contrast
    speckle = _speckle(rng, height, width, float(grain))
    depth = 1 - 0.25 * rows / height
    image = np.clip(255 * cv2.GaussianBlur(level, (0, 0), 0.8) * depth * speckle, 0, 255)
    name = f"p{patient:03d}"
    return Shapes(f"{name}_{view}.png", name, image.astype(np.uint8), mask, pixel_size_mm)


def write_pairs(
    folder: Path, count: int, *, height: int = 256, width: int = 384, overwrite: bool = False
) -> None:
    """Write a data set that `edgeseg.score.labelled` reads, with patients and pixel sizes.

    Raises `OutputExistsError` if the folder is not empty, `OutputWriteError` if it is not writable.
    """
    claim(folder, overwrite)
    groups, sizes = [("file", "group")], [("filename", "pixel size(mm)")]
    for number in range(count):
        shapes = make_shapes(number, height=height, width=width)
        write_atomic(folder / "images" / shapes.file, encode(".png", shapes.image))
        write_atomic(folder / "masks" / shapes.file, encode(".png", shapes.mask, is_mask=True))
        groups.append((shapes.file, shapes.patient))
        sizes.append((shapes.file, repr(shapes.pixel_size_mm)))
    write_atomic(folder / "groups.csv", csv_text(groups).encode())
    write_atomic(folder / "pixel_sizes.csv", csv_text(sizes).encode())
    write_atomic(folder / "classes.txt", ("\n".join(CLASSES) + "\n").encode())


def _lobed(rng: np.random.Generator, x: Field, y: Field, size: float) -> npt.NDArray[np.bool_]:
    """Return the pixels of a blob with three to five lobes."""
    angle = np.arctan2(y, x)
    radius = np.ones_like(x)
    for lobes in (int(rng.integers(3, 6)), 2):
        radius += rng.uniform(0.12, 0.22) * np.cos(lobes * angle + rng.uniform(0, 2 * math.pi))
    return np.asarray(np.hypot(x, y) < size * radius)


def _crescent(rng: np.random.Generator, x: Field, y: Field, size: float) -> npt.NDArray[np.bool_]:
    """Return the pixels of a disc minus another disc."""
    towards, bite = rng.uniform(0, 2 * math.pi), rng.uniform(0.55, 0.75)
    shift = size * rng.uniform(0.6, 0.8)
    x_bite, y_bite = x - shift * math.cos(towards), y - shift * math.sin(towards)
    is_bitten = np.hypot(x_bite, y_bite) <= 1.15 * bite * size
    return np.asarray((np.hypot(x, y) < 1.15 * size) & ~is_bitten)


def _smooth(rng: np.random.Generator, height: int, width: int, sigma: float) -> Field:
    """Return smooth noise of mean 0 and SD 1."""
    noise = rng.standard_normal((height, width), dtype=np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), sigma)
    return np.asarray((blurred - blurred.mean()) / blurred.std())


def _speckle(rng: np.random.Generator, height: int, width: int, grain: float) -> Field:
    """Return compressed Rayleigh amplitudes of mean 1."""
    parts = [_smooth(rng, height, width, grain) for _ in range(2)]
    amplitude = np.sqrt(np.hypot(*parts))
    return np.asarray(amplitude / amplitude.mean())
