"""An onnxruntime session on the device that was asked for, and on no other."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any, Protocol

import onnxruntime

from edgeseg.errors import DeviceError, ModelError
from edgeseg.network.gpu import CUDA_OPTIONS, load_libraries
from edgeseg.network.metadata import METADATA_KEY, ModelMetadata
from edgeseg.network.model_file import read_model
from edgeseg.system import telemetry
from edgeseg.system.parallel import usable_cores
from edgeseg.system.text import first_line

telemetry.switch_off_loaded(onnxruntime)
PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
}
_MAP = "probability"
_LARGEST_BATCH = 1024  # of a graph that takes no other: one image is filled up to it
_PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu",
    "directml": "onnxruntime-directml",
    "coreml": "onnxruntime (for macOS)",
}


class Session(Protocol):
    """What edgeseg calls of an `onnxruntime.InferenceSession`, and other engines offer too."""

    def run(self, output_names: list[str], input_feed: dict[str, Any], /) -> list[Any]:
        """Run the network on named inputs and return the outputs asked for."""

    def get_providers(self) -> list[str]:
        """Return what it runs on, the first choice first."""

    def get_inputs(self) -> list[Any]:
        """Return the inputs, each with a ``name``, a ``type`` and a ``shape``."""

    def get_outputs(self) -> list[Any]:
        """Return the outputs, likewise."""

    def get_modelmeta(self) -> Any:
        """Return the file's own texts, as ``custom_metadata_map``."""


def open_session(
    path: Path, device: str, threads: int | None, *, spin: bool = True, known: bool = False
) -> Session:
    """Open a model on a device, or raise; ``auto`` is CUDA where it works and the CPU elsewhere.

    Parameters are those of `edgeseg.Segmenter`, and ``known`` of `read_model`.

    Raises
    ------
    DeviceError
        If the device is unknown, or the session would not run on it.
    ModelError
        If the file is not a model that can be loaded.
    """
    if device != "auto" and device not in PROVIDERS:
        raise DeviceError(f"device is {device!r}; expected auto, {', '.join(PROVIDERS)}")
    if threads is not None and threads < 1:
        raise DeviceError(f"threads is {threads}; expected 1 or more")
    options = session_options(threads, spin=spin)
    data = read_model(path, known=known)
    if device == "auto":
        if may_use_card(device):
            try:
                return _open_on(path, data, "cuda", options, alone=False)
            except DeviceError:
                pass  # installed without a driver or a card: `auto` then means the CPU
        device = "cpu"
    elif PROVIDERS[device] not in onnxruntime.get_available_providers():
        if device == "openvino" and importlib.util.find_spec("openvino"):
            from edgeseg.network.openvino import OpenVinoSession

            try:
                return OpenVinoSession(path, data, threads)
            except UnicodeDecodeError as error:
                raise _no_text(path, error) from error
        raise DeviceError(_missing_provider(device))
    return _open_on(path, data, device, options)


def may_use_card(device: str) -> bool:
    """Tell whether a session of this device may run on another processor than the CPU."""
    if device == "auto":
        return PROVIDERS["cuda"] in onnxruntime.get_available_providers()
    return device not in ("cpu", "openvino")


def session_options(
    threads: int | None, *, spin: bool, weights_beside: bool = False
) -> onnxruntime.SessionOptions:
    """Return onnxruntime's options; ``weights_beside``: the model's may lie beside its file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors come back as exceptions
    if threads is None and (cores := usable_cores()) < (os.cpu_count() or 1):
        threads = cores  # onnxruntime does not see a container's quota
    if threads is not None:
        options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not weights_beside:
        # `read_model` refuses what refers to another file; nothing could lie here either.
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", f"{os.devnull}/none"
        )
    if not spin:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _open_on(
    path: Path,
    data: bytes,
    device: str,
    options: onnxruntime.SessionOptions,
    *,
    alone: bool = True,
) -> Session:
    """Open a model on a device; ``alone``: no part of it may run on the CPU instead."""
    provider = PROVIDERS[device]
    first = (provider, CUDA_OPTIONS) if device == "cuda" else provider
    chosen = [first] if alone else [first, PROVIDERS["cpu"]]
    if alone and device != "cpu":
        # The provider would still be listed first, and nothing would say what runs elsewhere.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    said = load_libraries(onnxruntime) if device in ("cuda", "tensorrt") else ""
    try:
        session = onnxruntime.InferenceSession(data, options, providers=chosen, enable_fallback=0)
    except Exception as error:  # onnxruntime's own exceptions share no base but this
        if device != "cpu":
            raise DeviceError(
                f"the model does not start on {device}, or not all of it: {first_line(error)}"
                f"{said}; check the driver and its libraries, or use --device cpu"
            ) from error
        raise ModelError(
            f"{path}: not a model onnxruntime can load ({first_line(error)}); expected a "
            "single-file ONNX written by 'edgeseg export' or 'edgeseg adopt'"
        ) from error
    if session.get_providers()[0] != provider:
        raise DeviceError(
            f"onnxruntime could not start {provider} and would run on "
            f"{session.get_providers()[0]}{said}; check the driver and its libraries ({device}), "
            "or use --device cpu"
        )
    session.disable_fallback()  # of older versions, which do not take it as an argument
    opened: Session = session
    return opened


def _missing_provider(device: str) -> str:
    if device == "openvino":
        return (
            "device 'openvino' needs the package openvino, which is not installed; run "
            "pip install 'edgeseg[openvino]', or use --device cpu"
        )
    import importlib.metadata

    package = _PACKAGES[device]
    installed = ", ".join(onnxruntime.get_available_providers())
    try:
        importlib.metadata.version(package)
        state = f"{package} is installed but another onnxruntime package hides it"
    except importlib.metadata.PackageNotFoundError:
        state = f"{package} is not installed"
    return (
        f"device {device!r} needs {PROVIDERS[device]}, this onnxruntime has {installed}: {state}. "
        f"Run 'pip uninstall onnxruntime', then 'pip install {package}'; or use --device cpu"
    )


def find_outputs(session: Session) -> list[Any]:
    """Return the outputs that may be the map: the one named ``probability``, or else all."""
    outputs = session.get_outputs()
    return [output for output in outputs if output.name == _MAP] or outputs


def read_metadata(session: Session, path: Path) -> ModelMetadata:
    """Read a session's metadata and hold its input and output to it.

    Raises
    ------
    ModelError
        If there is none, it is damaged, or the graph is another than it says.
    """
    try:
        return _read_metadata(session, path)
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from error


def _no_text(path: Path, error: UnicodeDecodeError) -> ModelError:
    return ModelError(f"{path}: damaged, its names are no UTF-8 ({error})")


def _read_metadata(session: Session, path: Path) -> ModelMetadata:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    inputs, outputs = session.get_inputs(), find_outputs(session)
    [given.name for given in inputs]  # read here, as those of the outputs are
    if text is None:
        raise ModelError(
            f"{path}: the model carries no edgeseg metadata, so its normalisation, classes and "
            f"threshold are unknown; wrap it with 'edgeseg adopt {path} --out FILE --scale 255 "
            "--mean 0.485,0.456,0.406 --sd 0.229,0.224,0.225 --activation sigmoid --classes "
            "background,lesion', with the values it was trained with"
        )
    metadata = ModelMetadata.from_json(text)
    n_maps = len(metadata.task.structures)
    sides = [metadata.input_height, metadata.input_width]
    takes = [list(i.shape) for i in inputs if i.type in ("tensor(uint8)", "tensor(float)")]
    gives = [list(o.shape) for o in outputs]
    fits = (
        len(inputs) == len(takes) == len(outputs) == 1
        and outputs[0].type == "tensor(float)"
        and len(takes[0]) == 4
        and takes[0][1] in ((1,) if inputs[0].type == "tensor(uint8)" else (1, 3))
        and takes[0][2:] == sides
        and (not isinstance(takes[0][0], int) or 1 <= takes[0][0] <= _LARGEST_BATCH)
        and len(gives[0]) == 4
        and gives[0][1] in (n_maps, *_unknown(gives[0][1]))
    )
    if not fits:
        got = "; ".join(f"{i.name} {i.type} {i.shape}" for i in (*inputs, *outputs))
        raise ModelError(
            f"{path}: expected one input tensor(uint8) of shape (N, 1, {sides[0]}, {sides[1]}) and "
            f"one output tensor(float) of shape (N, {n_maps}, {sides[0]}, {sides[1]}), or one of "
            f"several named '{_MAP}', got {got}"
        )
    return metadata


def _unknown(length: int | str | None) -> tuple[int | str | None, ...]:
    """Return a length that the graph leaves open as one that may be anything."""
    return () if isinstance(length, int) else (length,)
