"""Versions of packages and facts about this machine, recorded with every measurement."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from edgeseg.system import sensors
from edgeseg.system.parallel import read_text, usable_cores
from edgeseg.system.version import __version__

_MB = 2**20
BROKEN = "does not load"
"""Start of the text in `versions` for a package that is installed but cannot be imported."""
_OF_EXTRAS = ("openvino", "pydicom", "highdicom", "pynetdicom")


def versions(*, installed: bool = False) -> dict[str, str]:
    """Return the versions of Python and of the packages that determine the figures.

    They are read from the modules, since package metadata is slow to read. With ``installed`` they
    include packages that are not imported yet, and one that does not load is listed with the
    reason.
    """
    found = {"python": platform.python_version(), "edgeseg": __version__}
    for name, module in (("onnxruntime", "onnxruntime"), ("numpy", "numpy"), ("opencv", "cv2")):
        try:
            version = str(import_module(module).__version__)
            name = _runtime_package() if module == "onnxruntime" else name
        except Exception as error:  # a broken package may raise anything
            if not installed:
                raise
            version = f"{BROKEN}: {type(error).__name__}: {error}"
        found[name] = version
    of_extras = {name: extra_version(name, installed=installed) for name in _OF_EXTRAS}
    return found | {name: version for name, version in of_extras.items() if version}


def extra_version(name: str, *, installed: bool = False) -> str:
    """Return the version of an extra's package if it is imported or, if asked for, installed."""
    if name in sys.modules:
        return str(getattr(sys.modules[name], "__version__", ""))
    if installed:
        from importlib import metadata

        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return ""


def providers() -> list[str]:
    """Return what onnxruntime can run on; nothing where it does not load."""
    try:
        import onnxruntime

        return [*onnxruntime.get_available_providers()]
    except Exception:  # `versions` says why
        return []


def describe() -> dict[str, Any]:
    """Return facts about this machine; None where the system does not provide one.

    ``cpu``, ``cores`` this process may use, ``memory_mb``, ``os``, ``machine``, ``governor``, and
    what `edgeseg.system.sensors.state` returns.
    """
    return {
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "memory_mb": _memory_mb(),
        "os": _system(),
        "machine": platform.machine(),
        "governor": sensors.governor(),
        **sensors.state(),
    }


def peak_rss_mb() -> float | None:
    """Return the largest resident memory this process has had, in MiB; None if unknown."""
    # Not getrusage on Linux: its peak includes that of the parent process before exec.
    for line in read_text(Path("/proc/self/status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MB  # bytes, on macOS


def _runtime_package() -> str:
    try:
        from onnxruntime.capi import build_and_package_info
    except ImportError:  # 1.20 lacks the module
        is_gpu = "CUDAExecutionProvider" in providers()
        return "onnxruntime-gpu" if is_gpu else "onnxruntime"
    return str(build_and_package_info.package_name)


def _cpu_name() -> str | None:
    fields: dict[str, str] = {}
    for line in read_text(Path("/proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    # ARM boards have "Model" instead.
    return fields.get("model name") or fields.get("Model") or platform.processor() or None


def _system() -> str:
    """Return `platform.platform()` without the process that it starts on Linux."""
    if platform.system() != "Linux":
        return platform.platform()
    libc = "".join(platform.libc_ver())
    parts = ["Linux", platform.release(), platform.machine(), *([f"with-{libc}"] if libc else [])]
    return "-".join(parts)


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MB
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
