from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.errors import OutputExistsError
from edgeseg.phantom.head import Phantom
from tests.cli.calls import call
from tests.phantoms import write_hc18

pytest.importorskip("pyarrow")


def test_list_measure_and_collect(tmp_path: Path, phantoms: list[Phantom]) -> None:
    write_hc18(phantoms[:5], tmp_path)
    scans, manifest, out = tmp_path / "training_set", tmp_path / "m.parquet", tmp_path / "out"
    (scans / "broken.png").write_bytes(b"none")
    sizes = tmp_path / "training_set_pixel_size_and_HC.csv"
    listing = ["manifest", scans, "--pixel-sizes", sizes, "--out", manifest]
    assert call(*listing, "--json", tmp_path / "a.json").exit_code == 0
    assert json.loads((tmp_path / "a.json").read_text()) == {"n_files": 6, "n_frames": 6}
    assert isinstance(call(*listing).exception, OutputExistsError)
    command = ["archive", manifest, "--out", out, "--part-size", "2"]
    report = tmp_path / "b.json"
    assert call(*command, "--shard", "0/3", "--json", report).exit_code == 0
    assert json.loads(report.read_text())["counts"]["n_images"] == 2
    done = call(*command, "--collect", "--json", report)
    assert done.exit_code == 1 and json.loads(report.read_text())["missing_parts"] == [1, 2]
    done = call(*command, "--threads", "1", "--json", report)
    assert done.exit_code == 1 and json.loads(report.read_text())["counts"]["failed"] == 1
    assert "0 of 3 parts are missing" in done.output
    done = call("archive", manifest, "--out", out, "--json", report)
    assert done.exit_code == 0 and json.loads(report.read_text())["n_parts"] == 0
    done = call("archive", manifest, "--out", out, "--collect")
    assert done.exit_code == 1 and "complete" in done.output
