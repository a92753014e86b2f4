"""Gray images become a network's input, and its output probabilities, as an `Adapter` says."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ModelError
from edgeseg.images.frame import GrayImage
from edgeseg.network.adapter import BYTES, Adapter

Maps = npt.NDArray[np.float32]
_SMALLEST_SD = np.float32(1e-8)  # gray values; for an image of one gray value


def make_input(adapter: Adapter, gray: GrayImage) -> npt.NDArray[Any]:
    """Return a network's input.

    Parameters
    ----------
    gray
        Shape (N, 1, h, w), uint8.

    Returns
    -------
    ndarray, shape (N, channels, h, w) or (N, h, w, channels)
        Of the type that the network takes.
    """
    values: npt.NDArray[Any] = np.repeat(gray, adapter.channels, axis=1)
    if adapter.type != BYTES:
        values = _normalize(adapter, values.astype(np.float32)).astype(adapter.type)
    if adapter.layout == "nhwc":
        values = values.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(values)


def _normalize(adapter: Adapter, values: Maps) -> Maps:
    axes = (1, 2, 3)
    if adapter.per_image == "z-score":
        mean = values.mean(axis=axes, keepdims=True, dtype=np.float64).astype(np.float32)
        sd = values.std(axis=axes, keepdims=True, dtype=np.float64).astype(np.float32)
        values = (values - mean) / np.maximum(sd, _SMALLEST_SD)
    elif adapter.per_image == "maximum":
        values = values / np.maximum(values.max(axis=axes, keepdims=True), 1)
    else:
        values = values / np.float32(adapter.scale)
    mean, sd = (np.array(v, np.float32).reshape(1, -1, 1, 1) for v in (adapter.mean, adapter.sd))
    return (values - mean) / sd


def read_maps(adapter: Adapter, output: npt.NDArray[Any], n_structures: int) -> Maps:
    """Return a map of probabilities for each structure.

    Parameters
    ----------
    output
        What the network gives, with the axes of ``adapter.output_layout``.
    n_structures
        How many structures there are, the background not counted.

    Returns
    -------
    ndarray, shape (N, C, h, w), float32

    Raises
    ------
    ModelError
        If a class index is none of the classes'.
    """
    output = channels_first(adapter.output_layout, output)
    if adapter.activation == "indices":
        maps = _split_classes(output, n_structures)
    else:
        maps = np.asarray(output, dtype=np.float32)
    if adapter.activation == "sigmoid":
        maps = np.reciprocal(1 + np.exp(-np.clip(maps, -80, 80)))  # beyond, float32 overflows
    elif adapter.activation == "softmax":
        maps = np.exp(maps - maps.max(axis=1, keepdims=True))
        maps /= maps.sum(axis=1, keepdims=True)
    if adapter.has_background:
        maps = maps[:, 1:]
    if adapter.enlarge > 1:
        size = maps.shape[3] * adapter.enlarge, maps.shape[2] * adapter.enlarge
        maps = np.array(
            [[cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in m] for m in maps]
        )
    return maps


def channels_first(layout: str, output: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an output of a layout, an `Adapter`'s ``output_layout``, as (N, maps, h, w)."""
    if layout == "nhw":
        return output[:, None]
    return output.transpose(0, 3, 1, 2) if layout == "nhwc" else output


def _split_classes(indices: npt.NDArray[Any], n_structures: int) -> Maps:
    """Return a map for each structure, 1 where a pixel's class is its, (N, C, h, w)."""
    if not ((indices >= 0) & (indices <= n_structures)).all():
        raise ModelError(
            f"the network answers with classes from {indices.min()} to {indices.max()}; expected "
            f"0 to {n_structures}"
        )
    classes = np.arange(1, n_structures + 1).reshape(1, -1, 1, 1)
    return np.asarray(indices == classes, dtype=np.float32)
