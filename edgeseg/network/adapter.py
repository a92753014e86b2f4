"""How a network of foreign make is fed, and what its output means: what metadata says of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.system.text import short

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
    if not isinstance(value, dict) or not names <= value.keys():
        raise _unusable("adapter", value)
    given: dict[str, Any] = {
        name: tuple(v) if isinstance(v := value[name], list) else v for name in names
    }
    adapter = Adapter(**given)
    for name, allowed in (
        ("type", TENSOR_TYPES),
        ("layout", LAYOUTS),
        ("channels", CHANNELS),
        ("per_image", (None, *PER_IMAGE)),
        ("output_layout", (*LAYOUTS, "nhw")),
        ("activation", ACTIVATIONS),
        ("has_background", (False, True)),
    ):
        found = getattr(adapter, name)
        if not any(type(found) is type(each) and found == each for each in allowed):
            raise _unusable(f"adapter's {name}", found)
    if not isinstance(adapter.output, str):
        raise _unusable("adapter's output", adapter.output)
    if not (_are_numbers((adapter.scale,)) and adapter.scale > 0):
        raise _unusable("adapter's scale", adapter.scale)
    for name in ("mean", "sd"):
        if not _are_numbers(found := getattr(adapter, name), (1, adapter.channels)):
            raise _unusable(f"adapter's {name}", found)
    if min(adapter.sd) <= 0:
        raise _unusable("adapter's sd", adapter.sd)
    batch = 1 if adapter.batch is None else adapter.batch
    for name, number in (("enlarge", adapter.enlarge), ("batch", batch)):
        if not (type(number) is int and 1 <= number <= LARGEST_BATCH):
            raise _unusable(f"adapter's {name}", number)
    return adapter


def _are_numbers(values: Any, lengths: Sequence[int] = (1,)) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) in lengths
        and all(type(v) in (int, float) and abs(v) < 1e30 and math.isfinite(v) for v in values)
    )


def _unusable(name: str, value: object) -> ModelError:
    return ModelError(f"the model's metadata gives {short(value)} as its {name}")
