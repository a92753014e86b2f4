from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import OutputLockedError, OutputWriteError
from edgeseg.run import folder as folders
from edgeseg.run import results
from edgeseg.run.store import STORE_NAME
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import locked
from tests.fakes import record_calls
from tests.run.folders import ScanFolder, run
from tests.tables import read_rows


def test_everything_the_contract_names_is_written(folder: ScanFolder) -> None:
    out, summary = folder.out, folder.run()
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
    assert record["model"]["sha256"] == folder.segmenter.file.sha256
    assert {"arguments", "versions", "host", "timings"} <= record.keys()


def test_exports_outlive_a_power_cut_once_a_run_ends(
    folder: ScanFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    record_calls(monkeypatch, log, results, "sync", lambda path: f"flush {path.name}")
    record_calls(monkeypatch, log, Path, "replace", lambda _, new: f"name {new.name}")
    names = ("results.csv", "run.json", "report.html")
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(folders, "_measure", lambda *_: 1 / 0)
        folder.run()
    assert log == [f"name {name}" for name in names]
    folder.run(resume=True)
    assert log[-7:] == [f"{what} {n}" for what in ("name", "flush") for n in names] + ["flush out"]


def test_overwrite_replaces_its_own_files_and_keeps_the_user_s(measured: ScanFolder) -> None:
    masks = measured.out / "masks"
    (masks / "mine.png").write_bytes(b"mine")
    (measured.scans / "b.jpg").unlink()
    measured.run(overwrite=True)
    assert (masks / "mine.png").read_bytes() == b"mine"
    assert not (masks / "b.jpg.png").exists()


def test_names_that_pictures_cannot_have_fail_alone(folder: ScanFolder) -> None:
    scans = folder.scans
    data = (scans / "a.png").read_bytes()
    (scans / f"{'x' * 250}.jpg").write_bytes(data)  # its mask's name would be too long
    (scans / "b.jpg.jpg").mkdir()  # in whose place the overlay of b.jpg would be
    (scans / "b.jpg.jpg" / "c.png").write_bytes(data)
    summary = folder.run(workers=1)
    status = {row["file"]: row["status"] for row in summary.rows}
    assert status[f"{'x' * 250}.jpg"] == "failed" and status["a.png"] == "ok"
    assert sorted((status["b.jpg"], status["b.jpg.jpg/c.png"])) == ["failed", "ok"]
    assert not list(folder.out.rglob("*.part"))


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
    folder: ScanFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(folder.out), pytest.raises(OutputLockedError):
        folder.run()
    folder.run()
    with pytest.raises(OutputWriteError):
        replace(folder, out=folder.scans / "a.png" / "out").run()
    late = replace(folder, out=folder.scans.parent / "late")
    late.out.mkdir()
    monkeypatch.setattr(results, "claim", lambda *_: (late.out / STORE_NAME).touch())  # meanwhile
    with pytest.raises(OutputLockedError):
        late.run()
