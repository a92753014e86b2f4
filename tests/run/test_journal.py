"""A row stands only beside the file it was measured on, whatever ended a run in between."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import OutputWriteError
from edgeseg.inputs.discover import discover
from edgeseg.inputs.pixel_sizes import PixelSizes
from edgeseg.measure.ellipse import Ellipse
from edgeseg.output import table
from edgeseg.output.appender import RowAppender
from edgeseg.output.table import read_rows
from edgeseg.run import earlier, measuring
from edgeseg.run.folder import FolderRun, Options, Summary
from edgeseg.run.journal import JOURNAL_NAME, Journal, Stamp, read_journal, row_key, stamp_of
from edgeseg.segmenter import Segmenter
from tests.fakes import FakeSession, head_image, open_fake

SIZE = (384, 576)
SMALL, LARGE = (Ellipse(288, 192, 1.3 * r, r, 0.0) for r in (60, 120))


def put(path: Path, head: Ellipse, like: os.stat_result | None = None) -> None:
    """Write an uncompressed image, whose size does not tell what it shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(".bmp", head_image(head, SIZE)))
    if like is not None:
        os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    return open_fake(monkeypatch, FakeSession())


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for name in ("a.bmp", "b.bmp", "c.bmp"):
        put(tmp_path / "scans" / name, SMALL)
    return tmp_path / "scans"


def measure(fake: Segmenter, scans: Path, out: Path, **options: Any) -> tuple[Summary, list[str]]:
    items = discover([str(scans)], out).items
    said: list[str] = []
    chosen = Options(workers=1, **options)
    run = FolderRun(fake, items, PixelSizes(items, 1.0), out, chosen)
    return run.run(on_notice=said.append), said


def heads(out: Path) -> dict[str, str]:
    """Which head each row is of."""
    sizes = {round(e.circumference_px, -1): n for e, n in ((SMALL, "small"), (LARGE, "large"))}
    rows = read_rows(out / "results.csv")
    return {row["file"]: sizes[round(float(row["hc_px"]), -1)] for row in rows}


def test_an_unchanged_folder_is_kept_whole(fake: Segmenter, scans: Path, tmp_path: Path) -> None:
    measure(fake, scans, tmp_path / "out")
    summary, said = measure(fake, scans, tmp_path / "out", resume=True)
    assert (summary.n_kept, said) == (3, [])


@pytest.mark.parametrize("change", ["time", "size", "both"])
def test_a_changed_file_is_measured_again(
    fake: Segmenter, scans: Path, tmp_path: Path, change: str
) -> None:
    out, path = tmp_path / "out", scans / "b.bmp"
    measure(fake, scans, out)
    before = path.stat()
    put(path, LARGE, like=before if change == "size" else None)
    if change == "time":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000))
    else:
        path.write_bytes(path.read_bytes() + b"\0")
        if change == "size":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    summary, (said,) = measure(fake, scans, out, resume=True)
    assert summary.n_kept == 2
    assert heads(out) == {"a.bmp": "small", "b.bmp": "large", "c.bmp": "small"}
    assert said.startswith("1 image is measured again, such as b.bmp: the place, size or time")
    assert measure(fake, scans, out, resume=True)[0].n_kept == 3


def test_a_file_of_the_same_name_size_and_time_elsewhere_is_another(
    fake: Segmenter, scans: Path, tmp_path: Path
) -> None:
    measure(fake, scans, tmp_path / "out")
    other = tmp_path / "other"
    for path in scans.iterdir():
        put(other / path.name, LARGE, like=path.stat())
    assert measure(fake, other, tmp_path / "out", resume=True)[0].n_kept == 0
    assert set(heads(tmp_path / "out").values()) == {"large"}


def test_a_run_that_noted_nothing_is_measured_again(
    fake: Segmenter, scans: Path, tmp_path: Path
) -> None:
    measure(fake, scans, tmp_path / "out")
    (tmp_path / "out" / JOURNAL_NAME).unlink()
    summary, (said,) = measure(fake, scans, tmp_path / "out", resume=True)
    assert summary.n_kept == 0
    assert "3 images are measured again: the run there did not note the size and time" in said
    assert measure(fake, scans, tmp_path / "out", resume=True)[0].n_kept == 3


def test_a_table_from_before_is_not_taken_for_that_of_the_files_now(
    fake: Segmenter, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    measure(fake, scans, out)
    old = (out / "results.csv").read_bytes()
    for path in scans.iterdir():
        put(path, LARGE)
    measure(fake, scans, out, resume=True)
    (out / "results.csv").write_bytes(old)  # from a copy that somebody kept
    assert measure(fake, scans, out, resume=True)[0].n_kept == 0
    assert set(heads(out).values()) == {"large"}


def test_a_file_that_changes_while_it_is_read_is_measured_again(
    fake: Segmenter, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = measuring.image_file.read_bytes

    def read_and_change(path: Path) -> bytes:
        data = read(path)
        put(path, LARGE)
        return data

    with monkeypatch.context() as patch:
        patch.setattr(measuring.image_file, "read_bytes", read_and_change)
        measure(fake, scans, tmp_path / "out")
    assert set(heads(tmp_path / "out").values()) == {"small"}
    measure(fake, scans, tmp_path / "out", resume=True)
    assert set(heads(tmp_path / "out").values()) == {"large"}


class Killed(BaseException):
    """Stands for the end of a process at one moment."""


def killed_at(patch: pytest.MonkeyPatch, moment: int) -> None:
    """Let whatever is written be the last once ``moment`` others were; of that, half is there."""
    left = [moment]

    def counted(write: Callable[..., Any], half: Callable[..., Any]) -> Callable[..., Any]:
        def writing(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                half(*arguments)
            if left[0] <= 0:
                raise Killed
            return write(*arguments)

        return writing

    def half_a_line(appender: Any, line: str | bytes) -> None:
        text = line.encode() if isinstance(line, str) else line
        appender._stream.write(text[: len(text) // 2])
        appender._stream.flush()

    nothing = lambda *_: None  # noqa: E731
    for module in (measuring, table, earlier):
        patch.setattr(module, "write_atomic", counted(module.write_atomic, nothing))
    patch.setattr(Journal, "_add", counted(Journal._add, half_a_line))
    patch.setattr(RowAppender, "append", counted(RowAppender.append, half_a_line))


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_whenever_a_run_is_killed_no_old_row_stands_beside_a_new_file(
    fake: Segmenter, scans: Path, tmp_path: Path, how: str
) -> None:
    first = tmp_path / "first"
    measure(fake, scans, first)
    for name in ("a.bmp", "c.bmp"):
        put(scans / name, LARGE)
    true = {"a.bmp": "large", "b.bmp": "small", "c.bmp": "large"}
    moment, done = 0, False
    while not done:
        moment += 1
        out = tmp_path / f"killed{moment}"
        shutil.copytree(first, out)
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, moment)
            try:
                measure(fake, scans, out, **{how: True})
                done = True
            except Killed:
                pass
        if (out / "run.json").exists():
            summary, _ = measure(fake, scans, out, resume=True)
            assert heads(out) == true, moment
            assert len(summary.rows) == 3
            # and the folder is as good as new
            assert measure(fake, scans, out, resume=True)[0].n_kept == 3
            measure(fake, scans, out, overwrite=True)
            assert heads(out) == true
        shutil.rmtree(out)
    assert moment > 12


def test_what_is_torn_is_passed_over_and_added_to(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.pictures(["masks/a\n\u00fc.png", "overlays/\udcff.jpg"])
        journal.row("a.png", "a,b\n", Stamp(5, 7))
    whole = (tmp_path / JOURNAL_NAME).read_bytes()
    both = {"masks/a\n\u00fc.png", "overlays/\udcff.jpg"}
    assert read_journal(tmp_path)[:2] == (both, {row_key("a.png", "a,b\n"): (5, 7)})
    for cut in range(len(whole)):
        (tmp_path / JOURNAL_NAME).write_bytes(whole[:cut])
        pictures, stamps, *_ = read_journal(tmp_path)
        assert pictures in (set(), both) and set(stamps.values()) <= {(5, 7)}
        with Journal(tmp_path) as journal:
            journal.row("b.png", "c,d\n", Stamp(1, 2))
        assert read_journal(tmp_path).stamps[row_key("b.png", "c,d\n")] == (1, 2)


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "[]", "null", '{"row": 1}', '["row"]', '["row", 1]', '["row", 1, 2]',
     '["row", "x", 2, 3]', '["row", 1, 2, 3, 4]', '["other", 1]', "[" * 9999, "\xff"],
)  # fmt: skip
def test_nonsense_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / JOURNAL_NAME).write_text(text + "\n", encoding="latin-1")
    assert read_journal(tmp_path) == (set(), {}, set(), {}, {})


def test_without_a_journal_nothing_is_known(tmp_path: Path) -> None:
    nothing = (set(), {}, set(), {}, {})
    assert read_journal(tmp_path) == read_journal(tmp_path / "none") == nothing
    assert stamp_of(str(tmp_path / "none")) is None
    assert stamp_of("a\0b") is None


def test_a_journal_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).mkdir()
    with pytest.raises(OutputWriteError, match=r"edgeseg\.journal: cannot be written \("):
        Journal(tmp_path)
    if Path("/dev/full").exists():
        full = tmp_path / "full"
        full.mkdir()
        (full / JOURNAL_NAME).symlink_to("/dev/full")
        with pytest.raises(OutputWriteError, match="No space left"), Journal(full) as journal:
            journal.pictures(["a"])


def test_rows_of_an_image_in_no_file_are_not_kept(
    fake: Segmenter, scans: Path, tmp_path: Path
) -> None:
    """What cannot be looked at again cannot be known to be the same."""
    measure(fake, scans, tmp_path / "out")
    assert np.all([stamp is not None for stamp in read_journal(tmp_path / "out").stamps.values()])
    (scans / "a.bmp").unlink()
    (scans / "a.bmp").symlink_to("nowhere.bmp")
    summary, _ = measure(fake, scans, tmp_path / "out", resume=True)
    failed, *others = (row["status"] for row in summary.rows)
    assert failed == "failed" and "failed" not in others
    assert summary.n_kept == 2


def test_what_is_done_and_owed_is_told_again(tmp_path: Path) -> None:
    with Journal(tmp_path, durable=True) as journal:
        journal.done("a.dcm", ["sr/a.dcm", "seg/a.dcm"])
        journal.done("b.dcm", [])
        journal.sent(["sr/a.dcm", "sr/never.dcm"])
        journal.done("c.dcm", ["sr/c.dcm"])
    noted = read_journal(tmp_path)
    assert noted.done == {"a.dcm", "b.dcm", "c.dcm"}
    assert [*noted.owed] == ["seg/a.dcm", "sr/c.dcm"]
