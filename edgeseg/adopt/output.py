"""What the output of a user's own model means: its axes, its activation, its classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.adopt.original import OriginalModel, list_ports
from edgeseg.adopt.spec import BACKGROUND, AdoptSpec
from edgeseg.errors import ModelError

Scores = npt.NDArray[np.float64]
"""An output on all test images, (N, maps, h, w)."""
_FLOATS = frozenset(("tensor(float)", "tensor(float16)", "tensor(double)"))
_INDICES = frozenset(
    ("tensor(bool)", *(f"tensor({sign}int{n})" for sign in ("", "u") for n in (8, 16, 32, 64)))
)
_ROUNDING = 1e-3  # of networks of half precision
_SUMS_TOLERANCE = 1e-2  # float16 maps of three classes add up to 1 within 2e-3


def choose_output(spec: AdoptSpec, model: OriginalModel) -> Any:
    """Return the output with the maps; `ModelError` if there is none or it is open which."""
    outputs = {output.name: output for output in model.outputs}
    if spec.output is None and len(outputs) > 1:
        raise ModelError(
            f"the model has {len(outputs)} outputs ({list_ports(model.outputs)}); choose the one "
            "with the maps by --output NAME (a detection model's boxes and prototypes are no maps)"
        )
    name = spec.output or model.outputs[0].name
    if name not in outputs:
        raise ModelError(f"there is no output {name!r}; the model has {list_ports(model.outputs)}")
    if outputs[name].type not in _FLOATS | _INDICES:
        raise ModelError(
            f"the output {name!r} is {outputs[name].type}; expected maps of floats, or of whole "
            "numbers, each pixel's class"
        )
    return outputs[name]


def read_output_shape(
    name: str, shape: tuple[int, ...], height: int, width: int
) -> tuple[str, int]:
    """Return the layout of an output for one image, and how much smaller than the input it is.

    Raises
    ------
    ModelError
        If it is no map of the input's pixels.
    """
    sides = {3: {"nhw": shape[1:]}, 4: {"nchw": shape[2:], "nhwc": shape[1:3]}}.get(len(shape), {})
    fitting = {
        layout: height // h
        for layout, (h, w) in sides.items()
        if min(h, w) > 0 and (height % h, width % w) == (0, 0) and height // h == width // w
    }
    if not fitting:
        raise ModelError(
            f"the output {name!r} has the shape {list(shape)} for an input of {height}x{width} "
            "pixels; expected maps of the same size or of a whole fraction of it, (N, maps, h, w) "
            "or (N, h, w, maps); choose another with --output, or end the model in such maps"
        )
    layout = min(fitting, key=lambda each: fitting[each])
    return layout, fitting[layout]


def choose_activation(spec: AdoptSpec, port: Any, scores: Scores) -> str:
    """Return what makes probabilities of the output; `ModelError` if that is open or wrong."""
    low, high = float(scores.min()), float(scores.max())
    where = f"the output {port.name!r} has values from {low:.3g} to {high:.3g} on test images"
    are_probabilities = low >= -_ROUNDING and high <= 1 + _ROUNDING
    if port.type not in _FLOATS or spec.activation == "indices":
        if spec.activation not in (None, "indices"):
            raise ModelError(
                f"the output {port.name!r} is {port.type}, so each pixel's class; leave "
                "--activation out"
            )
        return "indices"
    if spec.activation is None and not are_probabilities:
        raise ModelError(
            f"{where}, which are no probabilities; give --activation sigmoid or softmax, with "
            "which the model was trained"
        )
    if spec.activation == "none" and not are_probabilities:
        raise ModelError(
            f"{where}, which are no probabilities; give --activation sigmoid or softmax"
        )
    if spec.activation in ("sigmoid", "softmax") and are_probabilities and not spec.logits:
        raise ModelError(
            f"{where}, so they seem to be probabilities already; leave --activation out. If they "
            "are none, check --scale, --mean and --sd, or give --logits too"
        )
    return spec.activation or "none"


def has_background(spec: AdoptSpec, name: str, activation: str, scores: Scores) -> bool:
    """Tell whether the first map is the background's; `ModelError` if that is open."""
    n_maps = scores.shape[1]
    if activation == "softmax" and n_maps < 2:
        raise ModelError(
            "a softmax over one map is 1 everywhere; expected the background's map too, or "
            "--activation sigmoid"
        )
    if activation != "none" or n_maps == 1:
        return activation == "softmax"
    if np.abs(scores.sum(axis=1) - 1).max() <= _SUMS_TOLERANCE:
        return True
    if len(spec.classes) == n_maps:
        raise ModelError(
            f"the {n_maps} maps of {name!r} do not add up to 1, so the first is not the background "
            "of the others; name each of them in --classes, after the background"
        )
    if not spec.classes:
        raise ModelError(
            f"the output {name!r} has {n_maps} maps, and it is open whether the first is the "
            f"background; name them with --classes {BACKGROUND},..."
        )
    return False


def count_indexed(spec: AdoptSpec, name: str, scores: Scores) -> int:
    """Return how many structures an output of class indices has; `ModelError` if it has none."""
    highest = int(scores.max())
    if scores.shape[1] != 1 or scores.min() < 0 or (scores % 1).any() or highest > 255:
        raise ModelError(
            f"the output {name!r} has {scores.shape[1]} maps with values from {scores.min():g} to "
            f"{scores.max():g}; expected one map of class indices, 0 to 255"
        )
    if not spec.classes and (spec.task != "head" or highest > 1):
        raise ModelError(
            f"the output {name!r} gives class indices; name them with --classes {BACKGROUND},..."
        )
    if spec.classes and highest >= len(spec.classes):
        raise ModelError(
            f"the output {name!r} gives the class index {highest}, and --classes names "
            f"{len(spec.classes)}; expected a name for each, {BACKGROUND} first"
        )
    return max(len(spec.classes) - 1, 1)


def name_classes(spec: AdoptSpec, name: str, n_maps: int, n_structures: int) -> tuple[str, ...]:
    """Return the background's and each structure's name; `ModelError` if their number differs."""
    expected = n_structures + 1
    if not spec.classes and n_structures == 1:
        return BACKGROUND, "head" if spec.task == "head" else "structure"
    if len(spec.classes) != expected:
        named = f"--classes names {len(spec.classes)}" if spec.classes else "--classes is not given"
        raise ModelError(
            f"the output {name!r} has {n_maps} maps, structures: {n_structures}, and {named}; "
            f"expected {expected} names, {BACKGROUND} first"
        )
    return spec.classes
