"""What an installation brings is named in THIRD_PARTY_NOTICES.md, with its licence."""

from __future__ import annotations

import importlib.metadata
import os
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
EXTRAS = ("dicom", "dicom-report", "dicom-node", "archive")


def find_installed(requirements: list[str]) -> dict[str, str]:
    """Return the packages that requirements bring here, and the licence that each one states."""
    found: dict[str, str] = {}
    pending = [Requirement(text) for text in requirements]
    while pending:
        requirement = pending.pop()
        name = re.sub("[-_.]+", "-", requirement.name).lower()
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that is not installed here
        found[name] = metadata.get("License-Expression") or ""
        pending += map(Requirement, importlib.metadata.requires(name) or [])
    return found


def read_notices() -> dict[str, str]:
    """Return the packages of the tables, and the cells beside them."""
    notices = {}
    for line in (ROOT / "THIRD_PARTY_NOTICES.md").read_text("utf-8").splitlines():
        if line.startswith("| "):
            names, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            for name in names.split(", "):
                notices[re.sub("[-_.]+", "-", name).lower()] = " ".join(cells)
    return notices


@pytest.mark.skipif("EDGESEG_LOWEST" in os.environ, reason="older packages bring others")
def test_all_that_is_installed_is_named_with_its_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    requirements = list(project["dependencies"])
    for extra in EXTRAS:
        requirements += project["optional-dependencies"][extra]
    installed = find_installed(requirements)
    assert {"numpy", "onnxruntime", "rich", "typer"} <= installed.keys()
    notices = read_notices()
    assert installed.keys() <= notices.keys()
    for name, expression in installed.items():
        for licence in re.split(r" (?:AND|OR|WITH) ", expression.replace("(", "").replace(")", "")):
            assert licence in notices[name], f"{name} is under {expression}"
