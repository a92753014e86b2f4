"""What a user says of a model of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeseg.errors import ConfigError
from edgeseg.network.adapter import ACTIVATIONS, CHANNELS, LAYOUTS, PER_IMAGE

TASKS = ("regions", "head")
BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class AdoptSpec:
    """What a user says of a model; None, or an empty tuple of classes, is seen from the model.

    Attributes
    ----------
    input_size
        (height, width) in pixels.
    channels
        1 or 3; gray goes into each.
    layout
        Of the input: ``nchw`` or ``nhwc``.
    scale, mean, sd
        The network sees ``(gray / scale - mean) / sd``, gray from 0 to 255; one mean and SD, or
        one for each channel in the network's own order. A scale of None is 255.
    per_image
        What takes the place of ``gray / scale``, as in `Adapter`.
    activation
        ``sigmoid`` (each map for itself), ``softmax`` (over the maps, the background first),
        ``none`` (they are probabilities already) or ``indices`` (one map of class numbers).
    logits
        Whether the activation is right although the output lies between 0 and 1 already.
    classes
        ``background`` and the structures, in the order of the maps.
    output
        Which output, of several.
    task
        ``head`` measures one structure as a fetal head, ``regions`` any.
    name
        Of the model; the file's stem by default.
    threshold
        Probability from which a pixel belongs to a structure.
    licence
        Of the model.
    """

    input_size: tuple[int, int] | None = None
    channels: int | None = None
    layout: str | None = None
    scale: float | None = None
    mean: tuple[float, ...] = (0.0,)
    sd: tuple[float, ...] = (1.0,)
    per_image: str | None = None
    activation: str | None = None
    logits: bool = False
    classes: tuple[str, ...] = ()
    output: str | None = None
    task: str = "regions"
    name: str | None = None
    threshold: float = 0.5
    licence: str = "unknown"

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
