from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import OutputLockedError, OutputWriteError
from edgeseg.run import folder, results
from edgeseg.run.store import STORE_NAME
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import locked
from tests.fakes import record_calls
from tests.run.folders import run
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
    assert {p.relative_to(out).as_posix() for p in out.rglob("*.*")} == {
        *(".edgeseg.lock", ".edgeseg.sqlite", "report.html", "results.csv", "run.json"),
        *(f"masks/{n}.png" for n in ("a", "b.jpg", "a b/ü", "a b/a")),
        *(f"overlays/{n}.jpg" for n in ("a", "b.jpg", "a b/ü", "a b/a")),
    }
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "done"
    assert record["counts"] == {
        "n_images": 7, "ok": 4, "doubtful": 0, "empty": 0, "failed": 3,
    }  # fmt: skip
    assert record["model"]["sha256"] == segmenter.file.sha256
    assert {"arguments", "versions", "host", "timings"} <= record.keys()


def test_exports_outlive_a_power_cut_once_a_run_ends(
    segmenter: Segmenter, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    record_calls(monkeypatch, log, results, "sync", lambda path: f"flush {path.name}")
    record_calls(monkeypatch, log, Path, "replace", lambda _, new: f"name {new.name}")
    names = ("results.csv", "run.json", "report.html")
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(folder, "_measure", lambda *_: 1 / 0)
        run(segmenter, scans, tmp_path / "out")
    assert log == [f"name {name}" for name in names]
    run(segmenter, scans, tmp_path / "out", resume=True)
    assert log[-7:] == [f"{what} {n}" for what in ("name", "flush") for n in names] + ["flush out"]


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


def test_names_that_pictures_cannot_have_fail_alone(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    data = (scans / "a.png").read_bytes()
    (scans / f"{'x' * 250}.jpg").write_bytes(data)  # its mask's name would be too long
    (scans / "b.jpg.jpg").mkdir()  # in whose place the overlay of b.jpg would be
    (scans / "b.jpg.jpg" / "c.png").write_bytes(data)
    summary = run(segmenter, scans, tmp_path / "out", workers=1)
    status = {row["file"]: row["status"] for row in summary.rows}
    assert status[f"{'x' * 250}.jpg"] == "failed" and status["a.png"] == "ok"
    assert sorted((status["b.jpg"], status["b.jpg.jpg/c.png"])) == ["failed", "ok"]
    assert not list((tmp_path / "out").rglob("*.part"))


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
    segmenter: Segmenter, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(tmp_path / "out"), pytest.raises(OutputLockedError):
        run(segmenter, scans, tmp_path / "out")
    run(segmenter, scans, tmp_path / "out")
    with pytest.raises(OutputWriteError):
        run(segmenter, scans, scans / "a.png" / "out")
    late = tmp_path / "late"
    late.mkdir()
    monkeypatch.setattr(results, "claim", lambda *_: (late / STORE_NAME).touch())  # meanwhile
    with pytest.raises(OutputLockedError):
        run(segmenter, scans, late)
