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
from edgeseg.network.adapter import BYTES, CHANNELS, TENSOR_TYPES, Adapter, Maps, channels_first
from edgeseg.network.session import Session
from edgeseg.system.text import first_line

_FLOATS = frozenset(("tensor(float)", "tensor(float16)", "tensor(double)"))
_INDICES = frozenset(
    ("tensor(bool)", *(f"tensor({sign}int{n})" for sign in ("", "u") for n in (8, 16, 32, 64)))
)
_ROUNDING = 1e-3  # of networks of half precision
_SUMS_TOLERANCE = 1e-2  # float16 maps of three classes add up to 1 within 2e-3


def read_input(spec: AdoptSpec, model: Session) -> tuple[Adapter, int, int]:
    """Return how a model is fed, and its input's height and width in pixels.

    `ModelError` if it takes anything but images, or it and the user contradict each other or leave
    something open.
    """
    inputs = model.get_inputs()
    kinds = {name: kind for kind, name in TENSOR_TYPES.items()}
    taken = inputs[0] if len(inputs) == 1 else None
    if taken is None or taken.type not in kinds or len(taken.shape) != 4:
        raise ModelError(
            f"the model takes {_list_ports(inputs)}; expected one input, floats or bytes with "
            "the four axes (N, C, H, W) or (N, H, W, C); make constants of others at export"
        )
    where = f"the input {taken.name!r}, {taken.shape},"
    shape = [side if isinstance(side, int) and side > 0 else None for side in taken.shape]
    are_last = shape[1] not in CHANNELS and shape[3] in CHANNELS
    layout = spec.layout or ("nhwc" if are_last else "nchw")
    in_graph = shape[1:] if layout == "nchw" else [shape[3], *shape[1:3]]
    own_height, own_width = spec.input_size or (None, None)
    channels = _agree(in_graph[0], spec.channels, f"{where} --channels")
    height = _agree(in_graph[1], own_height, f"{where} --input")
    width = _agree(in_graph[2], own_width, f"{where} --input")
    if channels not in CHANNELS:
        raise ModelError(
            f"{where} has {channels} channels as {layout}; expected 1 or 3, or another --layout"
        )
    as_it_is = spec.scale is None and spec.normalise is None
    as_it_is = as_it_is and set(spec.mean) == {0} and set(spec.sd) == {1}
    if kinds[taken.type] == BYTES and not as_it_is:
        raise ModelError(
            f"{where} takes bytes, which go in as they are; leave --scale, --mean, --sd and "
            "--normalise out"
        )
    for option, numbers in (("--mean", spec.mean), ("--sd", spec.sd)):
        if len(numbers) not in (1, channels):
            raise ModelError(
                f"{option} has {len(numbers)} values, and the model takes {channels} channels; "
                "expected one, or one for each channel"
            )
    adapter = Adapter(
        type=kinds[taken.type],
        layout=layout,
        channels=channels,
        scale=spec.scale or 255.0,
        mean=spec.mean,
        sd=spec.sd,
        normalise=spec.normalise,
    )
    return adapter, height, width


def _agree(in_graph: int | None, own: int | None, what: str) -> int:
    """Return a number that graph, user or both give."""
    known = own if in_graph is None else in_graph
    if known is None or own not in (None, known):
        raise ModelError(
            f"{what}: the graph {'leaves it open' if in_graph is None else f'has {in_graph}'}, "
            f"{'and nothing is given; give it' if own is None else f'not {own}; leave it out'}"
        )
    return known


def read_output(
    spec: AdoptSpec, model: Session, adapter: Adapter, images: Sequence[GrayImage]
) -> tuple[Adapter, tuple[str, ...], list[Maps]]:
    """Say what a model's output means, from what it gives for test images, (1, 1, h, w), uint8.

    Returns the adapter with how the output is read, the names of background and structures, and the
    probabilities of each image, (1, structures, h, w). Raises as `read_input` does.
    """
    ports = [port for port in model.get_outputs() if spec.output in (None, port.name)]
    if len(ports) != 1 or ports[0].type not in _FLOATS | _INDICES:
        raise ModelError(
            f"the model gives {_list_ports(model.get_outputs())}; choose by --output NAME the one "
            "with maps of floats, or with whole numbers, each pixel's class (a detection model's "
            "boxes and prototypes are no maps)"
        )
    (port,) = ports
    adapter = replace(adapter, output=port.name)
    outputs = [_run(model, adapter, gray) for gray in images]
    layout, enlarge = _read_shape(port.name, outputs[0].shape, images[0].shape[2:])
    scores = np.concatenate([channels_first(layout, output) for output in outputs])
    scores = scores.astype(np.float64)
    low, high = float(scores.min()), float(scores.max())
    where = f"the output {port.name!r}, {port.type}, has values from {low:.3g} to {high:.3g}"
    if not np.isfinite(scores).all():
        raise ModelError(f"{where}, which are not finite; check --scale, --mean and --sd")
    activation = _choose_activation(spec, port.type in _INDICES, low, high, where)
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
    classes = _name_classes(spec, adapter, scores, where)
    return adapter, classes, [adapter.read_maps(output, len(classes) - 1) for output in outputs]


def _list_ports(ports: list[Any]) -> str:
    return "; ".join(f"{v.name} {v.type} {v.shape}" for v in ports)


def fixed_batch(model: Session) -> int | None:
    """Return how many images a run of the model must take; None where any number goes."""
    batch = model.get_inputs()[0].shape[0]
    return batch if isinstance(batch, int) and batch > 0 else None


def _run(model: Session, adapter: Adapter, gray: GrayImage) -> npt.NDArray[Any]:
    """Return the output as the network gives it for one image, (1, 1, h, w), uint8."""
    fed = np.repeat(adapter.make_input(gray), fixed_batch(model) or 1, axis=0)
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


def _choose_activation(
    spec: AdoptSpec, are_whole: bool, low: float, high: float, where: str
) -> str:
    """Return what makes probabilities of an output, of whole numbers or not, and of this range."""
    chosen = spec.activation or ("indices" if are_whole else "none")
    if chosen == "indices":
        return chosen
    if are_whole:
        raise ModelError(f"{where}, each pixel's class; leave --activation out")
    are_probabilities = low >= -_ROUNDING and high <= 1 + _ROUNDING
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


def _name_classes(
    spec: AdoptSpec, adapter: Adapter, scores: npt.NDArray[np.float64], where: str
) -> tuple[str, ...]:
    """Return the background's name and that of each structure."""
    n_maps, low, high = scores.shape[1], scores.min(), scores.max()
    of_indices = adapter.activation == "indices"
    if of_indices and (n_maps != 1 or (scores % 1).any() or not 0 <= low <= high <= 255):
        raise ModelError(f"{where} in {n_maps} maps; expected one map of class indices, 0 to 255")
    n_structures = n_maps - adapter.has_background
    classes, is_one = spec.class_names, spec.task != "regions"
    if not classes and n_structures == 1 and (is_one or not of_indices):
        classes = (BACKGROUND, "head" if spec.task == "head" else "structure")
    holds = high < len(classes) if of_indices else len(classes) == n_structures + 1 > 1
    if not holds or (is_one and len(classes) != 2):
        meaning = "class indices" if of_indices else f"in {n_maps} maps"
        if not of_indices:
            add_up = "the first of" if adapter.has_background else "which do not add up to 1 with"
            meaning += f", {add_up} the background"
        wanted = f"at least {max(1, high) + 1:g}" if of_indices else f"{max(1, n_structures) + 1}"
        if is_one:
            wanted = f"one structure with --task {spec.task}: 2"
        raise ModelError(
            f"{where}, {meaning}; expected {wanted} names in --classes, {BACKGROUND} first; got "
            f"{len(classes)}"
        )
    return classes
