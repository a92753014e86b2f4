"""When a file in a watched folder is complete, by what looks at it find."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.run.watch import WatchedFolder

IMAGE = encode(".png", np.zeros((40, 40), np.uint8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def names(watched: WatchedFolder) -> list[str]:
    return [each.file for each in watched.look()]


def test_a_file_is_complete_when_two_looks_find_it_the_same(root: Path, tmp_path: Path) -> None:
    watched = WatchedFolder(root, tmp_path / "out")
    path = root / "a.png"
    path.write_bytes(IMAGE[:20])
    assert names(watched) == []
    path.write_bytes(IMAGE)
    assert names(watched) == []
    assert watched.n_changed == 1
    assert names(watched) == ["a.png"]
    assert names(watched) == []
    assert watched.n_changed == 0
    os.utime(path, ns=(1, 1))  # the clock of a network drive may be any
    assert [names(watched) for _ in range(3)] == [[], ["a.png"], []]
    watched.return_again(str(path))
    assert names(watched) == ["a.png"]


@pytest.mark.parametrize("name", [
    "a.png.part", "a.png.tmp", "a.png.crdownload", "a.png~", ".a.png.x2Yf3d", ".edgeseg-01.part",
    "notes.txt", "._a.png", "Thumbs.db",
])  # fmt: skip
def test_what_is_no_finished_image_is_left_out(root: Path, tmp_path: Path, name: str) -> None:
    watched = WatchedFolder(root, tmp_path / "out")
    (root / name).write_bytes(b"words" if name.endswith(".txt") else IMAGE)
    assert [names(watched) for _ in range(3)] == [[], [], []]
    (root / name).rename(root / "b.png")
    watched.look()
    assert names(watched) == ([] if name.endswith(".txt") and not IMAGE else ["b.png"])


def test_an_empty_file_is_waited_for(root: Path, tmp_path: Path) -> None:
    watched = WatchedFolder(root, tmp_path / "out")
    (root / "a.png").touch()
    assert [names(watched) for _ in range(3)] == [[], [], []]
    assert watched.n_changed == 0  # `--once` does not wait for ever


def test_a_folder_that_goes_away_takes_nothing_with_it(root: Path, tmp_path: Path) -> None:
    watched = WatchedFolder(root, tmp_path / "out")
    (root / "a.png").write_bytes(IMAGE)
    watched.look()
    watched.look()
    root.rename(tmp_path / "away")
    with pytest.raises(OSError, match="No such file"):
        watched.look()
    shutil.move(tmp_path / "away", root)
    assert names(watched) == []
    assert names(watched) == []
