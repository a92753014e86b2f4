"""Sensors of the processor: clock, temperature, throttling and power.

Read from Linux's files below ``root``. A value is None where its file cannot be read.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgeseg.system.parallel import read_text

# psutil is not used: it has no governor, throttling, RAPL or peak memory, and importing it would
# delay every command.
_ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"


def state(root: Path = _ROOT) -> dict[str, Any]:
    """Return the processor's current state.

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


def _numbers(paths: Iterable[Path]) -> list[float]:
    """Return the numbers that files hold, those that hold one."""
    texts = [read_text(path) for path in sorted(paths)]
    return [float(text) for text in texts if text.lstrip("-").isdigit()]
