from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import onnxruntime
import pytest

from edgeseg.system import host
from tests.fakes import Clock


def test_the_system_is_named_as_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.describe()["os"] == platform.platform()
    if platform.system() == "Linux":
        monkeypatch.setattr(subprocess, "check_output", lambda *_, **__: pytest.fail("a process"))
        monkeypatch.setattr(platform, "_uname_cache", None)
        host.describe()


def test_a_package_of_an_extra_is_named_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    assert "openvino" not in host.versions()
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2025.1")
    assert host.versions(installed=True)["openvino"] == "2025.1"
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(__version__="2026.4"))
    assert host.versions()["openvino"] == "2026.4"


def test_an_onnxruntime_that_does_not_name_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("onnxruntime.capi.build_and_package_info", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime.capi.build_and_package_info", None)
    for provider, package in (("CPU", "onnxruntime"), ("CUDA", "onnxruntime-gpu")):
        names = [f"{provider}ExecutionProvider"]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda names=names: names)
        assert host.versions()[package] == onnxruntime.__version__


CPU, RAPL = "sys/devices/system/cpu", "sys/class/powercap"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


PI = {
    f"{CPU}/cpu0/cpufreq/scaling_governor": "ondemand",
    f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1500000",
    f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "2400000",
    "sys/class/thermal/thermal_zone0/temp": "61300",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005",
}
SERVER = {
    "proc/cpuinfo": "cpu MHz\t\t: 2600.000\nflags : fpu\ncpu MHz\t\t: 2800.000",
    f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3",
    f"{CPU}/cpu1/thermal_throttle/core_throttle_count": "4",
    "sys/class/thermal/thermal_zone0/temp": "40000",
    "sys/class/thermal/thermal_zone1/temp": "52500",
    "sys/class/thermal/thermal_zone2/temp": "broken",
}


def test_clock_heat_and_throttling(tmp_path: Path) -> None:
    pi, server, nothing = (tmp_path / name for name in ("pi", "server", "nothing"))
    write(pi, PI)
    write(server, SERVER)
    names = ("frequency_mhz", "temperature_c", "throttled")
    assert host.state(pi) == dict(zip(names, (1950.0, 61.3, "0x50005"), strict=True))
    assert host.state(server) == dict(zip(names, (2700.0, 52.5, 7), strict=True))
    assert (host.governor(pi), host.governor(server)) == ("ondemand", None)
    assert {host.governor(nothing), *host.state(nothing).values()} == {None}
    assert host.EnergyMeter(nothing).power_w() is None


def test_power_is_energy_over_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "intel-rapl:0/energy_uj": "1000000",
        "intel-rapl:0:0/energy_uj": "999",
        "intel-rapl:1/energy_uj": "9000000",
        "intel-rapl:1/max_energy_range_uj": "10000000",
    }
    write(tmp_path / RAPL, files)
    clock = Clock()
    monkeypatch.setattr(host, "time", clock)
    meter = host.EnergyMeter(tmp_path)
    clock.now_s = 0.5
    # 2 J in the one; 1.5 J past its range in the other
    files |= {"intel-rapl:0/energy_uj": "3000000", "intel-rapl:1/energy_uj": "500000"}
    write(tmp_path / RAPL, files)
    assert meter.power_w() == pytest.approx(7)
