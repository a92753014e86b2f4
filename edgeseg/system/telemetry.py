"""Switch off the telemetry of the libraries that edgeseg uses."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

# Each library reads its variable once, when it is imported.
_SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",  # training downloads weights through it
    "RAY_USAGE_STATS_ENABLED": "0",
}


def switch_off() -> None:
    """Set the variables that switch telemetry off; call before the libraries are imported.

    Values set by the user are kept: ``ORT_DISABLE_TELEMETRY=0`` lets onnxruntime send.
    """
    for name, value in _SWITCHES.items():
        if not os.environ.get(name):  # onnxruntime sends if the value is empty
            os.environ[name] = value


def switch_off_loaded(onnxruntime: Any) -> None:
    """Switch off an onnxruntime imported before edgeseg, or one that ignores the variable."""
    if is_off():
        onnxruntime.disable_telemetry_events()


def is_off() -> bool:
    """Return whether onnxruntime's telemetry is switched off."""
    return os.environ.get("ORT_DISABLE_TELEMETRY", "").lower() in ("1", "true", "yes", "on")


@contextlib.contextmanager
def without_module(name: str) -> Iterator[None]:
    """Make importing a package fail inside the context, unless it is loaded already.

    For packages that report every import of theirs through another package, without a switch.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
