from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError, OutputExistsError, OutputLockedError, OutputWriteError
from edgeseg.output.pictures import encode
from edgeseg.output.table import TIMING_COLUMNS, Row, read_rows
from edgeseg.phantom.head import Phantom
from edgeseg.run.folder import FolderRun, Options, Summary
from edgeseg.segmenter import Segmenter
from edgeseg.sources import image_file
from edgeseg.sources.discover import discover
from edgeseg.sources.pixel_sizes import PixelSizes
from edgeseg.system import files


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


def run(
    segmenter: Segmenter, scans: Path, out: Path, size_mm: float | None = 0.2, **options: object
) -> Summary:
    items = discover([str(scans)], out).items
    sizes = PixelSizes(items, size_mm)
    return FolderRun(segmenter, items, sizes, out, Options(**options)).run()  # type: ignore[arg-type]


def untimed(rows: list[Row]) -> list[Row]:
    return [{k: v for k, v in row.items() if k not in TIMING_COLUMNS} for row in rows]


def test_everything_the_contract_names_is_written(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    summary = run(segmenter, scans, out)
    rows = read_rows(out / "results.csv")
    assert [row["file"] for row in rows] == [
        "a b/a.png", "a b/ü.png", "a.png", "b.jpg", "broken.png", "empty.png", "text.png",
    ]  # fmt: skip
    assert [row["status"] for row in rows] == ["ok"] * 4 + ["failed"] * 3
    assert (summary.count("ok"), summary.count("failed"), summary.n_kept) == (4, 3, 0)
    for row in rows[:4]:
        assert float(row["hc_mm"]) == pytest.approx(0.2 * float(row["hc_px"]), abs=1e-3)
        assert float(row["decode_ms"]) > 0
        assert not row["error"]
    for row in rows[4:]:
        assert len(row["error"]) > 20
        assert not row["hc_mm"]
    found = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*") if p.suffix != ".lock")
    assert found == sorted(
        ["report.html", "results.csv", "run.json"]
        + [f"masks/{n}.png" for n in ("a", "b.jpg", "a b/ü", "a b/a")]
        + [f"overlays/{n}.jpg" for n in ("a", "b.jpg", "a b/ü", "a b/a")]
    )
    mask = cv2.imread(str(out / "masks" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.shape == image_file.read_gray(scans / "a.png").shape
    assert set(np.unique(mask)) == {0, 255}
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "done"
    assert record["counts"] == {"n_images": 7, "ok": 4, "empty": 0, "failed": 3}
    assert record["model"]["sha256"] == segmenter.file.sha256
    assert {"arguments", "versions", "host", "timings"} <= record.keys()


def test_threads_and_batches_change_nothing(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    one = run(segmenter, scans, tmp_path / "1", workers=1)
    many = run(segmenter, scans, tmp_path / "2", workers=4)
    batched = run(segmenter, scans, tmp_path / "3", workers=2, batch=3)
    assert untimed(one.rows) == untimed(many.rows)
    for a, b in zip(one.rows, batched.rows, strict=True):
        assert a["status"] == b["status"]
        if a["hc_mm"]:
            assert float(a["hc_mm"]) == pytest.approx(float(b["hc_mm"]), abs=0.01)


def test_without_sizes_the_mm_cells_are_empty(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    row = run(segmenter, scans, tmp_path / "out", size_mm=None).rows[0]
    assert row["status"] == "ok"
    assert row["hc_px"]
    assert [row[c] for c in ("hc_mm", "pixel_size_mm", "area_mm2", "ga_weeks_hadlock")] == [""] * 4


def test_an_image_without_a_head_is_empty_not_failed(segmenter: Segmenter, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "black.png").write_bytes(encode(".png", np.zeros((270, 400), np.uint8)))
    summary = run(segmenter, scans, tmp_path / "out")
    assert summary.rows[0]["status"] == "empty"
    assert summary.rows[0]["hc_mm"] == ""
    assert not cv2.imread(str(tmp_path / "out" / "masks" / "black.png")).any()


def test_an_existing_folder_is_refused_and_left_alone(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(segmenter, scans, out)
    before = (out / "results.csv").read_bytes()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        run(segmenter, scans, out)
    assert (out / "results.csv").read_bytes() == before


def test_overwrite_replaces_its_own_files_and_keeps_the_user_s(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(segmenter, scans, out)
    (out / "masks" / "mine.png").write_bytes(b"mine")
    (scans / "b.jpg").unlink()
    run(segmenter, scans, out, overwrite=True)
    assert (out / "masks" / "mine.png").read_bytes() == b"mine"
    assert not (out / "masks" / "b.jpg.png").exists()
    assert not (out / "overlays" / "b.jpg.jpg").exists()


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
    assert summary.rows[0]["pixel_size_mm"] == "0.1"


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
    with pytest.raises(DataError, match="not the record of a run"):
        run(segmenter, scans, out, resume=True)
    assert "history" in (out / "run.json").read_text()


def test_a_long_narrow_image_is_measured_and_reported(segmenter: Segmenter, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for name, height in (("narrow.png", 8000), ("too_long.png", 70_000)):
        (scans / name).write_bytes(encode(".png", np.zeros((height, 32), np.uint8)))
    summary = run(segmenter, scans, tmp_path / "out")
    assert [row["status"] for row in summary.rows] == ["empty", "failed"]
    assert "do not fit" in summary.rows[1]["error"]
    assert "narrow.png" in (tmp_path / "out" / "report.html").read_text()


def test_a_folder_in_use_or_not_writable_is_refused(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, time; from pathlib import Path; from edgeseg.files import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(OutputLockedError):
            run(segmenter, scans, tmp_path / "out")
        holder.kill()
    run(segmenter, scans, tmp_path / "out")
    with pytest.raises(OutputWriteError):
        run(segmenter, scans, scans / "a.png" / "out")


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
