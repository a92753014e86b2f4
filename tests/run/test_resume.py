from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.errors import DataError, OutputExistsError
from edgeseg.run.store import STORE_NAME, Picture, Store
from tests.run.folders import ScanFolder, untimed
from tests.tables import read_rows


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


def test_what_failed_is_tried_again_though_all_else_is_as_if_done(folder: ScanFolder) -> None:
    """Without pixel sizes and pictures a failed row lacks nothing that resuming looks for."""
    options = {"masks": False, "overlays": False}
    folder.run(None, **options)
    (folder.scans / "broken.png").write_bytes((folder.scans / "a.png").read_bytes())
    summary = folder.run(None, resume=True, **options)
    assert summary.n_kept == 4
    assert {r["file"]: r["status"] for r in summary.rows}["broken.png"] == "ok"


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
def test_a_folder_of_version_0_2_is_refused_with_the_reports_it_still_owes(
    folder: ScanFolder, how: str
) -> None:
    folder.out.mkdir()
    journal = folder.out / ".edgeseg.journal"
    journal.write_text('["owed", "sr/a.dcm", "sr/b.dcm"]\n["sent", "sr/a.dcm"]\n["owed", "sr/c')
    with pytest.raises(OutputExistsError, match=r"\b1 of its reports"):
        folder.run(**{how: True})
    assert not (folder.out / STORE_NAME).exists()


def test_resume_refuses_to_replace_what_others_put_there(measured: ScanFolder) -> None:
    (measured.scans / "new.png").write_bytes((measured.scans / "a.png").read_bytes())
    mine = measured.out / "masks" / "new.png"
    mine.write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"new\.png"):
        measured.run(resume=True)
    assert mine.read_bytes() == b"mine"
