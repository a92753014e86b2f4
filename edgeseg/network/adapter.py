"""How a network of foreign make is fed, and what its output means: what metadata says of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from edgeseg.network.checks import is_number, require

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
PER_IMAGE = ("z-score", "maximum")
CHANNELS = (1, 3)
_ALLOWED = {
    "type": TENSOR_TYPES,
    "layout": LAYOUTS,
    "channels": CHANNELS,
    "per_image": (None, *PER_IMAGE),
    "output_layout": (*LAYOUTS, "nhw"),
    "activation": ACTIVATIONS,
    "has_background": (False, True),
}
LARGEST_BATCH = 1024  # of a graph that takes no other: one image is filled up to it


@dataclass(frozen=True, slots=True)
class Adapter:
    """What stands between gray images and a network with an input and output of its own.

    The defaults are those of a model that edgeseg exports, which needs no change of either.

    Attributes
    ----------
    output
        Name of the output that holds the maps.
    type
        Of the input, a key of `TENSOR_TYPES`. Bytes go in as they are.
    layout, channels
        Axes of the input, one of `LAYOUTS`, and its channels, each of which gets the gray image.
    scale, mean, sd
        A float network sees ``(gray / scale - mean) / sd``; mean and SD for each channel.
    per_image
        None, or what takes the place of ``gray / scale``: ``z-score`` (less the image's own mean,
        over its own SD) or ``maximum`` (over its own largest value).
    output_layout
        ``nchw``, ``nhwc``, or ``nhw`` of an output without an axis for its maps.
    activation
        What makes probabilities of the output: ``sigmoid``, ``softmax``, ``none``, or ``indices``
        of one map with each pixel's class.
    has_background
        Whether the first map is the background's, which is left out.
    enlarge
        How many input pixels a side a pixel of the maps covers; they are enlarged bilinearly.
    batch
        Images in one run; None for any number, or the one that the graph says.
    """

    output: str = PROBABILITY
    type: str = BYTES
    layout: str = "nchw"
    channels: int = 1
    scale: float = 255.0
    mean: tuple[float, ...] = (0.0,)
    sd: tuple[float, ...] = (1.0,)
    per_image: str | None = None
    output_layout: str = "nchw"
    activation: str = "none"
    has_background: bool = False
    enlarge: int = 1
    batch: int | None = None

    def input_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Return the input's shape for one image, without the batch's axis."""
        if self.layout == "nhwc":
            return height, width, self.channels
        return self.channels, height, width


def read_adapter(value: Any) -> Adapter:
    """Parse what a model's metadata holds under ``adapter``.

    Raises
    ------
    ModelError
        If it cannot be one.
    """
    names = {field.name for field in fields(Adapter)}
    require(isinstance(value, dict) and names <= value.keys(), value, "adapter")
    given: dict[str, Any] = {
        name: tuple(v) if isinstance(v := value[name], list) else v for name in names
    }
    for name, allowed in _ALLOWED.items():
        fits = any(type(given[name]) is type(each) and given[name] == each for each in allowed)
        require(fits, given[name], f"adapter's {name}")
    require(isinstance(given["output"], str), given["output"], "adapter's output")
    require(_is_size(given["scale"]), given["scale"], "adapter's scale")
    for name, fit in (("mean", _is_offset), ("sd", _is_size)):
        values = given[name]
        fits = isinstance(values, tuple) and len(values) in (1, given["channels"])
        require(fits and all(map(fit, values)), values, f"adapter's {name}")
    for name, number in (("enlarge", given["enlarge"]), ("batch", given["batch"] or 1)):
        fits = type(number) is int and 1 <= number <= LARGEST_BATCH and given[name] != 0
        require(fits, given[name], f"adapter's {name}")
    return Adapter(**given)


def _is_offset(value: Any) -> bool:
    return is_number(value, -1e30) and value < 1e30  # which float32 can hold


def _is_size(value: Any) -> bool:
    return _is_offset(value) and value > 1e-30
