"""Sensors of the processor: clock, temperature, throttling and power.

Read from Linux's files. A value is None on other systems, or where its file cannot be read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# psutil is not used: it has no governor, throttling, RAPL or peak memory, and importing it would
# delay every command.
_ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"


def read_text(path: Path) -> str | None:
    """Return a file's text without surrounding space, or None if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def state(root: Path = _ROOT) -> dict[str, Any]:
    """Return the processor's current state.

    Parameters
    ----------
    root
        Folder that ``proc`` and ``sys`` are in.

    Returns
    -------
    dict
        ``frequency_mhz``, the mean over the cores; ``temperature_c``, of the hottest zone;
        ``throttled``: on a Raspberry Pi the firmware's bits as hexadecimal text (bits 0 to 3: low
        voltage, capped, throttled, hot, now; the same from bit 16 on: since the start), elsewhere
        the number of times that cores were throttled since the start.
    """
    return {
        "frequency_mhz": _frequency_mhz(root),
        "temperature_c": _temperature_c(root),
        "throttled": _throttled(root),
    }


def governor(root: Path = _ROOT) -> str | None:
    """Return the frequency governor of the first core, such as ``performance``."""
    return read_text(root / _CPUS / "cpu0/cpufreq/scaling_governor")


class EnergyMeter:
    """Mean power of the processor packages since the meter was created, by RAPL's counters.

    Parameters
    ----------
    root
        Folder that ``sys`` is in.
    """

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
                now += _number(package / "max_energy_range_uj") or 0.0
            used += (now - before) / 1e6
        return used / elapsed

    def _read(self) -> list[float]:
        values = [_number(package / "energy_uj") for package in self._packages]
        return [value for value in values if value is not None]


def _frequency_mhz(root: Path) -> float | None:
    clocks = _numbers((root / _CPUS).glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    if clocks:
        return _mean(clocks) / 1000
    listed = read_text(root / "proc/cpuinfo") or ""
    clocks = [float(value) for value in re.findall(r"^cpu MHz\s*:\s*([\d.]+)$", listed, re.M)]
    return _mean(clocks) if clocks else None


def _temperature_c(root: Path) -> float | None:
    zones = _numbers((root / "sys/class/thermal").glob("thermal_zone*/temp"))
    return max(zones) / 1000 if zones else None


def _throttled(root: Path) -> str | int | None:
    if bits := read_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled"):
        return f"0x{int(bits, 16):x}"
    counts = _numbers((root / _CPUS).glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    return int(sum(counts)) if counts else None


def _numbers(paths: Iterable[Path]) -> list[float]:
    values = [_number(path) for path in sorted(paths)]
    return [value for value in values if value is not None]


def _number(path: Path) -> float | None:
    try:
        return float(read_text(path) or "")
    except ValueError:
        return None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
