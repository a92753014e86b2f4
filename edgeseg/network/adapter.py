"""How a network of foreign make is fed, and how its output is read as probabilities."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ModelError
from edgeseg.images.frame import GrayImage
from edgeseg.network.task import is_number, require

Maps = npt.NDArray[np.float32]
PROBABILITY = "probability"
"""The output with the maps of a model that edgeseg exports."""
BYTES = "uint8"
TENSOR_TYPES = {
    BYTES: "tensor(uint8)",
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "float64": "tensor(double)",
}
"""onnxruntime's name of each input type."""
LAYOUTS = ("nchw", "nhwc")
ACTIVATIONS = ("sigmoid", "softmax", "none", "indices")
NORMALISATIONS = ("zscore", "max")
CHANNELS = (1, 3)
LARGEST_BATCH = 1024  # of a graph that takes no other: one image is filled up to it
_ALLOWED = {
    "type": TENSOR_TYPES,
    "layout": LAYOUTS,
    "channels": CHANNELS,
    "normalise": (None, *NORMALISATIONS),
    "output_layout": (*LAYOUTS, "nhw"),
    "activation": ACTIVATIONS,
    "has_background": (False, True),
    "enlarge": range(1, LARGEST_BATCH + 1),
    "batch": (None, *range(1, LARGEST_BATCH + 1)),
}
_LARGEST = 1e30  # of a mean, a scale or an SD, which float32 holds; the smallest is 1 over it
_SMALLEST_SD = np.float32(1e-8)  # gray values; for an image of one gray value


@dataclass(frozen=True, slots=True)
class Adapter:
    """What stands between gray images and a network with an input and output of its own.

    The defaults are those of a model that edgeseg exports, which needs no change of either. Bytes
    go in as they are; a float network sees ``(gray / scale - mean) / sd``.
    """

    output: str = PROBABILITY  # name of the output that holds the maps
    type: str = BYTES  # of the input, a key of `TENSOR_TYPES`
    layout: str = "nchw"  # axes of the input, one of `LAYOUTS`
    channels: int = 1  # each of which gets the gray image
    scale: float = 255.0
    mean: tuple[float, ...] = (0.0,)  # for each channel
    sd: tuple[float, ...] = (1.0,)
    # what takes the place of ``gray / scale``: ``zscore`` (less the image's own mean, over its own
    # SD) or ``max`` (over its own largest value)
    normalise: str | None = None
    output_layout: str = "nchw"  # or ``nhwc``, or ``nhw`` of an output without an axis for its maps
    # what makes probabilities of the output, one of `ACTIVATIONS`; ``indices``: each pixel's class
    activation: str = "none"
    has_background: bool = False  # whether the first map is the background's, which is left out
    enlarge: int = 1  # input pixels a side that a pixel of the maps covers; enlarged bilinearly
    batch: int | None = None  # images in one run; None for any number, or the one the graph says

    def input_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Return the input's shape for one image, without the batch's axis."""
        if self.layout == "nhwc":
            return height, width, self.channels
        return self.channels, height, width

    def make_input(self, gray: GrayImage) -> npt.NDArray[Any]:
        """Return the network's input, of its type and layout, from (N, 1, h, w), uint8."""
        values: npt.NDArray[Any] = np.repeat(gray, self.channels, axis=1)
        if self.type != BYTES:
            values = self._normalize(values.astype(np.float32)).astype(self.type)
        if self.layout == "nhwc":
            values = values.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(values)

    def _normalize(self, values: Maps) -> Maps:
        axes = (1, 2, 3)
        if self.normalise == "zscore":
            mean = values.mean(axis=axes, keepdims=True, dtype=np.float64).astype(np.float32)
            sd = values.std(axis=axes, keepdims=True, dtype=np.float64).astype(np.float32)
            values = (values - mean) / np.maximum(sd, _SMALLEST_SD)
        elif self.normalise == "max":
            values = values / np.maximum(values.max(axis=axes, keepdims=True), 1)
        else:
            values = values / np.float32(self.scale)
        mean, sd = (np.array(v, np.float32).reshape(1, -1, 1, 1) for v in (self.mean, self.sd))
        return (values - mean) / sd

    def read_maps(self, output: npt.NDArray[Any], n_structures: int) -> Maps:
        """Return a map of probabilities for each structure, (N, C, h, w), float32.

        ``output`` has the axes of ``output_layout``, and the background is no structure.
        `ModelError` if it holds a class index of none.
        """
        output = channels_first(self.output_layout, output)
        if self.activation == "indices":
            return self._enlarge(_split_classes(output, n_structures))
        maps = np.asarray(output, dtype=np.float32)
        if self.activation == "sigmoid":
            maps = np.reciprocal(1 + np.exp(-np.clip(maps, -80, 80)))  # beyond, float32 overflows
        elif self.activation == "softmax":
            maps = np.exp(maps - maps.max(axis=1, keepdims=True))
            maps /= maps.sum(axis=1, keepdims=True)
        return self._enlarge(maps[:, 1:] if self.has_background else maps)

    def _enlarge(self, maps: Maps) -> Maps:
        if self.enlarge == 1:
            return maps
        size = maps.shape[3] * self.enlarge, maps.shape[2] * self.enlarge
        return np.array(
            [[cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in m] for m in maps]
        )


def channels_first(layout: str, output: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an output of a layout, an `Adapter`'s ``output_layout``, as (N, maps, h, w)."""
    if layout == "nhw":
        return output[:, None]
    return output.transpose(0, 3, 1, 2) if layout == "nhwc" else output


def _split_classes(indices: npt.NDArray[Any], n_structures: int) -> Maps:
    if not ((indices >= 0) & (indices <= n_structures)).all():
        raise ModelError(
            f"the network answers with classes from {indices.min()} to {indices.max()}; expected "
            f"0 to {n_structures}"
        )
    classes = np.arange(1, n_structures + 1).reshape(1, -1, 1, 1)
    return np.asarray(indices == classes, dtype=np.float32)


def read_adapter(value: Any) -> Adapter:
    """Parse what metadata holds under ``adapter``; `ModelError` if it is none."""
    names = {field.name for field in fields(Adapter)}
    require(isinstance(value, dict) and names <= value.keys(), value, "adapter")
    given: dict[str, Any] = {
        name: tuple(v) if isinstance(v := value[name], list) else v for name in names
    }
    fits = {
        name: any(type(given[name]) is type(each) and given[name] == each for each in allowed)
        for name, allowed in _ALLOWED.items()
    }
    fits["output"] = isinstance(given["output"], str)
    for name, low in (("scale", 1 / _LARGEST), ("mean", -_LARGEST), ("sd", 1 / _LARGEST)):
        numbers = (given[name],) if name == "scale" else given[name]
        fits[name] = (
            isinstance(numbers, tuple)
            and len(numbers) in (1, given["channels"])
            and all(is_number(number, low) and number <= _LARGEST for number in numbers)
        )
    for name, holds in fits.items():
        require(holds, given[name], f"adapter's {name}")
    return Adapter(**given)


def preprocess(gray: GrayImage, height: int, width: int) -> GrayImage:
    """Stretch a gray image to a network's input.

    Area averaging where the image shrinks, linear interpolation where it grows; the aspect ratio
    is not kept, so that every pixel of the input carries image. Takes shape (H, W), uint8, and
    returns shape (1, 1, height, width), uint8.
    """
    shrinks = gray.shape[0] >= height and gray.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(gray, (width, height), interpolation=how)
    tensor: GrayImage = np.ascontiguousarray(resized, dtype=np.uint8)[None, None]
    return tensor
