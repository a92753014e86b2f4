"""What a user says of a float model and what its graph says, brought together or refused."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgeseg.adopt.float_model import ACTIVATIONS, FLOATS, LAYOUTS, FloatModel, Plan, listed
from edgeseg.errors import ConfigError, ModelError

TASKS = ("regions", "head")
BACKGROUND = "background"
_CHANNELS = (1, 3)


@dataclass(frozen=True, slots=True)
class AdoptSpec:
    """What a user says of a model; None, or an empty tuple of classes, is read from its graph.

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
        one for each channel in the network's own order.
    activation
        ``sigmoid`` (each map for itself), ``softmax`` (over the maps, the background first) or
        ``none`` (they are probabilities already).
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
    scale: float = 255.0
    mean: tuple[float, ...] = (0.0,)
    sd: tuple[float, ...] = (1.0,)
    activation: str | None = None
    classes: tuple[str, ...] = ()
    output: str | None = None
    task: str = "regions"
    name: str | None = None
    threshold: float = 0.5
    licence: str = "unknown"

    def check(self) -> None:
        """Refuse values that no model can have.

        Raises
        ------
        ConfigError
            If there is one.
        """
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ConfigError(f"scale is {self.scale}; expected the gray value that becomes 1")
        if not all(map(math.isfinite, self.mean)) or not all(
            math.isfinite(sd) and sd > 0 for sd in self.sd
        ):
            raise ConfigError(f"mean is {self.mean} and SD {self.sd}; expected finite, SD above 0")
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold is {self.threshold}; expected a value between 0 and 1")
        if self.input_size is not None and min(self.input_size) < 1:
            raise ConfigError(f"input is {self.input_size}; expected HEIGHTxWIDTH in pixels")
        for value, allowed, what in (
            (self.channels, _CHANNELS, "channels"),
            (self.layout, LAYOUTS, "layout"),
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


def make_plan(spec: AdoptSpec, model: FloatModel, last_operators: dict[str, str]) -> Plan:
    """Read the input and the output of a model's graph, and hold what the user says to them.

    Parameters
    ----------
    spec
        What the user says.
    model
        The model; it is run once.
    last_operators
        For each output the operator that makes its values.

    Raises
    ------
    ModelError
        If the model cannot be wrapped, its graph contradicts the user, or leaves open what the
        user does not say.
    """
    plan = _plan_input(spec, model)
    chosen = _choose_output(spec, model)
    name: str = chosen.name
    gray = np.zeros((1, 1, plan.height, plan.width), dtype=np.uint8)
    plan = plan.with_output(name, chosen.type, model.output(plan, name, gray).shape)
    last = last_operators[name]
    activation = _activation(spec, name, last)
    background = _has_background(spec, plan, activation, last)
    plan = replace(plan, activation=activation, has_background=background)
    if spec.task == "head" and plan.n_structures != 1:
        raise ModelError(
            f"the output has {plan.n_structures} structures; --task head needs one, the head"
        )
    return plan


def class_names(spec: AdoptSpec, plan: Plan) -> tuple[str, ...]:
    """Return the background's and each structure's name.

    Raises
    ------
    ModelError
        If there are several structures and the user does not name as many.
    """
    expected = plan.n_structures + 1
    if not spec.classes and plan.n_structures == 1:
        return BACKGROUND, "head" if spec.task == "head" else "structure"
    if len(spec.classes) != expected:
        said = f"--classes names {len(spec.classes)}" if spec.classes else "--classes is not given"
        raise ModelError(
            f"the output {plan.output_name!r} has {plan.n_maps} maps, "
            f"{'the background and ' if plan.has_background else ''}{plan.n_structures} "
            f"structure{'s' * (plan.n_structures > 1)}, and {said}; expected {expected} names, "
            f"{BACKGROUND} first"
        )
    return spec.classes


def _plan_input(spec: AdoptSpec, model: FloatModel) -> Plan:
    if len(model.inputs) != 1:
        raise ModelError(
            f"the model has {len(model.inputs)} inputs ({listed(model.inputs)}); expected one, the "
            "image: make constants of the others at export"
        )
    (given,) = model.inputs
    if given.type not in FLOATS:
        raise ModelError(
            f"the input {given.name!r} is {given.type}; expected floats: adopt wraps a float "
            "model, and puts the change from bytes before it itself"
        )
    if len(given.shape) != 4:
        hint = "; models of volumes are not for single frames" if len(given.shape) == 5 else ""
        raise ModelError(
            f"the input {given.name!r} has the shape {given.shape}; expected four axes, (N, C, H, "
            f"W) or (N, H, W, C){hint}"
        )
    shape = [side if isinstance(side, int) and side > 0 else None for side in given.shape]
    last = _channels_last(spec, shape)
    batch, channels, *sides = (shape[0], shape[3], *shape[1:3]) if last else shape
    if channels is not None and channels not in _CHANNELS:
        raise ModelError(
            f"the input {given.name!r}, {given.shape}, takes {channels} channels; expected 1 or 3"
            + ("" if spec.layout else ", or --layout nhwc where its last axis holds them")
        )
    channels = _agreed(
        channels, spec.channels, "--channels", "how many channels it takes, 1 or 3", given
    )
    size = spec.input_size or (None, None)
    height, width = (
        _agreed(side, said, "--input", "its input size, HEIGHTxWIDTH", given)
        for side, said in zip(sides, size, strict=True)
    )
    mean, sd = _spread(spec.mean, channels, "mean"), _spread(spec.sd, channels, "sd")
    return Plan(
        given.name, given.type, channels, last, height, width, batch, spec.scale, mean, sd
    )  # fmt: skip


def _channels_last(spec: AdoptSpec, shape: list[int | None]) -> bool:
    if spec.layout:
        return spec.layout == "nhwc"
    return shape[1] not in _CHANNELS and shape[3] in _CHANNELS


def _agreed(in_graph: int | None, said: int | None, option: str, what: str, given: Any) -> int:
    """Return a number that graph, user or both give."""
    if in_graph is not None and said is not None and in_graph != said:
        raise ModelError(
            f"{option} gives {said} where the model's input {given.name!r} has {in_graph} "
            f"({given.shape}); leave {option} out, or export the model again"
        )
    known = said if in_graph is None else in_graph
    if known is None:
        raise ModelError(
            f"the input {given.name!r}, {given.shape}, leaves open {what}; give {option}"
        )
    return known


def _spread(values: tuple[float, ...], channels: int, option: str) -> tuple[float, ...]:
    if len(values) not in (1, channels):
        raise ModelError(
            f"--{option} has {len(values)} values and the model takes {channels} "
            f"channel{'s' * (channels > 1)}; expected one, or one for each channel"
        )
    return values * channels if len(values) == 1 else values


def _choose_output(spec: AdoptSpec, model: FloatModel) -> Any:
    outputs = {output.name: output for output in model.outputs}
    if spec.output is None and len(outputs) > 1:
        raise ModelError(
            f"the model has {len(outputs)} outputs ({listed(model.outputs)}); choose the one with "
            "the maps by --output NAME (a detection model's boxes and prototypes are no maps)"
        )
    name = spec.output or model.outputs[0].name
    if name not in outputs:
        raise ModelError(f"there is no output {name!r}; the model has {listed(model.outputs)}")
    if outputs[name].type not in FLOATS:
        raise ModelError(
            f"the output {name!r} is {outputs[name].type}, so class indices rather than "
            "probabilities; export the model without its argmax"
        )
    return outputs[name]


def _activation(spec: AdoptSpec, name: str, last: str) -> str:
    """Return what is missing to probabilities."""
    inside = last in ("Sigmoid", "Softmax")
    if spec.activation is None:
        if inside:
            return "none"
        raise ModelError(
            f"the output {name!r} comes from {last}, so it seems to be no probability yet; give "
            "--activation sigmoid or softmax, or none if it is one"
        )
    if inside and spec.activation != "none":
        raise ModelError(
            f"--activation is {spec.activation}, but the output {name!r} has passed {last} "
            "already; leave the option out"
        )
    return spec.activation


def _has_background(spec: AdoptSpec, plan: Plan, activation: str, last: str) -> bool:
    if activation == "softmax" or last == "Softmax":
        if plan.n_maps < 2:
            raise ModelError(
                "a softmax over one map is 1 everywhere; expected the background's map too, or "
                "--activation sigmoid"
            )
        return True
    if activation == "sigmoid" or last == "Sigmoid" or plan.n_maps == 1:
        return False
    if not spec.classes:
        raise ModelError(
            f"the output {plan.output_name!r} has {plan.n_maps} maps, and it is open whether the "
            f"first is the background; name them with --classes {BACKGROUND},..."
        )
    return plan.n_maps == len(spec.classes)
