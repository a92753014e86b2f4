"""What a run replaces is what a run wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import OutputExistsError
from edgeseg.run.folder import FolderRun
from edgeseg.run.journal import JOURNAL_NAME, Journal
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import LOCK_NAME
from tests.fakes import FakeSession, head_image, open_fake
from tests.run.folders import run
from tests.run.test_journal import LARGE, SIZE

MINE = b"mine"


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, session: FakeSession) -> Segmenter:
    return open_fake(monkeypatch, session)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    (folder / "sub").mkdir(parents=True)
    for name in ("528.png", "sub/a.png"):
        (folder / name).write_bytes(encode(".png", head_image(LARGE, SIZE)))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*")
            if p.is_file() and not p.is_symlink()}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["masks/528.png", "overlays/528.jpg", "masks/sub/a.png", "results.csv", "run.json",
     "report.html"],
)  # fmt: skip
@pytest.mark.parametrize("link", [False, True])
def test_what_no_run_wrote_is_not_replaced(
    fake: Segmenter, session: FakeSession, scans: Path, tmp_path: Path, name: str, link: bool
) -> None:
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    if link:
        (out / name).symlink_to("nowhere")
    else:
        (out / name).write_bytes(MINE)
    before = content(out)
    for how in ("overwrite", "resume"):
        with pytest.raises(OutputExistsError, match=f"{name} is there, and no earlier|out exists"):
            run(fake, scans, out, **{how: True})
    assert content(out) == before, "not even a lock is left"
    assert not session.fed, "it is said before anything is measured"


def test_images_and_their_masks_in_the_output_folder_itself(fake: Segmenter, scans: Path) -> None:
    (scans / "masks").mkdir()
    (scans / "masks" / "other.png").write_bytes(MINE)  # in no one's way
    before = content(scans)
    run(fake, scans, scans, overwrite=True)
    run(fake, scans, scans, overwrite=True)
    assert before.items() <= content(scans).items()
    assert (scans / "masks" / "528.png").is_file()
    (scans / "other.png").write_bytes((scans / "528.png").read_bytes())
    with pytest.raises(OutputExistsError, match=r"masks/other\.png is there"):
        run(fake, scans, scans, overwrite=True)
    with pytest.raises(OutputExistsError, match=r"masks/other\.png is there"):
        run(fake, scans, scans, resume=True)
    assert before.items() <= content(scans).items()
    assert (scans / "masks" / "528.png").is_file()


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_a_kind_of_picture_that_no_run_wrote_is_the_user_s(
    fake: Segmenter, scans: Path, tmp_path: Path, how: str
) -> None:
    out = tmp_path / "out"
    run(fake, scans, out, masks=False)
    (out / "masks").mkdir()
    (out / "masks" / "528.png").write_bytes(MINE)
    with pytest.raises(OutputExistsError, match=r"masks/528\.png is there"):
        run(fake, scans, out, **{how: True})
    run(fake, scans, out, masks=False, **{how: True})
    assert (out / "masks" / "528.png").read_bytes() == MINE


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_a_picture_that_a_killed_run_had_just_written_is_known(
    fake: Segmenter, scans: Path, tmp_path: Path, how: str
) -> None:
    """Its row was not written yet."""
    out = tmp_path / "out"
    run(fake, scans, out)
    table = out / "results.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    (out / "masks" / "sub" / "a.png").write_bytes(b"old")
    run(fake, scans, out, **{how: True})
    assert len((out / "masks" / "sub" / "a.png").read_bytes()) > 100


def test_overwriting_takes_away_what_the_next_run_does_not_write(
    fake: Segmenter, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(fake, scans, out)
    (out / "masks" / "mine.png").write_bytes(MINE)
    (out / "notes.txt").write_bytes(MINE)
    (scans / "528.png").unlink()
    run(fake, scans, out, overwrite=True, overlays=False)
    assert sorted(content(out)) == [
        JOURNAL_NAME, LOCK_NAME, "masks/mine.png", "masks/sub/a.png", "notes.txt", "report.html",
        "results.csv", "run.json",
    ]  # fmt: skip


def without_journal(out: Path) -> None:
    (out / JOURNAL_NAME).unlink()


def as_version_0_1(out: Path) -> None:
    """The table had other columns."""
    without_journal(out)
    (out / "results.csv").write_text("file,status,error\n528.png,ok,\nsub/a.png,ok,\n")


def opened_in_excel(out: Path) -> None:
    without_journal(out)
    table = out / "results.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))


def killed_at_once(out: Path) -> None:
    without_journal(out)
    (out / "results.csv").unlink()


@pytest.mark.parametrize("was", [without_journal, as_version_0_1, opened_in_excel, killed_at_once])
def test_a_run_of_a_version_without_a_journal_is_known_by_its_record(
    fake: Segmenter, scans: Path, tmp_path: Path, was: Callable[[Path], None]
) -> None:
    out = tmp_path / "out"
    run(fake, scans, out, overlays=False)
    was(out)
    (out / "overlays").mkdir()
    (out / "overlays" / "528.jpg").write_bytes(MINE)  # of which the record says: not ours
    with pytest.raises(OutputExistsError, match=r"overlays/528\.jpg is there"):
        run(fake, scans, out, overwrite=True)
    (out / "masks" / "528.png").write_bytes(b"old")
    run(fake, scans, out, overwrite=True, overlays=False)
    assert len((out / "masks" / "528.png").read_bytes()) > 100
    assert (out / "overlays" / "528.jpg").read_bytes() == MINE


def test_such_a_run_is_gone_on_with_and_known_from_then_on(
    fake: Segmenter, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(fake, scans, out)
    without_journal(out)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FolderRun, "_batches", stop)
        run(fake, scans, out, resume=True)
    assert run(fake, scans, out, resume=True).n_kept == 0
    assert run(fake, scans, out, resume=True).n_kept == 2
    run(fake, scans, out, overwrite=True)


def test_a_damaged_record_beside_a_journal_is_replaced(
    fake: Segmenter, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(fake, scans, out)
    for damaged in ("", "[]", "null", '{"model": {}}', "[" * 9999):
        (out / "run.json").write_text(damaged)
        run(fake, scans, out, overwrite=True)
        assert json.loads((out / "run.json").read_text())["status"] == "done"


def test_a_table_and_report_without_their_record_are_known_by_the_columns(
    fake: Segmenter, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(fake, scans, out)
    without_journal(out)
    (out / "run.json").unlink()
    run(fake, scans, out, overwrite=True)


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_unfinished_files_of_killed_runs_are_taken_away(
    fake: Segmenter, scans: Path, tmp_path: Path, how: str
) -> None:
    out = tmp_path / "out"
    run(fake, scans, out)
    ours = [".edgeseg-0123456789ab.part", "masks/.edgeseg-0123456789ab.part",
            "masks/sub/.0123456789ab.part", "overlays/.edgeseg-ffffffffffff.part"]  # fmt: skip
    theirs = ["a.part", ".a.part", "masks/b.part", ".edgeseg-0123456789ab.part.png",
              "mine/.edgeseg-0123456789ab.part"]  # fmt: skip
    (out / "mine").mkdir()
    for name in (*ours, *theirs):
        (out / name).write_bytes(MINE)
    run(fake, scans, out, **{how: True})
    assert not [name for name in ours if (out / name).exists()]
    assert all((out / name).exists() for name in theirs)


@pytest.mark.parametrize("picture", ["../mine.png", "masks/../../mine.png", "{}", "masks/link/a"])
def test_a_journal_that_someone_changed_takes_nothing_outside(
    fake: Segmenter, scans: Path, tmp_path: Path, picture: str
) -> None:
    out, mine = tmp_path / "out", tmp_path / "mine.png"
    run(fake, scans, out)
    mine.write_bytes(MINE)
    (tmp_path / "a").write_bytes(MINE)
    (out / "masks" / "link").symlink_to(tmp_path)
    with Journal(out) as journal:
        journal.pictures([picture.format(mine), "masks/none/at/all.png", "notes.txt/x", ""])
    (out / "notes.txt").write_bytes(MINE)
    run(fake, scans, out, overwrite=True)
    assert mine.read_bytes() == (tmp_path / "a").read_bytes() == MINE
