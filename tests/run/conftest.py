"""Folders of images measured as the command line does, and their rows without their times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgeseg.drawing.encode import encode
from edgeseg.images.calibration import Calibration
from edgeseg.inputs.discover import discover
from edgeseg.inputs.facts import Ages, PixelSizes
from edgeseg.output.table import TIMING_COLUMNS, Row
from edgeseg.phantom.head import Phantom
from edgeseg.run.folder import Summary, measure_folder
from edgeseg.run.worker import Options, Worker
from edgeseg.segmenter import Segmenter


def run(
    segmenter: Segmenter, scans: Path, out: Path, size_mm: float | None = 0.2,
    weeks: dict[str, float | None] | None = None, site: Calibration | None = None, **more: object,
) -> Summary:  # fmt: skip
    items = discover([str(scans)], out).items
    known = PixelSizes(items, size_mm), Options(**more), Ages(items, None, weeks), site  # type: ignore[arg-type]
    return measure_folder(Worker(segmenter, *known), items, out)


@dataclass(frozen=True)
class ScanFolder:
    """Scans, and where their results come."""

    segmenter: Segmenter
    scans: Path
    out: Path

    def run(self, *given: Any, **more: Any) -> Summary:
        return run(self.segmenter, self.scans, self.out, *given, **more)


def untimed(rows: Iterable[Row]) -> list[Row]:
    return [{k: v for k, v in row.items() if k not in TIMING_COLUMNS} for row in rows]


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
