"""What a user says of a model of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from edgeseg.errors import ConfigError
from edgeseg.network.adapter import ACTIVATIONS, CHANNELS, LAYOUTS, NORMALISATIONS

BACKGROUND = "background"
_CHOICES: dict[str, tuple[Any, ...]] = {
    "channels": (None, *CHANNELS),
    "layout": (None, *LAYOUTS),
    "normalise": (None, *NORMALISATIONS),
    "activation": (None, *ACTIVATIONS),
    "task": ("regions", "ellipse", "head"),
}


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
    normalise: str | None = _value(
        None, "instead of --scale, by the image's own values: zscore or max"
    )
    activation: str | None = _value(
        None, "sigmoid (each map), softmax (over the maps, background first), none "
        "(probabilities) or indices (of classes); default: none for values from 0 to 1, indices "
        "for integers",
    )  # fmt: skip
    logits: bool = _value(False, "apply --activation even if values lie between 0 and 1")
    classes: tuple[str, ...] = _value(
        (), "names, background first: background,lesion; or that of an ellipse", metavar="NAME,..."
    )
    output: str | None = _value(None, "name of the output with the maps, if there are several")
    task: str = _value("regions", "regions, ellipse (one round structure) or head (of a fetus)")
    name: str | None = _value(None, "default: the file's")
    threshold: float = _value(0.5, "probability from which a pixel is of a structure")
    licence: str = _value("unknown", "terms of the model")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the background and each structure; one that is measured alone needs no other."""
        is_alone = self.task != "regions" and len(self.classes) == 1
        return (BACKGROUND, *self.classes) if is_alone else self.classes

    def check(self) -> None:
        """Refuse values that no model can have, with a `ConfigError`."""
        names = self.class_names or (BACKGROUND, "structure")
        are_classes = names[0] == BACKGROUND and len(set(names) - {""}) == len(names) > 1
        choices = [
            (name, getattr(self, name) in values, " or ".join(map(str, filter(None, values))))
            for name, values in _CHOICES.items()
        ]
        for name, holds, expected in (
            *choices,
            ("scale", self.scale is None or _is_size(self.scale), "a gray value above 0"),
            ("mean", all(map(math.isfinite, self.mean)), "finite numbers"),
            ("sd", all(map(_is_size, self.sd)), "numbers above 0"),
            ("threshold", 0 < self.threshold < 1, "a value between 0 and 1"),
            ("input_size", min(self.input_size or (1,)) >= 1, "HEIGHTxWIDTH in pixels"),
            ("normalise", not (self.normalise and self.scale), "no scale beside it"),
            ("classes", are_classes, f"{BACKGROUND} and then the name of each structure once"),
        ):
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected {expected}")


def _is_size(value: float) -> bool:
    return math.isfinite(value) and value > 0
