"""A user's own float model: what it takes and gives, and its answer in onnxruntime and numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from edgeseg.errors import ModelError
from edgeseg.images.frame import GrayImage
from edgeseg.network.session import session_options
from edgeseg.system.text import first_line

IMAGE = "image"  # the input of a model of edgeseg
FloatMap = npt.NDArray[np.float32]
ACTIVATIONS = ("sigmoid", "softmax", "none")
LAYOUTS = ("nchw", "nhwc")
FLOATS: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
_SUMS_TOLERANCE = 1e-2  # float16 maps of three classes add up to 1 within 2e-3


@dataclass(frozen=True, slots=True)
class Plan:
    """How a float model is called and what its output means; all that a wrapper must do.

    Attributes
    ----------
    input_name, input_type, channels, channels_last
        The input: a type of `FLOATS`, 1 or 3 channels, and whether these are its last axis.
    height, width
        Of the input, pixels.
    batch
        Images that a run must take; None where any number goes.
    scale, mean, sd
        The network sees ``(gray / scale - mean) / sd``; mean and SD for each channel.
    output_name, output_type, output_shape
        The output, and its shape for one image: (1, maps, h, w), (1, h, w, maps) or (1, h, w).
    output_channels_last
        Whether the maps are its last axis.
    n_maps, shrink
        How many maps it has, and how many input pixels a side one of its pixels covers.
    activation
        ``sigmoid``, ``softmax`` or ``none``: what makes probabilities of the output.
    has_background
        Whether the first map is the background's, which is left out.
    """

    input_name: str
    input_type: str
    channels: int
    channels_last: bool
    height: int
    width: int
    batch: int | None
    scale: float
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    output_name: str = ""
    output_type: str = "tensor(float)"
    output_shape: tuple[int, ...] = ()
    output_channels_last: bool = False
    n_maps: int = 0
    shrink: int = 1
    activation: str = "none"
    has_background: bool = False

    @property
    def n_structures(self) -> int:
        """How many maps of probabilities are kept."""
        return self.n_maps - self.has_background

    def with_output(self, name: str, kind: str, shape: tuple[int, ...]) -> Plan:
        """Return the plan with an output that was seen for one image.

        Raises
        ------
        ModelError
            If it is no map of the input's pixels.
        """
        maps_last = (*shape, 1) if len(shape) == 3 else shape
        orders = {True: maps_last[1:3], False: maps_last[2:]}
        if len(shape) == 3:
            del orders[False]
        fitting = {
            last: self.height // sides[0]
            for last, sides in orders.items()
            if len(maps_last) == 4
            and min(sides) > 0
            and (self.height % sides[0], self.width % sides[1]) == (0, 0)
            and self.height // sides[0] == self.width // sides[1]
        }
        if not fitting:
            raise ModelError(
                f"the output {name!r} has the shape {list(shape)} for an input of "
                f"{self.height}x{self.width} pixels; expected maps of the same size or of a whole "
                "fraction of it, (N, maps, h, w) or (N, h, w, maps); "
                "choose another with --output, or end the model in such maps"
            )
        last = min(fitting, key=lambda order: fitting[order])
        return replace(
            self,
            output_name=name,
            output_type=kind,
            output_shape=shape,
            output_channels_last=last and len(shape) == 4,
            n_maps=maps_last[3] if last else shape[1],
            shrink=fitting[last],
        )


class FloatModel:
    """The file as its user has it, in plain onnxruntime on the CPU.

    Raises
    ------
    ModelError
        If onnxruntime cannot load it.
    """

    def __init__(self, path: Path) -> None:
        try:
            # from the path: weights may lie in files beside it
            options = session_options(None, spin=False, weights_beside=True)
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own exceptions share no base but this
            raise ModelError(
                f"{path}: not a model onnxruntime can load ({first_line(error)})"
            ) from error
        self.inputs: list[Any] = self._session.get_inputs()
        self.outputs: list[Any] = self._session.get_outputs()

    def output(self, plan: Plan, name: str, gray: GrayImage) -> npt.NDArray[np.floating[Any]]:
        """Return an output as the network gives it for one image, (1, 1, h, w), uint8.

        Raises
        ------
        ModelError
            If the network does not run on this input.
        """
        channels = np.repeat(gray.astype(np.float32), plan.channels, axis=1)
        mean, sd = (
            np.array(values, np.float32).reshape(1, -1, 1, 1) for values in (plan.mean, plan.sd)
        )
        tensor = ((channels / np.float32(plan.scale) - mean) / sd).astype(FLOATS[plan.input_type])
        if plan.channels_last:
            tensor = tensor.transpose(0, 2, 3, 1)
        batch = np.ascontiguousarray(np.repeat(tensor, plan.batch or 1, axis=0))
        try:
            (output,) = self._session.run([name], {plan.input_name: batch})
        except Exception as error:  # as above
            raise ModelError(
                f"the model does not run on {plan.height}x{plan.width} pixels with {plan.channels} "
                f"channels ({first_line(error)}); give the --input it was trained with (many "
                "networks need sides that 32 divides)"
            ) from error
        if not output.ndim or len(output) != len(batch):
            raise ModelError(
                f"the output {name!r} has the shape {list(output.shape)} for {len(batch)} "
                f"image{'s' * (len(batch) > 1)}; expected maps of each image"
            )
        return np.asarray(output)[:1]

    def probability(self, plan: Plan, gray: GrayImage) -> FloatMap:
        """Return the probabilities of one image, (1, structures, h, w), by numpy and OpenCV.

        Raises
        ------
        ModelError
            If the network does not run on it, or gives no probabilities.
        """
        maps = self.output(plan, plan.output_name, gray).astype(np.float64)
        if maps.ndim == 3:
            maps = maps[:, None]
        if plan.output_channels_last:
            maps = maps.transpose(0, 3, 1, 2)
        if not np.isfinite(maps).all():
            raise ModelError(
                f"the output {plan.output_name!r} is not finite on a test image; check --scale, "
                "--mean and --sd"
            )
        if plan.activation == "sigmoid":
            maps = 1 / (1 + np.exp(-np.clip(maps, -500, 500)))
        elif plan.activation == "softmax":
            maps = np.exp(maps - maps.max(axis=1, keepdims=True))
            maps /= maps.sum(axis=1, keepdims=True)
        else:
            self._check_probabilities(plan, maps)
        maps = maps[:, int(plan.has_background) :]
        if plan.shrink > 1:
            size = (plan.width, plan.height)
            resized = [cv2.resize(m, size, interpolation=cv2.INTER_LINEAR) for m in maps[0]]
            maps = np.stack(resized)[None]
        return maps.astype(np.float32)

    @staticmethod
    def _check_probabilities(plan: Plan, maps: npt.NDArray[np.float64]) -> None:
        if maps.min() < -1e-3 or maps.max() > 1 + 1e-3:
            raise ModelError(
                f"the output {plan.output_name!r} has values from {maps.min():.3g} to "
                f"{maps.max():.3g}, which are no probabilities; give --activation sigmoid or "
                "softmax"
            )
        if plan.has_background and np.abs(maps.sum(axis=1) - 1).max() > _SUMS_TOLERANCE:
            raise ModelError(
                f"the {plan.n_maps} maps of {plan.output_name!r} do not add up to 1, so the first "
                "is not the background of the others; name each of them in --classes, after "
                "the background"
            )


def listed(values: list[Any]) -> str:
    """Return inputs or outputs with their types and shapes, for a sentence."""
    return "; ".join(f"{v.name} {v.type} {v.shape}" for v in values)
