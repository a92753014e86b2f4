"""How PyInstaller freezes a program that uses edgeseg; the package's entry point names it."""

from __future__ import annotations

from pathlib import Path


def hook_dirs() -> list[str]:
    """Return the folders of the hooks; PyInstaller calls this."""
    return [str(Path(__file__).parent)]
