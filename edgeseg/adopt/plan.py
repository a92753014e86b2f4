"""What a user says of a model and what is seen of it, brought together or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from edgeseg.adopt.original import OriginalModel, Output, list_ports, read_scores
from edgeseg.adopt.output import (
    choose_activation,
    choose_output,
    count_indexed,
    has_background,
    name_classes,
    read_output_shape,
)
from edgeseg.adopt.spec import AdoptSpec
from edgeseg.errors import ModelError
from edgeseg.images.frame import GrayImage
from edgeseg.network.adapter import BYTES, CHANNELS, TENSOR_TYPES, Adapter


class Plan(NamedTuple):
    """How a model is fed, and what its output means.

    Attributes
    ----------
    adapter
        What the metadata will say.
    height, width
        Of the input, pixels.
    classes
        The background's and each structure's name.
    outputs
        What the model gives for each test image.
    """

    adapter: Adapter
    height: int
    width: int
    classes: tuple[str, ...]
    outputs: Sequence[Output]

    @property
    def is_exclusive(self) -> bool:
        """Whether a pixel belongs to the likeliest of the classes, the background among them."""
        known = self.adapter.has_background or self.adapter.activation == "indices"
        return known and len(self.classes) > 2


def make_plan(
    spec: AdoptSpec, model: OriginalModel, make_images: Callable[[int, int], Sequence[GrayImage]]
) -> Plan:
    """Hold what the user says to the input and output of a model.

    Parameters
    ----------
    spec
        What the user says.
    model
        The model; it is run on test images.
    make_images
        Returns those of a size (height, width), each (1, 1, h, w), uint8.

    Raises
    ------
    ModelError
        If the model cannot be adopted, contradicts the user, or leaves open what the user does not
        say.
    """
    adapter, height, width = _read_input(spec, model)
    chosen = choose_output(spec, model)
    adapter = replace(adapter, output=chosen.name)
    outputs = [model.run(adapter, gray) for gray in make_images(height, width)]
    layout, enlarge = read_output_shape(chosen.name, outputs[0].shape, height, width)
    adapter = replace(adapter, output_layout=layout, enlarge=enlarge)
    scores = np.concatenate([read_scores(output, layout) for output in outputs])
    if not np.isfinite(scores).all():
        raise ModelError(
            f"the output {chosen.name!r} is not finite on a test image; check --scale, --mean and "
            "--sd"
        )
    activation = choose_activation(spec, chosen, scores)
    background = has_background(spec, chosen.name, activation, scores)
    adapter = replace(adapter, activation=activation, has_background=background)
    n_structures = scores.shape[1] - background
    if activation == "indices":
        n_structures = count_indexed(spec, chosen.name, scores)
    if spec.task == "head" and n_structures != 1:
        raise ModelError(
            f"the output has {n_structures} structures; --task head needs one, the head"
        )
    classes = name_classes(spec, chosen.name, scores.shape[1], n_structures)
    return Plan(adapter, height, width, classes, outputs)


def _read_input(spec: AdoptSpec, model: OriginalModel) -> tuple[Adapter, int, int]:
    """Return how the input is fed, and its height and width."""
    if len(model.inputs) != 1:
        raise ModelError(
            f"the model has {len(model.inputs)} inputs ({list_ports(model.inputs)}); expected one, "
            "the image: make constants of the others at export"
        )
    (taken,) = model.inputs
    kinds = {name: kind for kind, name in TENSOR_TYPES.items()}
    if taken.type not in kinds:
        raise ModelError(f"the input {taken.name!r} is {taken.type}; expected floats or bytes")
    if len(taken.shape) != 4:
        hint = "; models of volumes are not for single frames" if len(taken.shape) == 5 else ""
        raise ModelError(
            f"the input {taken.name!r} has the shape {taken.shape}; expected four axes, (N, C, H, "
            f"W) or (N, H, W, C){hint}"
        )
    shape = [side if isinstance(side, int) and side > 0 else None for side in taken.shape]
    layout = spec.layout or (
        "nhwc" if shape[1] not in CHANNELS and shape[3] in CHANNELS else "nchw"
    )
    _, channels, *sides = shape if layout == "nchw" else (shape[0], shape[3], *shape[1:3])
    if channels is not None and channels not in CHANNELS:
        raise ModelError(
            f"the input {taken.name!r}, {taken.shape}, takes {channels} channels; expected 1 or 3"
            + ("" if spec.layout else ", or --layout nhwc where its last axis holds them")
        )
    channels = _agree(
        channels, spec.channels, "--channels", "how many channels it takes, 1 or 3", taken
    )
    height, width = (
        _agree(side, own, "--input", "its input size, HEIGHTxWIDTH", taken)
        for side, own in zip(sides, spec.input_size or (None, None), strict=True)
    )
    kind = kinds[taken.type]
    if kind == BYTES and spec.normalizes:
        raise ModelError(
            f"the input {taken.name!r} takes bytes, which go in as they are; leave --scale, "
            "--mean, --sd and --per-image out"
        )
    adapter = Adapter(
        type=kind,
        layout=layout,
        channels=channels,
        scale=255.0 if spec.scale is None else spec.scale,
        mean=_for_each_channel(spec.mean, channels, "mean"),
        sd=_for_each_channel(spec.sd, channels, "sd"),
        per_image=spec.per_image,
    )
    return adapter, height, width


def _agree(in_graph: int | None, own: int | None, option: str, what: str, port: Any) -> int:
    """Return a number that graph, user or both give."""
    if in_graph is not None and own is not None and in_graph != own:
        raise ModelError(
            f"{option} gives {own} where the model's input {port.name!r} has {in_graph} "
            f"({port.shape}); leave {option} out, or export the model again"
        )
    known = own if in_graph is None else in_graph
    if known is None:
        raise ModelError(
            f"the input {port.name!r}, {port.shape}, leaves open {what}; give {option}"
        )
    return known


def _for_each_channel(values: tuple[float, ...], channels: int, option: str) -> tuple[float, ...]:
    if len(values) not in (1, channels):
        raise ModelError(
            f"--{option} has {len(values)} values and the model takes {channels} "
            f"channel{'s' * (channels > 1)}; expected one, or one for each channel"
        )
    return values * channels if len(values) == 1 else values
