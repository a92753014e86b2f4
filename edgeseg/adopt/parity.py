"""Does an adopted model compute what its original does? On phantoms and noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.adopt.original import FloatMap
from edgeseg.errors import ParityError
from edgeseg.images.frame import GrayImage
from edgeseg.network.port import read_metadata, read_port
from edgeseg.network.preprocess import preprocess
from edgeseg.network.session import open_data
from edgeseg.phantom.head import make_phantom

# The same network on the same numbers: only the order of onnxruntime's sums may differ.
TOLERANCES = {"fp32": 1e-5, "fp16": 2e-3, "int8": 1e-5}
BATCH_TOLERANCE = 1e-4  # a batch of two takes its sums in another order; as in `verify`
_TIE = 1e-4  # a pixel whose two best answers are nearer than this may be decided either way
_PHANTOM_SEEDS = (80, 81, 82)


def make_images(height: int, width: int) -> list[GrayImage]:
    """Return test images of a size, (1, 1, height, width), uint8: phantoms and noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 13), dtype=np.uint8)
    scans = [make_phantom(seed, height=270, width=400).image for seed in _PHANTOM_SEEDS]
    noise = rng.integers(0, 256, (height, width), dtype=np.uint8)
    smooth = np.asarray(cv2.resize(coarse, (width, height)), dtype=np.uint8)
    stretched = (preprocess(scan, height, width) for scan in scans)
    return [*stretched, noise[None, None], smooth[None, None]]


class Adopted:
    """A file's bytes, opened and fed as edgeseg does.

    Raises
    ------
    ModelError
        If it cannot be opened.
    """

    def __init__(self, data: bytes, path: Path) -> None:
        self._session = open_data(path, data)
        self._port = read_port(self._session, read_metadata(self._session, path))

    def run(self, tensor: GrayImage) -> FloatMap:
        """Return the probabilities of images, (N, 1, h, w), uint8; `ModelError` if that fails."""
        return self._port.run(self._session, tensor).maps

    def run_each(self, images: Sequence[GrayImage]) -> list[FloatMap]:
        """Return the probabilities of each image, run by itself."""
        return [self.run(tensor) for tensor in images]


def batch_difference(model: Adopted, images: Sequence[GrayImage]) -> float:
    """Return how far the answers to two images at once are from those to each of them."""
    pair = [images[0], images[-2]]  # a scan and noise, which no network takes for each other
    together = model.run(np.concatenate(pair))
    alone = np.concatenate(model.run_each(pair))
    if together.shape != alone.shape:
        return np.inf
    return float(np.abs(together - alone).max())


def compare(
    got: Sequence[FloatMap],
    expected: Sequence[FloatMap],
    threshold: float,
    exclusive: bool,
    tolerance: float,
) -> float:
    """Return the largest difference of probabilities, or raise if they or the masks differ."""
    shapes = [[list(m.shape) for m in maps] for maps in (got, expected)]
    if shapes[0] != shapes[1]:
        raise ParityError(
            f"the adopted model gives maps of shape {shapes[0][0]}, its source of {shapes[1][0]}; "
            "no file was written"
        )
    difference = max(float(np.abs(a - b).max()) for a, b in zip(got, expected, strict=True))
    n_other = sum(
        _count_changed(a, b, threshold, exclusive) for a, b in zip(got, expected, strict=True)
    )
    if not difference <= tolerance or n_other:
        raise ParityError(
            f"the adopted model is not its source: probabilities differ by up to {difference:.2g} "
            f"(allowed {tolerance:g}), and {n_other} pixels of {len(got)} images have another "
            "class; no file was written"
        )
    return difference


def label_pixels(
    probability: FloatMap, threshold: float, exclusive: bool
) -> tuple[npt.NDArray[np.intp], FloatMap]:
    """Return each pixel's class and how clear it is.

    Parameters
    ----------
    probability
        Shape (N, C, h, w): a map for each structure.
    threshold
        Probability from which a pixel is of a structure, where classes do not exclude each other.
    exclusive
        Whether the background has what the maps leave of 1 and the likeliest class wins.

    Returns
    -------
    labels : ndarray, shape (N, h, w)
        0 for the background, or a structure's number from 1 on.
    margin : ndarray, shape (N, h, w)
        How far the second best answer is behind.
    """
    if exclusive:
        background = 1 - probability.sum(axis=1, keepdims=True)
    else:
        background = np.full_like(probability[:, :1], threshold)
    ranked = np.concatenate([background, probability], axis=1)
    best_two = np.sort(ranked, axis=1)[:, -2:]
    return ranked.argmax(axis=1), best_two[:, 1] - best_two[:, 0]


def _count_changed(got: FloatMap, expected: FloatMap, threshold: float, exclusive: bool) -> int:
    ours, _ = label_pixels(got, threshold, exclusive)
    theirs, margin = label_pixels(expected, threshold, exclusive)
    return int(np.count_nonzero((ours != theirs) & (margin >= _TIE)))
