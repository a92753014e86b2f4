from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, OutputExistsError
from edgeseg.output.table import read_rows
from edgeseg.phantom.head import Phantom
from edgeseg.segmenter import Segmenter
from edgeseg.system import files
from tests.fakes import LESIONS, FakeSession, bright_and_gray, open_fake
from tests.run.folders import run, untimed


def test_resume_keeps_rows_retries_failures_and_takes_new_images(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    run(segmenter, scans, out)
    (scans / "broken.png").write_bytes((scans / "a.png").read_bytes())
    (scans / "0new.png").write_bytes((scans / "a.png").read_bytes())
    (out / "masks" / "a.png").unlink()
    stamp = (out / "masks" / "b.jpg.png").stat().st_mtime_ns
    summary = run(segmenter, scans, out, resume=True)
    assert summary.n_kept == 3
    assert (out / "masks" / "a.png").is_file()
    assert (out / "masks" / "b.jpg.png").stat().st_mtime_ns == stamp
    assert untimed(summary.rows) == untimed(run(segmenter, scans, whole).rows)
    assert untimed(read_rows(out / "results.csv")) == untimed(read_rows(whole / "results.csv"))


def test_resume_measures_again_where_the_pixel_size_changed(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    run(segmenter, scans, tmp_path / "out", size_mm=0.2)
    summary = run(segmenter, scans, tmp_path / "out", size_mm=0.1, resume=True)
    assert summary.n_kept == 0
    assert summary.rows[0]["pixel_size_x_mm"] == summary.rows[0]["pixel_size_y_mm"] == "0.1"


def test_resume_refuses_another_input_or_model(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(segmenter, scans, out)
    record = json.loads((out / "run.json").read_text())
    record["model"]["sha256"] = "0" * 64
    files.write_json(out / "run.json", record)
    with pytest.raises(DataError, match="another model"):
        run(segmenter, scans, out, resume=True)
    record["model"]["sha256"] = segmenter.file.sha256
    files.write_json(out / "run.json", record)
    (scans / "a.png").unlink()
    with pytest.raises(DataError, match="not in the input"):
        run(segmenter, scans, out, resume=True)


def test_resume_on_nothing_starts_but_not_among_the_user_s_files(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    assert run(segmenter, scans, tmp_path / "out", resume=True).n_kept == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        run(segmenter, scans, tmp_path / "mine", resume=True)


def test_resume_leaves_another_program_s_record_alone(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "training"
    out.mkdir()
    (out / "run.json").write_text('{"config": {}, "history": []}')
    for how in ("resume", "overwrite"):
        with pytest.raises(OutputExistsError, match=r"run\.json is there, and no earlier run of"):
            run(segmenter, scans, out, **{how: True})
    assert [path.name for path in out.iterdir()] == ["run.json"]
    assert "history" in (out / "run.json").read_text()


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_table(phantoms: list[Phantom], tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for i in range(60):
        phantom = phantoms[i % len(phantoms)]
        (scans / f"{i:02d}.png").write_bytes(encode(".png", phantom.image))
    command = [sys.executable, "-m", "edgeseg", "infer", str(scans), "--pixel-size", "0.2"]
    out, whole = tmp_path / "out", tmp_path / "whole"
    with subprocess.Popen([*command, "--out", str(out), "--threads", "1"]) as killed:
        table = out / "results.csv"
        while not table.exists() or table.read_text().count("\n") < 5:
            assert killed.poll() is None, "ended before it could be killed"
            time.sleep(0.005)
        killed.kill()
    done = len(read_rows(table))
    assert 4 <= done < 60
    subprocess.run([*command, "--out", str(out), "--resume"], check=True)
    subprocess.run([*command, "--out", str(whole)], check=True)
    assert untimed(read_rows(table)) == untimed(read_rows(whole / "results.csv"))
    assert len(list((out / "masks").iterdir())) == 60
    with table.open(newline="") as stream:
        assert len(list(csv.reader(stream))) == 61


def test_resume_refuses_another_engine(segmenter: Segmenter, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(segmenter, scans, out)
    record = json.loads((out / "run.json").read_text())
    record["model"]["provider"] = "OpenVINO"
    files.write_json(out / "run.json", record)
    with pytest.raises(DataError, match="used OpenVINO, now CPUExecutionProvider"):
        run(segmenter, scans, out, resume=True)


def test_what_failed_is_tried_again_though_nothing_else_tells_it_from_done(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    """Without pixel sizes and pictures a failed row lacks nothing that resuming looks for."""
    options = {"masks": False, "overlays": False}
    run(segmenter, scans, tmp_path / "out", None, **options)
    (scans / "broken.png").write_bytes((scans / "a.png").read_bytes())
    summary = run(segmenter, scans, tmp_path / "out", None, resume=True, **options)
    assert summary.n_kept == 4
    assert {r["file"]: r["status"] for r in summary.rows}["broken.png"] == "ok"


def test_overwriting_removes_nothing_outside_the_folder(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    """A table that someone changed may name any file."""
    out, mine = tmp_path / "out", tmp_path / "mine.png"
    run(segmenter, scans, out)
    mine.write_bytes(b"mine")
    table = out / "results.csv"
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    lines.append(lines[1].replace("a b/a.png", "../../mine.png"))
    table.write_text("".join(lines), encoding="utf-8")
    assert read_rows(table)[-1]["file"] == "../../mine.png"
    run(segmenter, scans, out, overwrite=True)
    assert mine.read_bytes() == b"mine"


def test_rows_of_another_task_are_not_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, scans: Path, tmp_path: Path
) -> None:
    run(open_fake(monkeypatch, FakeSession()), scans, tmp_path / "out")
    other = open_fake(monkeypatch, FakeSession(bright_and_gray, LESIONS))
    with pytest.raises(DataError, match="its columns are not those of this edgeseg and model"):
        run(other, scans, tmp_path / "out", resume=True)
