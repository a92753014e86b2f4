from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import OutputExistsError, OutputLockedError, OutputWriteError
from edgeseg.images import image_file
from edgeseg.segmenter import Segmenter
from tests.run.folders import run, untimed
from tests.tables import read_rows


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
        assert row["decode_ms"]
        assert not row["reason"]
    for row in rows[4:]:
        assert len(row["reason"]) > 20
        assert not row["hc_mm"]
    found = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*"))
    assert found == sorted(
        [".edgeseg.lock", ".edgeseg.sqlite", "report.html", "results.csv", "run.json"]
        + [f"masks/{n}.png" for n in ("a", "b.jpg", "a b/ü", "a b/a")]
        + [f"overlays/{n}.jpg" for n in ("a", "b.jpg", "a b/ü", "a b/a")]
    )
    mask = cv2.imread(str(out / "masks" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.shape == image_file.read_gray(scans / "a.png").shape
    assert set(np.unique(mask)) == {0, 255}
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "done"
    assert record["counts"] == {
        "n_images": 7, "ok": 4, "doubtful": 0, "empty": 0, "failed": 3,
    }  # fmt: skip
    assert record["model"]["sha256"] == segmenter.file.sha256
    assert {"arguments", "versions", "host", "timings"} <= record.keys()


def test_threads_change_nothing(segmenter: Segmenter, scans: Path, tmp_path: Path) -> None:
    one = run(segmenter, scans, tmp_path / "1", workers=1)
    many = run(segmenter, scans, tmp_path / "2", workers=4)
    assert untimed(one.rows) == untimed(many.rows)


def test_without_sizes_the_mm_cells_are_empty(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    row = run(segmenter, scans, tmp_path / "out", size_mm=None).rows[0]
    assert row["status"] == "ok"
    assert row["hc_px"]
    assert not any(row[c] for c in row if c.endswith("_mm") or "_weeks_" in c)
    assert [row[c] for c in ("area_mm2", "pixel_size_source", "cephalic_index")] == [None, "", None]


def test_an_image_without_a_head_is_empty_not_failed(segmenter: Segmenter, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "black.png").write_bytes(encode(".png", np.zeros((270, 400), np.uint8)))
    summary = run(segmenter, scans, tmp_path / "out")
    assert summary.rows[0]["status"] == "empty"
    assert summary.rows[0]["hc_mm"] is None
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


def test_a_long_narrow_image_is_measured_and_reported(segmenter: Segmenter, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for name, height in (("narrow.png", 8000), ("too_long.png", 70_000)):
        (scans / name).write_bytes(encode(".png", np.zeros((height, 32), np.uint8)))
    summary = run(segmenter, scans, tmp_path / "out")
    assert [row["status"] for row in summary.rows] == ["empty", "failed"]
    assert "do not fit" in str(summary.rows[1]["reason"])
    assert "narrow.png" in (tmp_path / "out" / "report.html").read_text()


def test_a_folder_in_use_or_not_writable_is_refused(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, time; from pathlib import Path; from edgeseg.system.files import locked\n"
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
