"""What a user says of a model of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from edgeseg.errors import ConfigError
from edgeseg.network.adapter import ACTIVATIONS, CHANNELS, LAYOUTS, PER_IMAGE

TASKS = ("regions", "head")
BACKGROUND = "background"


def _value(default: Any, help: str, **more: str) -> Any:
    return field(default=default, metadata={"help": help, **more})


@dataclass(frozen=True, slots=True)
class AdoptSpec:
    """What a user says of a model; None, or an empty tuple of classes, is seen from the model.

    The network sees ``(gray / scale - mean) / sd`` in each channel, gray from 0 to 255.
    """

    input_size: tuple[int, int] | None = _value(
        None, "input height and width; default: the graph's", name="--input", metavar="HxW"
    )
    channels: int | None = _value(None, "1 or 3, each filled with gray; default: the graph's")
    layout: str | None = _value(None, "of the input: nchw or nhwc; default: the graph's")
    scale: float | None = _value(None, "gray values are divided by this first; default 255")
    mean: tuple[float, ...] = _value((0.0,), "then subtracted: one value, or one a channel")
    sd: tuple[float, ...] = _value((1.0,), "then divided by: likewise")
    per_image: str | None = _value(
        None, "instead of --scale, by the image's own values: z-score or maximum"
    )
    activation: str | None = _value(
        None, "sigmoid (each map), softmax (over the maps, background first), none "
        "(probabilities) or indices (of classes); default: none for values from 0 to 1, indices "
        "for integers",
    )  # fmt: skip
    logits: bool = _value(False, "apply --activation even if values lie between 0 and 1")
    classes: tuple[str, ...] = _value(
        (), "the background's and each map's name: background,lesion", metavar="NAME,..."
    )
    output: str | None = _value(None, "name of the output with the maps, if there are several")
    task: str = _value("regions", "regions, or head: one map, of a fetal head")
    name: str | None = _value(None, "default: the file's")
    threshold: float = _value(0.5, "probability from which a pixel is of a structure")
    licence: str = _value("unknown", "terms of the model")

    @property
    def normalizes(self) -> bool:
        """Whether gray values are changed before the network sees them."""
        plain = self.scale is None and self.per_image is None
        return not plain or set(self.mean) != {0} or set(self.sd) != {1}

    def check(self) -> None:
        """Refuse values that no model can have.

        Raises
        ------
        ConfigError
            If there is one.
        """
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise ConfigError(f"scale is {self.scale}; expected the gray value that becomes 1")
        if not all(map(math.isfinite, self.mean)) or not all(
            math.isfinite(sd) and sd > 0 for sd in self.sd
        ):
            raise ConfigError(f"mean is {self.mean} and SD {self.sd}; expected finite, SD above 0")
        if self.scale is not None and self.per_image is not None:
            raise ConfigError("scale and per_image exclude each other; leave one of them out")
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold is {self.threshold}; expected a value between 0 and 1")
        if self.input_size is not None and min(self.input_size) < 1:
            raise ConfigError(f"input is {self.input_size}; expected HEIGHTxWIDTH in pixels")
        for value, allowed, what in (
            (self.channels, CHANNELS, "channels"),
            (self.layout, LAYOUTS, "layout"),
            (self.per_image, PER_IMAGE, "per_image"),
            (self.activation, ACTIVATIONS, "activation"),
            (self.task, TASKS, "task"),
        ):
            if value is not None and value not in allowed:
                names = " or ".join(map(str, allowed))
                raise ConfigError(f"{what} is {value!r}; expected {names}")
        if self.classes and (
            self.classes[0] != BACKGROUND
            or len(self.classes) < 2
            or len(set(self.classes)) < len(self.classes)
            or not all(self.classes)
        ):
            raise ConfigError(
                f"classes is {','.join(self.classes)!r}; expected {BACKGROUND} and then the name "
                f"of each structure once, such as {BACKGROUND},lesion"
            )
