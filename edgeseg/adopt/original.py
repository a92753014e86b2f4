"""A user's own model in plain onnxruntime: what an adopted one must equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from edgeseg.errors import ModelError, ModelNotFoundError
from edgeseg.images.frame import GrayImage
from edgeseg.network.adapter import Adapter
from edgeseg.network.feed import make_input
from edgeseg.network.session import session_options
from edgeseg.system.text import describe_text_file, first_line


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
            if text := describe_text_file(stream.read(1000)):
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

    def run(self, adapter: Adapter, gray: GrayImage) -> npt.NDArray[Any]:
        """Return the output as the network gives it for one image, (1, 1, h, w), uint8.

        Raises
        ------
        ModelError
            If the network does not run on this input, or gives no map of each image.
        """
        fed = np.repeat(make_input(adapter, gray), self.fixed_batch or 1, axis=0)
        try:
            (output,) = self._session.run([adapter.output], {self.inputs[0].name: fed})
        except Exception as error:  # as above
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


def list_ports(ports: list[Any]) -> str:
    """Return inputs or outputs with their types and shapes, for a sentence."""
    return "; ".join(f"{v.name} {v.type} {v.shape}" for v in ports)
