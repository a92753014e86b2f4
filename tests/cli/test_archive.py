from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
from typer.testing import CliRunner

from edgeseg.cli import app
from edgeseg.errors import OutputExistsError
from edgeseg.phantom.head import Phantom
from tests.phantoms import write_hc18


def test_list_measure_and_collect(tmp_path: Path, phantoms: list[Phantom]) -> None:
    write_hc18(phantoms[:5], tmp_path)
    scans, manifest, out = tmp_path / "training_set", tmp_path / "m.parquet", tmp_path / "out"
    (scans / "broken.png").write_bytes(b"none")
    sizes = str(tmp_path / "training_set_pixel_size_and_HC.csv")
    run = CliRunner().invoke
    listing = ["manifest", str(scans), "--pixel-sizes", sizes, "--out", str(manifest)]
    assert run(app, [*listing, "--json", str(tmp_path / "a.json")]).exit_code == 0
    assert json.loads((tmp_path / "a.json").read_text()) == {"n_files": 6, "n_frames": 6}
    assert isinstance(run(app, listing).exception, OutputExistsError)
    command = ["archive", str(manifest), "--out", str(out), "--part-size", "2"]
    report = tmp_path / "b.json"
    assert run(app, [*command, "--shard", "0/3", "--json", str(report)]).exit_code == 0
    assert json.loads(report.read_text())["counts"]["n_images"] == 2
    done = run(app, [*command, "--collect", "--json", str(report)])
    assert done.exit_code == 1 and json.loads(report.read_text())["missing_parts"] == [1, 2]
    done = run(app, [*command, "--threads", "1", "--json", str(report)])
    assert done.exit_code == 1 and json.loads(report.read_text())["counts"]["failed"] == 1
    assert "0 of 3 parts are missing" in done.output
    done = run(app, ["archive", str(manifest), "--out", str(out), "--json", str(report)])
    assert done.exit_code == 0 and json.loads(report.read_text())["n_parts"] == 0
    done = run(app, ["archive", str(manifest), "--out", str(out), "--collect"])
    assert done.exit_code == 1 and "complete" in done.output
