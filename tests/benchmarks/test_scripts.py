"""Every script of ``benchmarks/`` finds what it imports, studies of past decisions included."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.conftest import BENCHMARKS

SCRIPTS = sorted([*BENCHMARKS.glob("*.py"), *(BENCHMARKS / "studies").glob("*.py")])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_finds_its_imports(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("highdicom")
    for folder in {BENCHMARKS, path.parent}:
        monkeypatch.syspath_prepend(folder)
    importlib.import_module(path.stem)
