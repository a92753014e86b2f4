"""Folders of images: what is written, kept, given and continued."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, OutputExistsError, OutputLockedError, OutputWriteError
from edgeseg.images.calibration import Calibration
from edgeseg.run import folder as folders
from edgeseg.run import results
from edgeseg.run.store import STORE_NAME, Picture, Store
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import locked
from tests.fakes import record_calls
from tests.run.conftest import ScanFolder, run, untimed
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
        patch.setattr(folders, "_measure_all", lambda *_: 1 / 0)
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


SITE = Calibration(0.98, 0.0, 0.004)
AGES = {"a.png": 20.0, "a b/a.png": None, "b.jpg": 21.4285714}


def test_ages_give_centiles_at_the_end_of_the_table(folder: ScanFolder) -> None:
    summary = folder.run(weeks=AGES)
    header = (folder.out / "results.csv").read_text().splitlines()[0]
    assert header.endswith(
        ",postprocess_ms,ga_weeks_given,hc_centile_intergrowth,bpd_centile_intergrowth,"
        "ofd_centile_intergrowth"
    )
    rows = {row["file"]: row for row in summary.rows}
    assert rows["a.png"]["ga_weeks_given"] == 20.0
    assert rows["b.jpg"]["ga_weeks_given"] == 21.4286
    assert 0 <= rows["a.png"]["hc_centile_intergrowth"] <= 100
    assert rows["a b/ü.png"]["ga_weeks_given"] == rows["broken.png"]["ga_weeks_given"] is None
    assert "GA given" in (folder.out / "report.html").read_text(encoding="utf-8")


def test_a_calibration_is_in_the_rows_the_record_and_the_report(folder: ScanFolder) -> None:
    before = folder.run().rows[0]
    assert "calibration" not in json.loads((folder.out / "run.json").read_text())
    after = folder.run(site=SITE, overwrite=True).rows[0]
    assert list(after)[-2:] == ["calibration_factor", "calibration_shift_mm"]
    assert after["calibration_factor"] == 0.98
    assert after["hc_mm"] == pytest.approx(0.98 * before["hc_mm"], abs=0.001)
    assert after["hc_px"] == before["hc_px"]
    record = json.loads((folder.out / "run.json").read_text())
    assert record["calibration"] == {
        "factor": 0.98, "shift_mm": 0.0, "factor_half_width": 0.004, "shift_half_width_mm": 0.0,
        "model_sha256": "",
    }  # fmt: skip
    report = (folder.out / "report.html").read_text(encoding="utf-8")
    assert "Calibrated: millimetres are multiplied by 0.9800" in report


def test_resume_measures_again_what_was_given_otherwise(folder: ScanFolder) -> None:
    folder.run(0.4, AGES, SITE)
    older = AGES | {"a.png": 25.0}
    summary = folder.run(0.4, older, SITE, resume=True)
    assert summary.n_kept == 3
    assert summary.rows[2]["ga_weeks_given"] == 25.0
    other = Calibration(0.97, 0.0, 0.004)
    summary = folder.run(0.4, older, other, resume=True)
    assert summary.n_kept == 0
    assert {r["calibration_factor"] for r in summary.rows if r["status"] == "ok"} == {0.97}
    shifted = Calibration(0.97, -1.0, 0.004)
    assert folder.run(0.4, older, shifted, resume=True).n_kept == 0
    with pytest.raises(DataError, match="columns"):
        folder.run(0.4, older, resume=True)


def test_resume_keeps_rows_retries_failures_and_takes_new_images(measured: ScanFolder) -> None:
    scans, out, whole = measured.scans, measured.out, replace(measured, out=measured.out / "../all")
    (scans / "broken.png").write_bytes((scans / "a.png").read_bytes())
    (scans / "0new.png").write_bytes((scans / "a.png").read_bytes())
    (out / "masks" / "a.png").unlink()
    stamp = (out / "masks" / "b.jpg.png").stat().st_mtime_ns
    summary = measured.run(resume=True)
    assert summary.n_kept == 3
    assert (out / "masks" / "a.png").is_file()
    assert (out / "masks" / "b.jpg.png").stat().st_mtime_ns == stamp
    assert untimed(summary.rows) == untimed(whole.run().rows)
    assert untimed(read_rows(out / "results.csv")) == untimed(read_rows(whole.out / "results.csv"))


def test_resume_refuses_another_input_model_or_engine(measured: ScanFolder) -> None:
    away = (scan := measured.scans / "a.png").rename(measured.scans / "away")
    with pytest.raises(DataError, match=r"'a\.png'"):
        measured.run(resume=True)
    away.rename(scan)
    for changed, says in (
        ({"provider": "OpenVINO"}, "OpenVINO"),
        ({"sha256": "0"}, "another model"),
    ):
        with contextlib.closing(Store(measured.out)) as store:
            store.write_record(store.read_record() | changed)
        with pytest.raises(DataError, match=says):
            measured.run(resume=True)


def test_resume_on_nothing_starts_but_not_among_the_user_s_files(folder: ScanFolder) -> None:
    (folder.out / "run.json").parent.mkdir()
    (folder.out / "run.json").write_text("mine")
    for how in ("resume", "overwrite"):
        with pytest.raises(OutputExistsError, match=str(folder.out)):
            folder.run(**{how: True})
    assert [path.read_text() for path in folder.out.iterdir()] == ["mine"]
    (folder.out / "run.json").unlink()
    assert folder.run(resume=True).n_kept == 0


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_what_a_power_cut_emptied_is_made_again(measured: ScanFolder, how: str) -> None:
    for path in filter(Path.is_file, measured.out.rglob("*")):
        path.write_bytes(b"")
    assert len(measured.run(**{how: True}).rows) == 7
    assert (measured.out / "masks" / "a.png").stat().st_size


@pytest.mark.parametrize("damaged", [b"", b"no database" * 100])
def test_a_store_that_is_lost_is_refused_or_begun_anew(
    measured: ScanFolder, damaged: bytes
) -> None:
    (measured.out / STORE_NAME).write_bytes(damaged)
    with pytest.raises(DataError, match=STORE_NAME):
        measured.run(resume=True)
    assert measured.run(overwrite=True).n_kept == 0


@pytest.mark.parametrize("name", ["masks/../../mine.png", "masks/link/mine.png"])
def test_overwriting_removes_nothing_outside_the_folder(measured: ScanFolder, name: str) -> None:
    """A store that someone changed may name any file."""
    mine = measured.out.parent / "mine.png"
    mine.write_bytes(b"mine")
    (measured.out / "masks" / "link").symlink_to(mine.parent)
    with contextlib.closing(Store(measured.out)) as store:
        store.announce([Picture(name, "a.png", 4)])
    measured.run(overwrite=True)
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_a_folder_of_version_0_2_is_refused(folder: ScanFolder, how: str) -> None:
    folder.out.mkdir()
    lines = ('["owed", "a", "b"]', '["sent", "a"]', '["owed", "c"]', '["row", 1]', '["se')
    (folder.out / ".edgeseg.journal").write_text("\n".join(lines))
    with pytest.raises(OutputExistsError, match=r"0\.2.* 2 of its reports were never sent"):
        folder.run(**{how: True})
    assert not (folder.out / STORE_NAME).exists()


def test_resume_refuses_to_replace_what_others_put_there(measured: ScanFolder) -> None:
    (measured.scans / "new.png").write_bytes((measured.scans / "a.png").read_bytes())
    mine = measured.out / "masks" / "new.png"
    mine.write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"new\.png"):
        measured.run(resume=True)
    assert mine.read_bytes() == b"mine"
