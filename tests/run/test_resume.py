from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from edgeseg.errors import DataError, OutputExistsError
from edgeseg.run.store import STORE_NAME, Picture, Store
from edgeseg.segmenter import Segmenter
from tests.run.folders import run, untimed
from tests.tables import read_rows


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


def test_resume_refuses_another_input(segmenter: Segmenter, scans: Path, tmp_path: Path) -> None:
    run(segmenter, scans, tmp_path / "out")
    (scans / "a.png").unlink()
    with pytest.raises(DataError, match=r"'a\.png'"):
        run(segmenter, scans, tmp_path / "out", resume=True)


@pytest.mark.parametrize("changed", [{"sha256": "0" * 64}, {"provider": "OpenVINO"}])
def test_resume_refuses_another_model_or_engine(
    segmenter: Segmenter, scans: Path, tmp_path: Path, changed: dict[str, str]
) -> None:
    out = tmp_path / "out"
    run(segmenter, scans, out)
    with contextlib.closing(Store(out)) as store:
        store.write_record({**store.read_record(), **changed})
    with pytest.raises(DataError, match=r"OpenVINO|another model"):
        run(segmenter, scans, out, resume=True)


def test_resume_on_nothing_starts_but_not_among_the_user_s_files(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    assert run(segmenter, scans, tmp_path / "out", resume=True).n_kept == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.json").write_text("mine")
    for how in ("resume", "overwrite"):
        with pytest.raises(OutputExistsError, match=str(tmp_path / "mine")):
            run(segmenter, scans, tmp_path / "mine", **{how: True})
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == ["mine"]


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


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_what_a_power_cut_emptied_is_made_again(
    segmenter: Segmenter, scans: Path, tmp_path: Path, how: str
) -> None:
    out = tmp_path / "out"
    run(segmenter, scans, out)
    for path in filter(Path.is_file, out.rglob("*")):
        path.write_bytes(b"")
    assert len(run(segmenter, scans, out, **{how: True}).rows) == 7
    assert (out / "masks" / "a.png").stat().st_size


@pytest.mark.parametrize("damaged", [b"", b"no database" * 100])
def test_a_store_that_is_lost_is_refused_or_begun_anew(
    segmenter: Segmenter, scans: Path, tmp_path: Path, damaged: bytes
) -> None:
    run(segmenter, scans, tmp_path / "out")
    (tmp_path / "out" / STORE_NAME).write_bytes(damaged)
    with pytest.raises(DataError, match=STORE_NAME):
        run(segmenter, scans, tmp_path / "out", resume=True)
    assert run(segmenter, scans, tmp_path / "out", overwrite=True).n_kept == 0


@pytest.mark.parametrize("name", ["masks/../../mine.png", "masks/link/mine.png"])
def test_overwriting_removes_nothing_outside_the_folder(
    segmenter: Segmenter, scans: Path, tmp_path: Path, name: str
) -> None:
    """A store that someone changed may name any file."""
    out, mine = tmp_path / "out", tmp_path / "mine.png"
    run(segmenter, scans, out)
    mine.write_bytes(b"mine")
    (out / "masks" / "link").symlink_to(tmp_path)
    with contextlib.closing(Store(out)) as store:
        store.announce([Picture(name, "a.png", 4)])
    run(segmenter, scans, out, overwrite=True)
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_a_folder_of_version_0_2_is_refused_with_the_reports_it_still_owes(
    segmenter: Segmenter, scans: Path, tmp_path: Path, how: str
) -> None:
    journal = tmp_path / ".edgeseg.journal"
    journal.write_text('["owed", "sr/a.dcm", "sr/b.dcm"]\n["sent", "sr/a.dcm"]\n["owed", "sr/c')
    with pytest.raises(OutputExistsError, match=r"\b1 of its reports"):
        run(segmenter, scans, tmp_path, **{how: True})
    assert not (tmp_path / STORE_NAME).exists()


def test_resume_refuses_to_replace_what_somebody_put_between_its_pictures(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    run(segmenter, scans, tmp_path / "out")
    (scans / "new.png").write_bytes((scans / "a.png").read_bytes())
    mine = tmp_path / "out" / "masks" / "new.png"
    mine.write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"new\.png"):
        run(segmenter, scans, tmp_path / "out", resume=True)
    assert mine.read_bytes() == b"mine"
