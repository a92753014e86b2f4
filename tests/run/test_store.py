"""What the store of a results folder keeps, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeseg.errors import DataError, OutputWriteError
from edgeseg.network.task import Task
from edgeseg.output.table import Row, columns, failed_row
from edgeseg.run.store import STORE_NAME, FileRows, Picture, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(Store(tmp_path)) as opened:
        yield opened


def row(file: str, frame: int = 0, status: str = "ok") -> Row:
    return failed_row(file, "", columns(Task()), frame=frame) | {"status": status}


def file_rows(file: str, version: str = "1", *pictures: str, frames: int = 0) -> FileRows:
    rows = [row(file, frame) for frame in (range(1, frames + 1) if frames else (0,))]
    return FileRows(file, version, ["masks"], rows, pictures)


def keys(store: Store) -> list[tuple[str, int | None]]:
    return [tuple(json.loads(packed)[:2]) for packed in store.packed_rows()]


def test_rows_come_back_sorted_by_file_and_frame(store: Store, tmp_path: Path) -> None:
    store.replace_rows([file_rows("b.png"), file_rows("a.dcm", frames=11), file_rows("B.png")])
    expected = [("B.png", None), *(("a.dcm", n) for n in range(1, 12)), ("b.png", None)]
    assert keys(store) == expected
    assert len(store.packed_rows()) == 13
    store.close()
    with contextlib.closing(Store(tmp_path)) as again:
        assert keys(again) == expected
        assert again.files() == {"a.dcm", "b.png", "B.png"}


def test_another_version_of_a_file_takes_the_place_of_its_rows(store: Store) -> None:
    store.announce([Picture(f"masks/a.dcm.frame-000{n}.png", "a.dcm", 1) for n in (1, 2)])
    names = ["masks/a.dcm.frame-0001.png", "masks/a.dcm.frame-0002.png"]
    assert store.replace_rows([file_rows("a.dcm", "1", *names, frames=2)]) == []
    assert store.version_of("a.dcm") == "1"
    assert store.replace_rows([file_rows("a.dcm", "2", names[0], frames=1)]) == names[1:]
    assert keys(store) == [("a.dcm", 1)]
    assert store.version_of("a.dcm") == "2"
    store.forget_pictures(names[1:])
    assert store.pictures() == names[:1]


def test_a_write_that_fails_half_way_leaves_what_was_there(store: Store) -> None:
    store.replace_rows([file_rows("a.png")])
    twice = file_rows("b.png")._replace(rows=[row("b.png"), row("b.png")])
    with pytest.raises(DataError):
        store.replace_rows([file_rows("a.png", "2", frames=3), twice])
    assert keys(store) == [("a.png", None)]
    assert store.version_of("a.png") == "1"
    store.replace_rows([file_rows("b.png")])  # it goes on
    assert len(keys(store)) == 2


@pytest.mark.parametrize("damage", [None, b"", b"ab", "gone"])
def test_a_file_is_measured_again_unless_its_pictures_are_as_written(
    store: Store, tmp_path: Path, damage: bytes | str | None
) -> None:
    path = tmp_path / "masks" / "a.png"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    store.announce([Picture("masks/a.png", "a.png", 3)])
    store.replace_rows([file_rows("a.png", "1", "masks/a.png")])
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    elif damage:
        path.unlink()
    assert store.has("a.png", "1", ["masks"]) is (damage is None)
    assert store.has("a.png", "1", [])  # nobody asks for pictures
    assert not store.has("a.png", "2", [])
    assert not store.has("a.png", "1", ["masks", "sr"])
    assert not store.has("b.png", "1", [])


def test_what_is_owed_and_what_waits_outlives_the_store(store: Store, tmp_path: Path) -> None:
    for name in ("c.dcm", "d.dcm", "a.dcm", "c.dcm"):
        store.enqueue(name)
    assert store.waiting() == ["c.dcm", "d.dcm", "a.dcm"]
    for name in ("c", "a", "b"):
        store.replace_rows([file_rows(f"{name}.dcm")._replace(owed=[f"sr/{name}.dcm"])])
    store.note_sent(["sr/a.dcm"])
    store.close()
    with contextlib.closing(Store(tmp_path)) as again:
        assert again.owed() == ["sr/c.dcm", "sr/b.dcm"]
        assert again.waiting() == ["d.dcm"]


def test_a_store_that_is_damaged_or_of_another_version_is_refused(tmp_path: Path) -> None:
    with contextlib.closing(Store(tmp_path)) as store:
        store.replace_rows([file_rows(f"{i}.png") for i in range(500)])
    path = tmp_path / STORE_NAME
    damaged = path.read_bytes()[: path.stat().st_size // 2]
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(DataError, match="another version"):
        Store(tmp_path)
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="damaged"):
        Store(tmp_path)
    assert path.read_bytes() == damaged


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="the superuser may write anywhere")
def test_a_store_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputWriteError, match=STORE_NAME):
        Store(tmp_path)
