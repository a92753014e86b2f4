"""Fetal head segmentation and head circumference from ultrasound, without torch.

>>> import edgeseg
>>> segmenter = edgeseg.load("hc18-nano")  # doctest: +SKIP
>>> segmenter.predict("scan.png", pixel_size_mm=0.12).hc_mm  # doctest: +SKIP
173.2
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgeseg.errors import (
    ConfigError,
    DataError,
    DeviceError,
    EdgesegError,
    ImageDecodeError,
    InputNotFoundError,
    MissingExtraError,
    ModelError,
    ModelNotFoundError,
    OutputExistsError,
    OutputLockedError,
    OutputNameError,
    OutputWriteError,
    ParityError,
)
from edgeseg.system import telemetry as _telemetry
from edgeseg.system.version import __version__ as __version__

if TYPE_CHECKING:
    from os import PathLike

    from edgeseg.measure.ellipse import Ellipse
    from edgeseg.network.metadata import ModelMetadata
    from edgeseg.prediction import Prediction
    from edgeseg.segmenter import Segmenter

# Here, since whoever imports any part of edgeseg comes by, and before it imports onnxruntime.
_telemetry.switch_off()

__all__ = [
    "ConfigError",
    "DataError",
    "DeviceError",
    "EdgesegError",
    "Ellipse",
    "ImageDecodeError",
    "InputNotFoundError",
    "MissingExtraError",
    "ModelError",
    "ModelMetadata",
    "ModelNotFoundError",
    "OutputExistsError",
    "OutputLockedError",
    "OutputNameError",
    "OutputWriteError",
    "ParityError",
    "Prediction",
    "Segmenter",
    "load",
]

# Imported on first use: `edgeseg --help` must not pay for OpenCV and onnxruntime.
_LAZY = {
    "Ellipse": "edgeseg.measure.ellipse",
    "ModelMetadata": "edgeseg.network.metadata",
    "Prediction": "edgeseg.prediction",
    "Segmenter": "edgeseg.segmenter",
}


def load(
    model: str | PathLike[str] = "hc18-nano",
    *,
    device: str = "auto",
    threads: int | None = None,
    spin: bool = True,
) -> Segmenter:
    """Open a model: ``load("hc18-nano")`` or ``load("my-model.onnx", device="cpu", threads=1)``.

    See `Segmenter` for the parameters and errors.

    Examples
    --------
    >>> load("hc18-nano", device="cpu").metadata.task.kind
    'head'
    """
    from edgeseg.segmenter import Segmenter

    return Segmenter(model, device=device, threads=threads, spin=spin)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'edgeseg' has no attribute {name!r}")
