"""Dependencies have lowest versions, and what an installation brings is named with its licence."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
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
    installed = Version(importlib.metadata.version(name))
    assert installed >= Version(least)
    assert installed == Version(least) or "EDGESEG_LOWEST" not in os.environ


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


def test_pyinstaller_is_told_where_the_hook_lies() -> None:
    entry = importlib.metadata.EntryPoint(
        "", PROJECT["entry-points"]["pyinstaller40"]["hook-dirs"], ""
    )
    (folder,) = entry.load()()
    assert Path(folder, "hook-edgeseg.py").is_file()


def normalized(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def find_installed() -> dict[str, str]:
    """Return the packages that requirements bring here, and the licence that each one states."""
    found: dict[str, str] = {}
    pending = [Requirement(text) for text in BOUNDS]
    while pending:
        requirement = pending.pop()
        name = normalized(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that is not installed here
        found[name] = metadata.get("License-Expression") or ""
        pending += map(Requirement, importlib.metadata.requires(name) or [])
    return found


@pytest.mark.skipif("EDGESEG_LOWEST" in os.environ, reason="older packages bring others")
def test_all_that_is_installed_is_named_with_its_licence() -> None:
    notices = {}
    for line in (ROOT / "THIRD_PARTY_NOTICES.md").read_text("utf-8").splitlines():
        if line.startswith("| "):
            names, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            notices |= {normalized(name): " ".join(cells) for name in names.split(", ")}
    installed = find_installed()
    assert {"numpy", "onnxruntime", "rich", "typer"} <= installed.keys() <= notices.keys()
    for name, expression in installed.items():
        for licence in re.split(r" (?:AND|OR|WITH) ", expression.replace("(", "").replace(")", "")):
            assert licence in notices[name], f"{name} is under {expression}"
