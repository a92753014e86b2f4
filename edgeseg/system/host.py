"""Versions of packages and facts about this machine, recorded with every measurement."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from edgeseg.system.parallel import read_text, usable_cores
from edgeseg.system.version import __version__

# psutil is not used: it has no governor, throttling, RAPL or peak memory, and importing it would
# delay every command.
_ROOT, _CPUS = Path("/"), "sys/devices/system/cpu"
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
    what `state` returns.
    """
    return {
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "memory_mb": _memory_mb(),
        "os": _system(),
        "machine": platform.machine(),
        "governor": governor(),
        **state(),
    }


def state(root: Path = _ROOT) -> dict[str, Any]:
    """Return the processor's current state, from Linux's files; None where one cannot be read.

    ``frequency_mhz``, the mean over the cores; ``temperature_c``, of the hottest zone;
    ``throttled``: on a Raspberry Pi the firmware's bits as hexadecimal text (bits 0 to 3: low
    voltage, capped, throttled, hot, now; the same from bit 16 on: since the start), elsewhere the
    number of times that cores were throttled since the start.
    """
    clocks_khz = _numbers((root / _CPUS).glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    listed = re.findall(r"^cpu MHz\s*:\s*([\d.]+)$", read_text(root / "proc/cpuinfo"), re.M)
    clocks_mhz = [khz / 1000 for khz in clocks_khz] or [float(value) for value in listed]
    zones = _numbers((root / "sys/class/thermal").glob("thermal_zone*/temp"))
    counts = _numbers((root / _CPUS).glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    bits = read_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    throttled = int(sum(counts)) if counts else None
    return {
        "frequency_mhz": statistics.fmean(clocks_mhz) if clocks_mhz else None,
        "temperature_c": max(zones) / 1000 if zones else None,
        "throttled": f"0x{int(bits, 16):x}" if bits else throttled,
    }


def governor(root: Path = _ROOT) -> str | None:
    """Return the frequency governor of the first core, such as ``performance``."""
    return read_text(root / _CPUS / "cpu0/cpufreq/scaling_governor") or None


class EnergyMeter:
    """Mean power of the processor packages since the meter was created, by RAPL's counters."""

    def __init__(self, root: Path = _ROOT) -> None:
        # intel-rapl:0 is a package, intel-rapl:0:1 a part of it; AMD uses the same names.
        packages = (root / "sys/class/powercap").glob("intel-rapl:*")
        self._packages = sorted(p for p in packages if p.name.count(":") == 1)
        self._started = time.perf_counter()
        self._before = self._read()

    def power_w(self) -> float | None:
        """Return the mean power in watts; None without a readable counter."""
        elapsed = time.perf_counter() - self._started
        after = self._read()
        if not after or len(after) != len(self._before):
            return None
        used = 0.0
        for package, before, now in zip(self._packages, self._before, after, strict=True):
            if now < before:  # the counter wraps at its range
                now += sum(_numbers([package / "max_energy_range_uj"]))
            used += (now - before) / 1e6
        return used / elapsed

    def _read(self) -> list[float]:
        return _numbers(package / "energy_uj" for package in self._packages)


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


def _numbers(paths: Iterable[Path]) -> list[float]:
    """Return the numbers that files hold, those that hold one."""
    texts = [read_text(path) for path in sorted(paths)]
    return [float(text) for text in texts if text.lstrip("-").isdigit()]
