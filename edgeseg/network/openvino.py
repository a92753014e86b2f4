"""OpenVINO behind the few methods of an onnxruntime session that edgeseg calls."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeseg.errors import DeviceError, ModelError
from edgeseg.network.adapter import BYTES, TENSOR_TYPES
from edgeseg.network.metadata import METADATA_KEY
from edgeseg.system.parallel import usable_cores
from edgeseg.system.telemetry import without_module

if TYPE_CHECKING:
    import openvino

PROVIDER = "OpenVINO"
# OpenVINO's names of input types, and numpy's
_TYPES = {"u8": BYTES, "f32": "float32", "f16": "float16", "f64": "float64"}


class OpenVinoSession:
    """A model compiled for the CPU by OpenVINO, in float32 as the file says.

    Compiled for each batch size by itself, as OpenVINO runs fixed shapes faster. Safe to call from
    several threads at once, each has its own request. With ``threads`` None one inference at a time
    takes all cores. `ModelError` or `DeviceError` if the file, or OpenVINO itself, does not load.
    """

    def __init__(self, path: Path, data: bytes, threads: int | None) -> None:
        try:
            # which reports that it was imported, to a server, if it finds this package
            with without_module("openvino_telemetry"):
                import openvino
        except ImportError as error:
            raise DeviceError(
                f"the package openvino is installed but does not load ({error}); install it anew "
                "or use --device cpu"
            ) from error
        self._core = openvino.Core()
        # On processors that have bfloat16 it would be used: other figures than those on the card.
        self._options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads is None:
            self._options["PERFORMANCE_HINT"] = "LATENCY"
        else:
            streams = max(1, usable_cores() // threads)
            self._options |= {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams * threads}
        try:
            self._model = self._core.read_model(data)
        except RuntimeError as error:
            raise ModelError(
                f"{path}: not a model OpenVINO can load ({_last_line(error)}); expected a "
                "single-file ONNX model"
            ) from error
        self._compiling = threading.Lock()
        self._compiled: dict[tuple[int, ...], openvino.CompiledModel] = {}
        self._local = threading.local()
        # Once before threads may call: the first conversion of an array, in two threads at
        # once, can lock both for ever (pybind11's initialisation against Python's lock).
        openvino.Tensor(np.zeros(1, np.uint8), shared_memory=True)
        ports = self._model.inputs
        kind = _TYPES.get(ports[0].element_type.get_type_name()) if len(ports) == 1 else None
        shape = _shape(ports[0]) if kind else []
        if len(shape) != 4 or "?" in shape[1:]:
            return  # whoever reads its inputs sees whether it can run
        try:
            image = np.zeros([1 if length == "?" else int(length) for length in shape], kind)
            self._infer(image)
        except RuntimeError as error:
            text = f"the model does not start on openvino: {_last_line(error)}"
            raise DeviceError(text) from error

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]], /
    ) -> list[npt.NDArray[Any]]:
        """Run the network on its one input, shape (N, C, h, w), and return outputs by name."""
        (tensor,) = inputs.values()
        answer = self._infer(tensor)
        return [np.array(answer[name]) for name in outputs]

    def get_providers(self) -> list[str]:
        """Return what it runs on."""
        return [PROVIDER]

    def get_inputs(self) -> list[Any]:
        """Describe the inputs, each with ``name``, ``type`` and ``shape``."""
        return _describe(self._model.inputs)

    def get_outputs(self) -> list[Any]:
        """Describe the outputs likewise."""
        return _describe(self._model.outputs)

    def get_modelmeta(self) -> Any:
        """Return the file's own texts, as far as edgeseg reads them."""
        try:
            texts = {METADATA_KEY: self._model.get_rt_info(["framework", METADATA_KEY]).value}
        except RuntimeError:  # there is none
            texts = {}
        return SimpleNamespace(custom_metadata_map=texts)

    def _infer(self, tensor: npt.NDArray[Any]) -> Any:
        """Run this thread's own request for the tensor's shape."""
        shape = tensor.shape
        requests: dict[tuple[int, ...], Any] = vars(self._local).setdefault("requests", {})
        if shape not in requests:
            with self._compiling:
                if shape not in self._compiled:
                    model = self._model.clone()
                    model.reshape(list(shape))
                    self._compiled[shape] = self._core.compile_model(model, "CPU", self._options)
            requests[shape] = self._compiled[shape].create_infer_request()
        return requests[shape].infer([tensor], share_inputs=True)


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _describe(ports: Sequence[Any]) -> list[Any]:
    """Return inputs or outputs as onnxruntime has them."""
    described = []
    for port in ports:
        kind = port.element_type.get_type_name()
        name = TENSOR_TYPES[_TYPES[kind]] if kind in _TYPES else f"tensor({kind})"
        described.append(SimpleNamespace(name=port.any_name, type=name, shape=_shape(port)))
    return described


def _shape(port: Any) -> list[int | str]:
    """Return the lengths of a port's axes; one that may vary is ``?``."""
    known = () if port.partial_shape.rank.is_dynamic else port.partial_shape
    return ["?" if length.is_dynamic else length.get_length() for length in known]
