from __future__ import annotations

import platform
import subprocess
import sys
from types import SimpleNamespace

import onnxruntime
import pytest

from edgeseg.system import host


def test_the_system_is_named_as_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.describe()["os"] == platform.platform()
    if platform.system() == "Linux":
        monkeypatch.setattr(
            subprocess, "check_output", lambda *_, **__: pytest.fail("starts a process")
        )
        monkeypatch.setattr(platform, "_uname_cache", None)
        host.describe()
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    monkeypatch.setattr(platform, "platform", lambda: "Windows-11-10.0.22631-SP0")
    assert host.describe()["os"] == "Windows-11-10.0.22631-SP0"


@pytest.mark.parametrize("package", ["openvino", "pydicom", "pynetdicom"])
def test_a_package_of_an_extra_is_named_where_it_is_used(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, package, raising=False)
    assert package not in host.versions()
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2025.1")
    assert host.versions(installed=True)[package] == "2025.1"
    monkeypatch.setitem(sys.modules, package, SimpleNamespace(__version__="2026.4"))
    assert host.versions()[package] == "2026.4"


@pytest.mark.parametrize(
    ("providers", "package"),
    [
        (["AzureExecutionProvider", "CPUExecutionProvider"], "onnxruntime"),
        (["TensorrtExecutionProvider", "CUDAExecutionProvider"], "onnxruntime-gpu"),
        (["DmlExecutionProvider", "CPUExecutionProvider"], "onnxruntime-directml"),
    ],
)
def test_an_onnxruntime_that_does_not_name_its_package(
    providers: list[str], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("onnxruntime.capi.build_and_package_info", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime.capi.build_and_package_info", None)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    assert host.versions()[package] == onnxruntime.__version__
