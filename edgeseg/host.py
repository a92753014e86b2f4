"""The machine and the packages a figure was measured with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from edgeseg.parallel import usable_cores

_PACKAGES = ("edgeseg", "onnxruntime", "onnxruntime-gpu", "numpy", "opencv-python-headless")
_MB = 2**20


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the figures."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe() -> dict[str, Any]:
    """Return what is known of this machine; None where the system does not say.

    Returns
    -------
    dict
        ``cpu``, ``cores`` this process may use, ``memory_mb``, ``os``, ``machine``, ``governor``,
        ``temperature_c``.
    """
    return {
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "memory_mb": _memory_mb(),
        "os": platform.platform(),
        "machine": platform.machine(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "temperature_c": _temperature_c(),
    }


def peak_rss_mb() -> float | None:
    """Return the largest resident memory this process has had, in MiB; None if unknown."""
    # On Linux not getrusage: its peak is inherited from the process that started this one.
    for line in (_read("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MB  # bytes, on macOS


def _cpu_name() -> str | None:
    fields: dict[str, str] = {}
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    # ARM boards name themselves under "Model"
    return fields.get("model name") or fields.get("Model") or platform.processor() or None


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MB
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def _temperature_c() -> float | None:
    text = _read("/sys/class/thermal/thermal_zone0/temp")
    try:
        return int(text) / 1000 if text else None
    except ValueError:
        return None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
