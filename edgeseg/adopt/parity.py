"""Does an adopted model compute what its original does? On phantoms and noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edgeseg.adopt.original import FloatMap
from edgeseg.errors import ParityError
from edgeseg.images.frame import GrayImage
from edgeseg.network.port import read_metadata, read_port
from edgeseg.network.preprocess import preprocess
from edgeseg.network.session import open_data
from edgeseg.phantom.head import make_phantom

# The same network on the same numbers: only activations are rounded otherwise.
_TOLERANCE = 1e-5
BATCH_TOLERANCE = 1e-4  # a batch of two takes its sums in another order; as in `verify`
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


def check_parity(got: Sequence[FloatMap], expected: Sequence[FloatMap]) -> float:
    """Return the largest difference of probabilities.

    Raises
    ------
    ParityError
        If it is not within the tolerance, or the maps have other shapes.
    """
    shapes = [maps[0].shape for maps in (got, expected)]
    difference = np.inf
    if shapes[0] == shapes[1]:
        difference = max(float(np.abs(a - b).max()) for a, b in zip(got, expected, strict=True))
    if not difference <= _TOLERANCE:
        raise ParityError(
            f"the adopted model (maps {shapes[0]}) is not its source (maps {shapes[1]}): "
            f"probabilities differ by up to {difference:.2g} (allowed {_TOLERANCE:g}); no file was "
            "written"
        )
    return difference
