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
    assert done.exit_code == 1 and "each frame of the manifest has one row" in done.output


@pytest.mark.parametrize("share", ["1", "3/2", "a/2", "1/0", "-1/2", "1/2/3"])
def test_what_is_no_share_is_wrong_usage(share: str) -> None:
    done = CliRunner().invoke(app, ["archive", "m", "--out", "o", "--shard", share])
    assert done.exit_code == 2 and "one of N shares" in done.output.replace("\n", " ")


def test_collecting_is_no_share(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["archive", "m", "--out", "o", "--collect", "--shard", "0/2"])
    assert done.exit_code == 2
