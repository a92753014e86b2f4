"""A model file's bytes, and its onnxruntime session on the device that was asked for alone."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
from pathlib import Path
from typing import Any

import numpy  # noqa: F401 - onnxruntime prints a traceback of its own if it cannot import it
import onnxruntime

from edgeseg.errors import DeviceError, ModelError
from edgeseg.system import telemetry
from edgeseg.system.parallel import usable_cores
from edgeseg.system.text import describe_text_file, first_line, is_out_of_memory

telemetry.switch_off_loaded(onnxruntime)
PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
}
CUDA_OPTIONS = {
    # in 32 bits, as the CPU does: the card's short format moves outlines
    "use_tf32": "0",
    # the last images of a round are of any number, and each would wait for a full search
    "cudnn_conv_algo_search": "HEURISTIC",
}
_PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu",
    "directml": "onnxruntime-directml",
    "coreml": "onnxruntime (for macOS)",
}
_LARGEST = 2**31 - 1  # bytes that protobuf reads
# OpenVINO reads values from other files in any folder, and onnxruntime 1.20 some from the folder in
# which it was started. Their place stands under the key `location`: the first field of a protobuf
# message, its tag and its length written in any of the ways that parsers read.
_ELSEWHERE = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")
_COMPILED_PART = b"EPContext"  # an operator whose work lies in a file made for one device
Session = Any
"""An `onnxruntime.InferenceSession`, or an `OpenVinoSession` with the methods used of it."""


def open_session(
    path: Path, device: str, threads: int | None, *, spin: bool = True, known: bool = False
) -> Session:
    """Open a model on a device; ``auto`` is CUDA where it works and the CPU elsewhere.

    Parameters are those of `edgeseg.Segmenter`, and ``known`` of `read_model`. `DeviceError` if the
    session would not run on the device, `ModelError` if the file is no model that can be loaded.
    """
    if device != "auto" and device not in PROVIDERS:
        raise DeviceError(f"device is {device!r}; expected auto, {', '.join(PROVIDERS)}")
    if threads is not None and threads < 1:
        raise DeviceError(f"threads is {threads}; expected 1 or more")
    options = session_options(threads, spin=spin)
    data = read_model(path, known=known)
    if device == "auto":
        if may_use_card(device):
            with contextlib.suppress(DeviceError):  # installed without a driver or a card
                return _open_on(path, data, "cuda", options, alone=False)
        device = "cpu"
    if PROVIDERS[device] in onnxruntime.get_available_providers():
        return _open_on(path, data, device, options)
    if device == "openvino" and importlib.util.find_spec("openvino"):
        from edgeseg.network.openvino import OpenVinoSession

        return OpenVinoSession(path, data, threads)
    raise DeviceError(_missing_provider(device))


def open_data(path: Path, data: bytes) -> Session:
    """Open a model's bytes on the CPU, or raise `ModelError`; ``path`` is how that names it."""
    return _open_on(path, data, "cpu", session_options(None, spin=False))


def read_model(path: Path, *, known: bool = False) -> bytes:
    """Read a model file; `ModelError` if it cannot be read whole, or keeps parts in other files.

    One that is ``known``, since its hash says what it is, is not looked through.
    """
    data = read_bytes(path)
    if known:
        return data
    if refers_to_files(data):
        raise ModelError(
            f"{path}: the model keeps values in another file (or calls a value 'location'); save "
            "it as a single file, with onnx.save(onnx.load(FILE), OUT)"
        )
    if _COMPILED_PART in data:
        raise ModelError(
            f"{path}: the model holds parts that were compiled for one device ('EPContext'); use "
            "the file they were made from"
        )
    return data


def read_bytes(path: Path) -> bytes:
    """Read a file that may be a model; `ModelError` if it cannot be one."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ModelError(f"{path}: larger than the 2 GiB that a single ONNX file can have")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    if text := describe_text_file(data):
        raise ModelError(f"{path}: {text}")
    return data


def refers_to_files(data: bytes) -> bool:
    """Tell whether an ONNX file says of a tensor that it lies in another (or may say so)."""
    return _ELSEWHERE.search(data) is not None


def may_use_card(device: str) -> bool:
    """Tell whether a session of this device may run on another processor than the CPU."""
    if device == "auto":
        return PROVIDERS["cuda"] in onnxruntime.get_available_providers()
    return device not in ("cpu", "openvino")


def session_options(threads: int | None, *, spin: bool) -> onnxruntime.SessionOptions:
    """Return onnxruntime's options."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors come back as exceptions
    if threads is None and (cores := usable_cores()) < (os.cpu_count() or 1):
        threads = cores  # onnxruntime does not see a container's quota
    if threads is not None:
        options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # `read_model` refuses what refers to another file; nothing could lie here either.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", f"{os.devnull}/none"
    )
    if not spin:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _open_on(path: Path, data: bytes, device: str, options: Any, *, alone: bool = True) -> Session:
    """Open a model on a device; ``alone``: no part of it may run on the CPU instead."""
    provider = PROVIDERS[device]
    first = (provider, CUDA_OPTIONS) if device == "cuda" else provider
    chosen = [first] if alone else [first, PROVIDERS["cpu"]]
    if alone and device != "cpu":
        # The provider would still be listed first, and nothing would say what runs elsewhere.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    failed = _load_cuda() if device in ("cuda", "tensorrt") else ""
    advice = f"{failed}; check the driver and its libraries ({device}), or use --device cpu"
    try:
        session = onnxruntime.InferenceSession(data, options, providers=chosen, enable_fallback=0)
    except Exception as error:  # onnxruntime's own exceptions share no base but this
        text = first_line(error)
        if device != "cpu":
            raise DeviceError(
                f"the model does not start on {device}, or not all of it: {text}{advice}"
            ) from error
        if is_out_of_memory(error):
            raise MemoryError(text) from error
        raise ModelError(
            f"{path}: not a model onnxruntime can load ({text}); expected a single-file ONNX model"
        ) from error
    if (runs_on := session.get_providers()[0]) != provider:
        raise DeviceError(
            f"onnxruntime could not start {provider} and would run on {runs_on}{advice}"
        )
    session.disable_fallback()  # of older versions, which do not take it as an argument
    return session


def _load_cuda() -> str:
    """Load CUDA's libraries where pip has put them, else not found; return what failed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            getattr(onnxruntime, "preload_dlls", str)()  # which versions before 1.21 lack
        except Exception as error:  # of a broken installation, which opening the session reports
            return f" ({first_line(error)})"
    lines = printed.getvalue().strip().splitlines()
    return f" ({lines[0]})" if lines else ""


def _missing_provider(device: str) -> str:
    if device == "openvino":
        return (
            "device 'openvino' needs the package openvino, which is not installed; run "
            "pip install 'edgeseg[openvino]', or use --device cpu"
        )
    package = _PACKAGES[device]
    installed = ", ".join(onnxruntime.get_available_providers())
    return (
        f"device {device!r} needs {PROVIDERS[device]}, this onnxruntime has {installed}: {package} "
        "is not installed, or another onnxruntime package hides it. Run 'pip uninstall "
        f"onnxruntime', then 'pip install {package}'; or use --device cpu"
    )
