"""A user's own model as it is, with numpy before and behind it: what an adopted one must equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from edgeseg.errors import ModelError, ModelNotFoundError
from edgeseg.images.frame import GrayImage
from edgeseg.network.adapter import Adapter
from edgeseg.network.session import session_options
from edgeseg.system.text import describe_text_file, first_line

FloatMap = npt.NDArray[np.float32]
Output = npt.NDArray[Any]


class OriginalModel:
    """The user's file in plain onnxruntime on the CPU; weights may lie in files beside it.

    Raises
    ------
    ModelNotFoundError, ModelError
        If there is no such file, or onnxruntime cannot load it.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "no such file"
            raise ModelNotFoundError(f"{path}: {what}; expected an ONNX file")
        with path.open("rb") as stream:
            text = describe_text_file(stream.read(1000))
        if text:
            raise ModelError(f"{path}: {text}")
        try:
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
        self.texts: dict[str, str] = self._session.get_modelmeta().custom_metadata_map

    @property
    def fixed_batch(self) -> int | None:
        """Images that a run must take; None where any number goes."""
        batch = self.inputs[0].shape[0]
        return batch if isinstance(batch, int) and batch > 0 else None

    def run(self, adapter: Adapter, gray: GrayImage) -> Output:
        """Return the output as the network gives it for one image, (1, 1, h, w), uint8.

        Raises
        ------
        ModelError
            If the network does not run on this input, or gives no map of each image.
        """
        tensor = _normalize(adapter, np.stack([gray[0, 0]] * adapter.channels)[None])
        if adapter.layout == "nhwc":
            tensor = np.moveaxis(tensor, 1, -1)
        batch = np.ascontiguousarray(np.concatenate([tensor] * (self.fixed_batch or 1)))
        try:
            (output,) = self._session.run([adapter.output], {self.inputs[0].name: batch})
        except Exception as error:  # as above
            height, width = gray.shape[2:]
            raise ModelError(
                f"the model does not run on {height}x{width} pixels with {adapter.channels} "
                f"channels ({first_line(error)}); give the --input it was trained with (many "
                "networks need sides that 32 divides)"
            ) from error
        output = np.asarray(output)
        if not output.ndim or len(output) != len(batch):
            raise ModelError(
                f"the output {adapter.output!r} has the shape {list(output.shape)} for "
                f"{len(batch)} image{'s' * (len(batch) > 1)}; expected maps of each image"
            )
        return output[:1]


def _normalize(adapter: Adapter, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    if adapter.type == "uint8":
        return rgb
    values = rgb.astype(np.float32)
    if adapter.per_image == "z-score":
        values = (values - np.float32(rgb.mean())) / np.float32(max(rgb.std(), 1e-8))
    else:
        largest = max(int(rgb.max()), 1)
        values /= np.float32(largest if adapter.per_image == "maximum" else adapter.scale)
    for i in range(adapter.channels):
        values[:, i] -= np.float32(adapter.mean[i])
        values[:, i] /= np.float32(adapter.sd[i])
    return values.astype(adapter.type)


def read_scores(output: Output, layout: str) -> npt.NDArray[np.float64]:
    """Return an output of one image as (1, maps, h, w), as it is."""
    scores = output.astype(np.float64)
    if layout == "nhw":
        scores = scores[:, None]
    return np.moveaxis(scores, -1, 1) if layout == "nhwc" else scores


def expected_probability(adapter: Adapter, output: Output, n_structures: int) -> FloatMap:
    """Return the probabilities of one image, (1, structures, h, w), by numpy and OpenCV."""
    scores = read_scores(output, adapter.output_layout)
    if adapter.activation == "sigmoid":
        scores = 1 / (1 + np.exp(-np.clip(scores, -500, 500)))
    elif adapter.activation == "softmax":
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
    elif adapter.activation == "indices":
        scores = np.eye(n_structures + 1)[scores[:, 0].astype(int)].transpose(0, 3, 1, 2)
    if adapter.has_background or adapter.activation == "indices":
        scores = scores[:, 1:]
    if adapter.enlarge > 1:
        size = scores.shape[3] * adapter.enlarge, scores.shape[2] * adapter.enlarge
        scores = np.stack([cv2.resize(m, size) for m in scores[0]])[None]
    return scores.astype(np.float32)


def list_ports(ports: list[Any]) -> str:
    """Return inputs or outputs with their types and shapes, for a sentence."""
    return "; ".join(f"{v.name} {v.type} {v.shape}" for v in ports)
