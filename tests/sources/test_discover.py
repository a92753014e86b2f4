from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.sources.discover import discover
from edgeseg.system.files import LOCK_NAME


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def files(*inputs: str, out: Path | None = None) -> list[str]:
    return [item.file for item in discover(inputs, out).items]


def test_folders_are_searched_below_and_sorted(tmp_path: Path) -> None:
    touch(tmp_path / "b.png", tmp_path / "a" / "z.JPG", tmp_path / "a.png", tmp_path / "note.txt")
    touch(tmp_path / ".hidden.png", tmp_path / ".thumbs" / "a.png")
    assert files(str(tmp_path)) == ["a.png", "a/z.JPG", "b.png"]


def test_unreadable_kinds_are_found_so_that_they_get_a_row(tmp_path: Path) -> None:
    touch(tmp_path / "a.gif", tmp_path / "b.webp", tmp_path / "c.dcm")
    assert files(str(tmp_path)) == ["a.gif", "b.webp", "c.dcm"]


def test_a_file_is_named_by_its_bare_name_and_taken_once(tmp_path: Path) -> None:
    touch(tmp_path / "a b ü.png")
    path = str(tmp_path / "a b ü.png")
    assert files(path, path, str(tmp_path)) == ["a b ü.png"]


def test_a_file_named_on_purpose_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    touch(tmp_path / "scan.dat")
    assert files(str(tmp_path / "scan.dat")) == ["scan.dat"]


def test_patterns_are_relative_to_their_part_without_wildcards(tmp_path: Path) -> None:
    touch(tmp_path / "p1" / "a.png", tmp_path / "p2" / "a.png", tmp_path / "p2" / "b.txt")
    assert files(str(tmp_path / "p*" / "*.*")) == ["p1/a.png", "p2/a.png"]
    assert files(str(tmp_path / "**" / "a.png")) == ["p1/a.png", "p2/a.png"]


def test_equal_names_of_two_inputs_get_their_folders_in_front(tmp_path: Path) -> None:
    touch(tmp_path / "x" / "s" / "a.png", tmp_path / "y" / "s" / "a.png", tmp_path / "y/s/b.png")
    found = files(str(tmp_path / "x" / "s"), str(tmp_path / "y" / "s"))
    assert found == ["b.png", "x/s/a.png", "y/s/a.png"]


def test_annotations_beside_their_image_are_left_out_with_a_notice(tmp_path: Path) -> None:
    touch(tmp_path / "1_HC.png", tmp_path / "1_HC_Annotation.png", tmp_path / "2_Annotation.png")
    found = discover([str(tmp_path)])
    assert [item.file for item in found.items] == ["1_HC.png", "2_Annotation.png"]
    assert found.notices == ["left out 1 annotation files (*_Annotation.png)"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_to_folders_are_not_followed_but_named(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "elsewhere"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.png").touch()
    (inside / "link").symlink_to(outside)
    (inside / "back").symlink_to(inside)
    found = discover([str(inside)])
    assert [item.file for item in found.items] == ["a.png"]
    assert "did not follow 2 links to folders" in found.notices[0]
    assert [i.file for i in discover([str(inside / "link")]).items] == ["a.png"]


def test_results_are_not_inputs(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "out" / "masks" / "a.png")
    touch(tmp_path / "old" / LOCK_NAME, tmp_path / "old" / "overlays" / "a.jpg")
    found = discover([str(tmp_path)], tmp_path / "out")
    assert [item.file for item in found.items] == ["a.png"]
    assert found.notices == ["left out 2 masks and overlays of earlier runs"]
    for given in (tmp_path / "*", tmp_path / "**" / "*.*"):
        assert files(str(given), out=tmp_path / "out") == ["a.png"]
    with pytest.raises(InputNotFoundError, match="no image"):
        files(str(tmp_path / "old"))


@pytest.mark.skipif(os.name != "posix", reason="other systems' names are always Unicode")
def test_names_that_are_not_utf_8_are_written_with_escapes(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xfc.png"))
    try:
        path.write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    found = discover([str(tmp_path)]).items
    assert [item.file for item in found] == ["b\\xfc.png"]
    assert found[0].path.read_bytes() == b"x"
    (tmp_path / "b\\xfc.png").write_bytes(b"another")  # called as the first is written
    with pytest.raises(DataError, match="rename one"):
        discover([str(tmp_path)])


def test_results_beside_the_inputs_are_not_inputs(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "masks" / "a.png", tmp_path / "overlays" / "a.jpg")
    assert files(str(tmp_path), out=tmp_path) == ["a.png"]


@pytest.mark.parametrize("given", ["nothing.png", "nothing/*.png"])
def test_what_is_not_there_is_an_error(tmp_path: Path, given: str) -> None:
    with pytest.raises(InputNotFoundError, match="nothing"):
        discover([str(tmp_path / given)])


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "note.txt")
    with pytest.raises(InputNotFoundError, match=r"no image in .*expected files ending in"):
        discover([str(tmp_path)])
