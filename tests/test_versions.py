from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

from edgeseg.system.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
BOUNDS: list[str] = sorted(
    {*PROJECT["dependencies"], *EXTRAS["archive"], *EXTRAS["dicom-report"], *EXTRAS["dicom-node"]}
)


def lowest(what: str) -> list[str]:
    command = [sys.executable, str(ROOT / ".ci" / "lowest"), what]
    return subprocess.check_output(command, text=True).split()


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_dependency_has_a_lowest_version_and_no_highest(bound: str) -> None:
    assert re.fullmatch(r"[a-z-]+>=\d+(\.\d+)*", bound)
    name, least = bound.split(">=")
    installed = Version(version(name))
    if "EDGESEG_LOWEST" in os.environ:
        assert installed == Version(least)
    assert installed >= Version(least)


def test_the_lowest_versions_tested_are_the_declared_ones() -> None:
    assert [line.split("==") for line in lowest("packages")] == [b.split(">=") for b in BOUNDS]
    (python,) = lowest("python")
    assert PROJECT["requires-python"] == f">={python}"
    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]
    if "EDGESEG_LOWEST" in os.environ:
        assert "{}.{}".format(*sys.version_info) == python


def test_the_citation_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in text
    assert f"\nlicense: {PROJECT['license']}\n" in text
