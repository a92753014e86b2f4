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
