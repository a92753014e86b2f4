"""Nothing calls home: what the libraries underneath would send stays unsent."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

# Each read once, when its library is imported.
_SWITCHES = {
    # its Linux and macOS packages keep events and a device id, and send them
    "ORT_DISABLE_TELEMETRY": "1",
    # by which training loads the weights it is asked for
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # which reports each cluster that is started
    "RAY_USAGE_STATS_ENABLED": "0",
}


def switch_off() -> None:
    """Tell the libraries to send nothing, before they are imported.

    What a user has set stays: ``ORT_DISABLE_TELEMETRY=0`` lets onnxruntime send.
    """
    for name, value in _SWITCHES.items():
        if not os.environ.get(name):  # onnxruntime sends where it is set to nothing
            os.environ[name] = value


def switch_off_loaded(onnxruntime: Any) -> None:
    """Tell an onnxruntime that was imported before edgeseg, or reads no variable, likewise."""
    if is_off():
        onnxruntime.disable_telemetry_events()


def is_off() -> bool:
    """Return whether onnxruntime is told to send nothing."""
    return os.environ.get("ORT_DISABLE_TELEMETRY", "").lower() in ("1", "true", "yes", "on")


@contextlib.contextmanager
def without_module(name: str) -> Iterator[None]:
    """Make a package impossible to import meanwhile, unless it is loaded already.

    For packages that report each import of them through another, and ask no variable.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
