from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.drawing.encode import encode
from edgeseg.phantom.head import Phantom
from edgeseg.segmenter import Segmenter
from tests.run.folders import ScanFolder


@pytest.fixture
def scans(tmp_path: Path, phantoms: list[Phantom]) -> Path:
    """Four readable images in two folders, and three that are not."""
    folder = tmp_path / "scans"
    for name, phantom in zip(("a.png", "b.jpg", "a b/ü.png", "a b/a.png"), phantoms, strict=False):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(path.suffix, phantom.image))
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:1000])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("not an image")
    return folder


@pytest.fixture
def folder(segmenter: Segmenter, scans: Path, tmp_path: Path) -> ScanFolder:
    return ScanFolder(segmenter, scans, tmp_path / "out")


@pytest.fixture
def measured(folder: ScanFolder) -> ScanFolder:
    """A folder that was measured once."""
    folder.run()
    return folder
