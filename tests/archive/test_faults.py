"""What disks and full drives do to an archive."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.archive.collect import collect
from edgeseg.archive.manifest_writer import write_manifest
from edgeseg.archive.part_worker import PartWorker
from edgeseg.archive.place import Place, place_of
from edgeseg.archive.plan import Plan
from edgeseg.errors import InputNotFoundError, OutputWriteError
from edgeseg.images import image_file
from tests.archive.parts import measure, open_archive, part_path, rows_of


@pytest.mark.skipif(os.name == "nt", reason="needs names that are no Unicode")
def test_names_that_are_no_unicode_stop_nothing(plan: Plan, scans: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(scans.parent) + b"/\xff"))
    manifest, out = place_of(str(folder / "m.parquet")), place_of(str(folder / "out"))
    odd = Path(os.fsdecode(os.fsencode(scans) + b"/\xffa.png"))
    os.link(scans / "a.png", odd)
    write_manifest([str(scans)], manifest, 0.2)
    odd.unlink()
    plan = replace(plan, manifest=manifest.text, out=out.text)
    list(measure(plan))
    assert not collect(open_archive(plan)).missing and (folder / "out" / "report.html").exists()
    (reason,) = [row["reason"] for row in rows_of(plan) if "no such file" in row["reason"]]
    assert "a.png" in reason


@pytest.mark.parametrize("n_parts", [0, 1])
@pytest.mark.parametrize("is_stale", [False, True])
def test_a_disk_that_is_gone_makes_no_rows(
    plan: Plan, scans: Path, n_parts: int, is_stale: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(place: Place, *_: object) -> bytes:
        raise InputNotFoundError(f"{place.text}: cannot be read (Stale file handle)")

    parts = iter(PartWorker(replace(plan, read_ahead=0)).run([0, 1, 2, 3]))
    for _ in range(n_parts):
        next(parts)
    if is_stale:  # what was opened cannot be read
        monkeypatch.setattr(Place, "read", stale)
        monkeypatch.setattr(image_file, "read_bytes", lambda path: stale(place_of(str(path))))
    else:
        scans.rename(scans.with_name("gone"))
    with pytest.raises(InputNotFoundError, match="no other of the manifest can be read there"):
        list(parts)
    assert len(open_archive(plan).list_parts()) < 1 + 3 * n_parts


def test_a_folder_of_a_disk_that_is_there_may_be_gone(plan: Plan, scans: Path) -> None:
    """Its files are rows, and the run goes on; while it is read, the run ends first."""
    for i in range(8):
        (scans / f"{i}.png").write_bytes((scans / "a.png").read_bytes())
    there = scans.parent / "there"
    there.mkdir()
    for i in range(100):
        os.link(scans / "a.png", there / f"{i}.png")
    write_manifest([str(scans), str(there)], place_of(plan.manifest), 0.2)
    plan = replace(plan, part_size=20, read_ahead=0)
    shutil.rmtree(scans)
    list(measure(plan))
    counts = Counter(row["status"] for row in rows_of(plan))
    assert counts == {"failed": 15, "ok": 100}


def test_one_file_that_is_gone_or_changed_is_a_failed_row(plan: Plan, scans: Path) -> None:
    (scans / "a.png").unlink()
    with (scans / "a b" / "a.png").open("ab") as stream:
        stream.write(b"more")
    list(measure(plan))
    reasons = {row["file"]: row["reason"] for row in rows_of(plan)}
    assert "no such file" in reasons["a.png"]
    assert "it was changed since; make a new manifest" in reasons["a b/a.png"]


def test_a_part_that_cannot_be_read_now_is_not_damaged(plan: Plan) -> None:
    list(measure(plan))
    path = part_path(plan, 1)
    path.unlink()
    path.mkdir()
    for read in (collect, lambda archive: archive.find_missing()):
        with pytest.raises(InputNotFoundError, match="a folder") as raised:
            read(open_archive(plan))
        assert "damaged" not in str(raised.value)


@pytest.mark.parametrize("masks", [False, True])
def test_what_cannot_be_written_is_told(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, masks: bool
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    worker = PartWorker(replace(plan, masks=masks))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        what = "out" if masks else r"part-00000000\.parquet"
        with pytest.raises(OutputWriteError, match=f"{what}: .*No space left"):
            list(worker.run([0]))
    assert not open_archive(plan).parts.list_names()
    assert [done.number for done in worker.run([0])] == [0]
    # and a process tells of an output of no name
    with pytest.raises(OutputWriteError, match=r"archive\.json: cannot be written|File name too"):
        list(measure(replace(plan, out=str(tmp_path / ("a" * 300))), processes=2))
