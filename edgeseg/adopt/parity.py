"""Does a wrapped model compute what the float model does? On phantoms and noise."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from edgeseg.adopt.float_model import IMAGE, FloatMap, Plan
from edgeseg.errors import ModelError, ParityError
from edgeseg.images.frame import GrayImage
from edgeseg.network.preprocess import preprocess
from edgeseg.network.session import session_options
from edgeseg.phantom.head import make_phantom
from edgeseg.system.text import first_line

# The same network on the same numbers: only the order of onnxruntime's sums may differ.
TOLERANCES = {"fp32": 1e-5, "fp16": 2e-3, "int8": 1e-5}
BATCH_TOLERANCE = 1e-4  # a batch of two takes its sums in another order; as in `verify`
_TIE = 1e-4  # a pixel whose two best answers are nearer than this may be decided either way
_PHANTOM_SEEDS = (80, 81, 82)


def find_images(plan: Plan) -> list[GrayImage]:
    """Return images of the network's size, (1, 1, h, w), uint8: phantoms and noise."""
    rng = np.random.default_rng(0)
    size = plan.height, plan.width
    coarse = rng.integers(0, 256, (9, 13), dtype=np.uint8)
    scans = [make_phantom(seed, height=270, width=400).image for seed in _PHANTOM_SEEDS]
    noise = rng.integers(0, 256, size, dtype=np.uint8)
    smooth = np.asarray(cv2.resize(coarse, size[::-1]), dtype=np.uint8)
    return [*(preprocess(scan, *size) for scan in scans), noise[None, None], smooth[None, None]]


def open_wrapped(data: bytes) -> onnxruntime.InferenceSession:
    """Open a wrapped model's bytes in onnxruntime, on the CPU; `ModelError` if that fails."""
    try:
        return onnxruntime.InferenceSession(
            data, session_options(None, spin=False), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own exceptions share no base but this
        raise ModelError(
            f"onnxruntime does not load the wrapped model ({first_line(error)})"
        ) from error


def run(session: onnxruntime.InferenceSession, tensor: GrayImage) -> FloatMap:
    """Return the probabilities of images, (N, 1, h, w), uint8; `ModelError` if that fails."""
    try:
        (probability,) = session.run(None, {IMAGE: tensor})
    except Exception as error:  # as above
        raise ModelError(
            f"onnxruntime does not run the wrapped model ({first_line(error)})"
        ) from error
    return np.asarray(probability)


def run_each(session: onnxruntime.InferenceSession, images: Sequence[GrayImage]) -> list[FloatMap]:
    """Return the probabilities of each image, run by itself."""
    return [run(session, tensor) for tensor in images]


def batch_difference(session: onnxruntime.InferenceSession, images: Sequence[GrayImage]) -> float:
    """Return how far the answers to two images at once are from those to each of them."""
    pair = [images[0], images[-2]]  # a scan and noise, which no network takes for each other
    together = run(session, np.concatenate(pair))
    alone = np.concatenate(run_each(session, pair))
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
            f"the wrapped model gives maps of shape {shapes[0][0]}, its source of {shapes[1][0]}; "
            "no file was written"
        )
    difference = max(float(np.abs(a - b).max()) for a, b in zip(got, expected, strict=True))
    n_other = sum(
        _n_decided_otherwise(a, b, threshold, exclusive) for a, b in zip(got, expected, strict=True)
    )
    if not difference <= tolerance or n_other:
        raise ParityError(
            f"the wrapped model is not its source: probabilities differ by up to {difference:.2g} "
            f"(allowed {tolerance:g}), and {n_other} pixels of {len(got)} images have another "
            "class; no file was written"
        )
    return difference


def labels(
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


def _n_decided_otherwise(
    got: FloatMap, expected: FloatMap, threshold: float, exclusive: bool
) -> int:
    ours, _ = labels(got, threshold, exclusive)
    theirs, margin = labels(expected, threshold, exclusive)
    return int(np.count_nonzero((ours != theirs) & (margin >= _TIE)))
