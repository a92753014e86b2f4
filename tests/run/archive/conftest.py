"""A folder of images listed in a manifest; seven images, three of them none, in parts of two."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from edgeseg.run.archive.manifest import write_manifest
from edgeseg.run.archive.place import place_of
from edgeseg.run.archive.plan import Plan


@pytest.fixture
def plan(tmp_path: Path, scans: Path) -> Plan:
    manifest = place_of(str(tmp_path / "m.parquet"))
    write_manifest([str(scans)], manifest, 0.2)
    return Plan(manifest.text, str(tmp_path / "out"), part_size=2)
