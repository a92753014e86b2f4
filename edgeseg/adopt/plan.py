"""What a user says of a model and what is seen of it, brought together or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.adopt.spec import BACKGROUND, AdoptSpec
from edgeseg.errors import ModelError
from edgeseg.images.frame import GrayImage
from edgeseg.network.adapter import BYTES, CHANNELS, TENSOR_TYPES, Adapter
from edgeseg.network.feed import Maps, channels_first, make_input, read_maps
from edgeseg.network.session import Session
from edgeseg.system.text import first_line

Scores = npt.NDArray[np.float64]
"""An output on all test images, (N, maps, h, w)."""
_FLOATS = frozenset(("tensor(float)", "tensor(float16)", "tensor(double)"))
_INDICES = frozenset(
    ("tensor(bool)", *(f"tensor({sign}int{n})" for sign in ("", "u") for n in (8, 16, 32, 64)))
)
_ROUNDING = 1e-3  # of networks of half precision
_SUMS_TOLERANCE = 1e-2  # float16 maps of three classes add up to 1 within 2e-3


def read_input(spec: AdoptSpec, model: Session) -> tuple[Adapter, int, int]:
    """Return how a model is fed, and its input's height and width in pixels.

    Raises
    ------
    ModelError
        If the model takes anything but images, contradicts the user, or leaves open what the user
        does not say.
    """
    inputs = model.get_inputs()
    taken = inputs[0] if len(inputs) == 1 else None
    kinds = {name: kind for kind, name in TENSOR_TYPES.items()}
    if taken is None or taken.type not in kinds or len(taken.shape) != 4:
        raise ModelError(
            f"the model takes {_list_ports(inputs)}; expected one input, floats or bytes with "
            "the four axes (N, C, H, W) or (N, H, W, C); make constants of others at export"
        )
    shape = [side if isinstance(side, int) and side > 0 else None for side in taken.shape]
    layout = spec.layout or (
        "nhwc" if shape[1] not in CHANNELS and shape[3] in CHANNELS else "nchw"
    )
    numbers = shape[1:] if layout == "nchw" else [shape[3], *shape[1:3]]
    channels, height, width = (
        _agree(number, own, option, taken)
        for number, own, option in zip(
            numbers,
            (spec.channels, *(spec.input_size or (None, None))),
            ("--channels", "--input", "--input"),
            strict=True,
        )
    )
    if channels not in CHANNELS:
        raise ModelError(
            f"the input {taken.name!r}, {taken.shape}, has {channels} channels as {layout}; "
            "expected 1 or 3, or another --layout"
        )
    kind = kinds[taken.type]
    if kind == BYTES and spec.normalizes:
        raise ModelError(
            f"the input {taken.name!r} takes bytes, which go in as they are; leave --scale, "
            "--mean, --sd and --per-image out"
        )
    for option, values in (("--mean", spec.mean), ("--sd", spec.sd)):
        if len(values) not in (1, channels):
            raise ModelError(
                f"{option} has {len(values)} values, and the model takes {channels} channels; "
                "expected one, or one for each channel"
            )
    scale = 255.0 if spec.scale is None else spec.scale
    adapter = Adapter(
        type=kind,
        layout=layout,
        channels=channels,
        scale=scale,
        mean=spec.mean,
        sd=spec.sd,
        per_image=spec.per_image,
    )
    return adapter, height, width


def _agree(in_graph: int | None, own: int | None, option: str, port: Any) -> int:
    """Return a number that graph, user or both give."""
    known = own if in_graph is None else in_graph
    if known is None or own not in (None, known):
        raise ModelError(
            f"the input {port.name!r}, {port.shape}, "
            f"{'leaves it open' if in_graph is None else f'has {in_graph}'} where {option} gives "
            f"{own}; {f'give {option}' if own is None else f'leave {option} out'}"
        )
    return known


def read_output(
    spec: AdoptSpec, model: Session, adapter: Adapter, images: Sequence[GrayImage]
) -> tuple[Adapter, tuple[str, ...], list[Maps]]:
    """Say what a model's output means, from what it gives for test images.

    Parameters
    ----------
    images
        Each (1, 1, h, w), uint8.

    Returns
    -------
    adapter
        That given, with how the output is read.
    classes
        The background's and each structure's name.
    expected
        Probabilities of each test image, (1, structures, h, w), float32.

    Raises
    ------
    ModelError
        If the output is no map, contradicts the user, or leaves open what the user does not say.
    """
    port = _choose_output(spec, model)
    adapter = replace(adapter, output=port.name)
    outputs = [_run(model, adapter, gray) for gray in images]
    layout, enlarge = _read_shape(port.name, outputs[0].shape, images[0].shape[2:])
    scores = np.concatenate([channels_first(layout, output) for output in outputs])
    scores = scores.astype(np.float64)
    if not np.isfinite(scores).all():
        raise ModelError(
            f"the output {port.name!r} is not finite on a test image; check --scale, --mean and "
            "--sd"
        )
    activation = _choose_activation(spec, port, scores)
    has_background = activation == "softmax" or (
        activation == "none"
        and scores.shape[1] > 1
        and bool(np.abs(scores.sum(axis=1) - 1).max() <= _SUMS_TOLERANCE)
    )
    adapter = replace(
        adapter,
        output_layout=layout,
        enlarge=enlarge,
        activation=activation,
        has_background=has_background,
    )
    if activation == "indices":
        classes = _name_indexed(spec, port.name, scores)
    else:
        classes = _name_maps(spec, port.name, scores.shape[1], has_background)
    if spec.task == "head" and len(classes) != 2:
        raise ModelError(f"--task head is for one structure, the head; the output has {classes}")
    return adapter, classes, [read_maps(adapter, output, len(classes) - 1) for output in outputs]


def _choose_output(spec: AdoptSpec, model: Session) -> Any:
    """Return the output with the maps."""
    outputs = model.get_outputs()
    found = [port for port in outputs if spec.output in (None, port.name)]
    if len(found) != 1 or found[0].type not in _FLOATS | _INDICES:
        raise ModelError(
            f"the model gives {_list_ports(outputs)}; choose by --output NAME the one with "
            "maps of floats, or with whole numbers, each pixel's class (a detection model's boxes "
            "and prototypes are no maps)"
        )
    return found[0]


def _list_ports(ports: list[Any]) -> str:
    return "; ".join(f"{v.name} {v.type} {v.shape}" for v in ports)


def fixed_batch(model: Session) -> int | None:
    """Return how many images a run of the model must take; None where any number goes."""
    batch = model.get_inputs()[0].shape[0]
    return batch if isinstance(batch, int) and batch > 0 else None


def _run(model: Session, adapter: Adapter, gray: GrayImage) -> npt.NDArray[Any]:
    """Return the output as the network gives it for one image, (1, 1, h, w), uint8."""
    fed = np.repeat(make_input(adapter, gray), fixed_batch(model) or 1, axis=0)
    try:
        (output,) = model.run([adapter.output], {model.get_inputs()[0].name: fed})
    except Exception as error:  # onnxruntime's own exceptions share no base but this
        raise ModelError(
            f"the model does not run on {fed.shape} ({first_line(error)}); give the --input it "
            "was trained with (many networks need sides that 32 divides)"
        ) from error
    output = np.asarray(output)
    if not output.ndim or len(output) != len(fed):
        raise ModelError(
            f"the output {adapter.output!r} has the shape {list(output.shape)} for an input of "
            f"{fed.shape}; expected maps of each image"
        )
    return output[:1]


def _read_shape(name: str, shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[str, int]:
    """Return the layout of an output for one image, and how much smaller than the input it is."""
    sides = {3: {"nhw": shape[1:]}, 4: {"nchw": shape[2:], "nhwc": shape[1:3]}}.get(len(shape), {})
    height, width = size
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


def _choose_activation(spec: AdoptSpec, port: Any, scores: Scores) -> str:
    """Return what makes probabilities of the output."""
    low, high = float(scores.min()), float(scores.max())
    where = f"the output {port.name!r}, {port.type}, has values from {low:.3g} to {high:.3g}"
    if port.type in _INDICES and spec.activation not in (None, "indices"):
        raise ModelError(f"{where}, each pixel's class; leave --activation out")
    if port.type in _INDICES or spec.activation == "indices":
        return "indices"
    are_probabilities = low >= -_ROUNDING and high <= 1 + _ROUNDING
    chosen = spec.activation or "none"
    if chosen == "none" and not are_probabilities:
        raise ModelError(
            f"{where}, which are no probabilities; give --activation sigmoid or softmax, with "
            "which the model was trained"
        )
    if chosen != "none" and are_probabilities and not spec.logits:
        raise ModelError(
            f"{where}, so they seem to be probabilities already; leave --activation out. If they "
            "are none, check --scale, --mean and --sd, or give --logits too"
        )
    return chosen


def _name_indexed(spec: AdoptSpec, name: str, scores: Scores) -> tuple[str, ...]:
    """Return the names of an output's class indices."""
    classes = spec.classes or ((BACKGROUND, "head") if spec.task == "head" else ())
    if scores.shape[1] != 1 or (scores % 1).any() or not 0 <= scores.min() <= scores.max() <= 255:
        raise ModelError(
            f"the output {name!r} has {scores.shape[1]} maps with values from {scores.min():g} to "
            f"{scores.max():g}; expected one map of class indices, 0 to 255"
        )
    if scores.max() >= len(classes):
        raise ModelError(
            f"the output {name!r} gives the class index {scores.max():g}, and --classes has "
            f"{len(classes)} names; expected one for each, {BACKGROUND} first"
        )
    return classes


def _name_maps(spec: AdoptSpec, name: str, n_maps: int, has_background: bool) -> tuple[str, ...]:
    """Return the background's name and that of each map of a structure."""
    n_structures = n_maps - has_background
    classes = spec.classes
    if not classes and n_structures == 1:
        classes = (BACKGROUND, "head" if spec.task == "head" else "structure")
    if len(classes) != n_structures + 1 or n_structures < 1:
        of_first = (
            "the first of the background"
            if has_background
            else "which do not add up to 1 with a background among them"
        )
        raise ModelError(
            f"the output {name!r} has {n_maps} maps, {of_first}; expected at least one structure, "
            f"and {n_structures + 1} names in --classes, {BACKGROUND} first; got {len(classes)}"
        )
    return classes
