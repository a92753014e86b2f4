"""Where images come from: files, folders, patterns and standard input."""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from edgeseg.errors import DataError, ImageDecodeError, InputNotFoundError, OutputWriteError
from edgeseg.images.image_file import read_bytes
from edgeseg.inputs import source
from edgeseg.inputs.discover import discover
from edgeseg.inputs.source import spool_image
from edgeseg.system.files import LOCK_NAME


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def files(*inputs: str | Path, out: Path | None = None) -> list[str]:
    return [source.file for source in discover([*map(str, inputs)], out).items]


def notices(*inputs: Path, out: Path | None = None) -> list[str]:
    return discover([*map(str, inputs)], out).notices


def test_folders_are_searched_below_and_sorted(tmp_path: Path) -> None:
    touch(tmp_path / "b.png", tmp_path / "a" / "z.JPG", tmp_path / "a.png", tmp_path / "note.txt")
    touch(tmp_path / "c.gif", tmp_path / "e.dcm", tmp_path / "f.mp4")  # refused in their rows
    assert files(tmp_path) == ["a.png", "a/z.JPG", "b.png", "c.gif", "e.dcm", "f.mp4"]
    assert notices(tmp_path) == []
    touch(tmp_path / ".hidden.png", tmp_path / ".note", tmp_path / ".thumbnails" / "a.png")
    assert "left out 2 hidden images, such as " in notices(tmp_path)[0]
    assert files(tmp_path / "b.png", tmp_path / "b.png") == ["b.png"]
    assert files(tmp_path / "note.txt") == ["note.txt"]  # what is named is meant


def test_names_are_relative_to_inputs_or_begin_with_them_if_equal(tmp_path: Path) -> None:
    touch(tmp_path / "p1/s/a.png", tmp_path / "p2/s/a.png", tmp_path / "p2/s/b.png")
    assert files(tmp_path / "p*" / "s" / "a.*") == ["p1/s/a.png", "p2/s/a.png"]
    assert files(tmp_path / "**" / "a.png") == ["p1/s/a.png", "p2/s/a.png"]
    assert files(tmp_path / "p1/s", tmp_path / "p2/s") == ["b.png", "p1/s/a.png", "p2/s/a.png"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_to_folders_are_not_followed_but_named(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "elsewhere"
    touch(inside / "a.png", outside / "a.png")
    (inside / "link").symlink_to(outside)
    (inside / "back").symlink_to(inside)
    assert files(inside) == files(inside / "link") == ["a.png"]
    assert "did not follow 2 links to folders" in notices(inside)[0]


def test_results_and_annotations_are_not_inputs(tmp_path: Path) -> None:
    labelled = tmp_path / "labelled"
    touch(*(labelled / f"{name}.png" for name in ("1_HC", "1_HC_Annotation", "2_Annotation")))
    assert files(labelled) == ["1_HC.png", "2_Annotation.png"]
    assert "left out 1 label" in notices(labelled)[0]
    touch(labelled / "1_HC_mask_2.png", labelled / "imagesTr" / "a.png")
    touch(labelled / "labelsTr" / "a.png", labelled / "sent" / "masks" / "a.png")
    assert files(labelled) == ["1_HC.png", "2_Annotation.png", "imagesTr/a.png", "sent/masks/a.png"]
    assert "left out 3 labels" in notices(labelled)[0]
    assert files(labelled / "labelsTr") == ["a.png"]  # as a user says
    shutil.rmtree(labelled)
    out, old = tmp_path / "out", tmp_path / "old"
    touch(tmp_path / "a.png", out / "masks" / "a.png")
    touch(old / LOCK_NAME, old / "overlays" / "a.jpg")
    assert notices(tmp_path, out=out) == ["left out 2 pictures of earlier runs"]
    for given in (tmp_path, tmp_path / "*", tmp_path / "**" / "*.*"):
        assert files(given, out=out) == ["a.png"]
    for given in (old, old / "overlays", old / "overlays" / "a.jpg", old / "*" / "*.jpg"):
        with pytest.raises(InputNotFoundError, match="no image"):
            files(given)
    sent = tmp_path / "sent" / "old"
    touch(sent / "masks" / "a.png", sent / "overlays" / "s" / "a.jpg")
    assert len(files(tmp_path / "sent")) == 2  # masks of another program, for all that is known
    touch(sent / "run.json", sent / "results.csv")
    assert files(tmp_path, out=out) == ["a.png"]


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


PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


def test_files_are_images_by_their_first_bytes_too(tmp_path: Path) -> None:
    (tmp_path / "IM0001").write_bytes(PNG)
    (tmp_path / "scan.001").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    (tmp_path / "1.2.840.113619").write_bytes(bytes(128) + b"DICM" + bytes(50))
    (tmp_path / "photo").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    touch(tmp_path / "results.csv", tmp_path / "notes", tmp_path / "Makefile", tmp_path / "z.jfif")
    (tmp_path / "empty").touch()
    expected = ["1.2.840.113619", "IM0001", "photo", "scan.001", "z.jfif"]
    assert files(tmp_path) == expected
    assert files(tmp_path / "*") == expected
    assert notices(tmp_path) == []


def test_kinds_that_are_no_picture_are_counted(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "volume.raw")
    for name in ("x.mpg", "y", "z.png.bak"):
        (tmp_path / name).write_bytes(b"\0\0\x01\xba" + bytes(50))
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(50))
    assert files(tmp_path) == ["a.png"]
    (notice,) = notices(tmp_path)
    assert "left out 6 files of kinds that are not read" in notice
    assert "(1 DICOM index, 3 MPEG video, 1 PDF, 1 raw samples)" in notice
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputNotFoundError, match=r"no image in .*left out 6 files of kinds"):
        discover([str(tmp_path)])


@pytest.mark.parametrize("folder", ["@eaDir", "System Volume Information"])
def test_folders_of_systems_are_left_out_and_counted(tmp_path: Path, folder: str) -> None:
    inside = tmp_path / "s" / folder
    touch(tmp_path / "a.png", inside / "b.png", inside / "x" / "c.jpg", inside / "note.txt")
    touch(tmp_path / "._a.png", tmp_path / "Thumbs.db")
    for given, n in ((tmp_path, 4), (tmp_path / "**", 4), (tmp_path / "**" / "*.png", 1)):
        assert files(given, given) == ["a.png"]
        (notice,) = notices(given, given)
        assert re.match(f"left out {n} files? that a system keeps beside images, such as ", notice)
    # named on purpose
    assert files(inside) == ["b.png", "x/c.jpg"]
    assert files(inside / "b.png") == ["b.png"]
    assert files(inside / "*.png") == ["b.png"]
    assert files(tmp_path / "*" / folder / "*.png") == [f"s/{folder}/b.png"]


def test_a_closed_folder_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.png", tmp_path / "private" / "b.png", tmp_path / "z" / "c.png")
    look = os.scandir

    def scandir(path: str) -> object:
        if Path(path) == tmp_path / "private":
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root may look anywhere
    assert files(tmp_path) == ["a.png", "z/c.png"]
    (notice,) = notices(tmp_path)
    assert notice.startswith("passed over 1 file or folder that cannot be read, such as ")
    assert notice.endswith("private")
    with pytest.raises(InputNotFoundError, match=r"private: cannot be read \(Permission denied\)"):
        files(tmp_path / "private")


@pytest.mark.skipif(os.name != "posix", reason="there are none elsewhere")
def test_pipes_sockets_and_links_in_a_circle(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "c.png").symlink_to(tmp_path / "c.png")
    (tmp_path / "d.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "e.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for given in (tmp_path, tmp_path / "*"):
        # those that lead nowhere get a row, which says so
        assert files(given) == ["a.png", "c.png", "d.png", "e.png"]
        (notice,) = notices(given)
        assert "left out 1 pipe, socket or device with names of images, such as " in notice
    assert files(tmp_path / "b.png") == ["b.png"]
    with pytest.raises(ImageDecodeError, match="it is a folder, a pipe or a device"):
        read_bytes(tmp_path / "b.png")  # at once
    with pytest.raises(InputNotFoundError, match="cannot be read"):
        files(tmp_path / "loop")


def test_what_exists_is_taken_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tmp_path / "[2024] study"
    touch(study / "a.png", study / "[b] c.png", tmp_path / "2" / "d.png", study / "x" / "e.png")
    assert files(study / "**" / "*.png") == ["[b] c.png", "a.png", "x/e.png"]
    assert files(study / "[b] c.png") == ["[b] c.png"]
    assert files(tmp_path / "*" / "[b] c.png") == ["[2024] study/[b] c.png"]
    assert files(tmp_path / "[0-9]" / "*.png") == ["2/d.png"]
    assert files(tmp_path / "[2024]*" / "a.png") == ["[2024] study/a.png"]
    assert files(study) == ["[b] c.png", "a.png", "x/e.png"]
    touch(tmp_path / "none" / "note.txt")
    monkeypatch.chdir(tmp_path)
    for given in (tmp_path / "none", "nothing.png", "nothing/*.png", "a\0b.png"):
        with pytest.raises(InputNotFoundError):
            files(given)
    assert files("[2024] study/*.png") == ["[b] c.png", "a.png"]
    assert files("**/d.png") == ["2/d.png"]


@pytest.mark.skipif(os.name != "posix", reason="other systems do not take such names")
def test_odd_names_are_kept_and_shown_plainly(tmp_path: Path) -> None:
    names = ["a.png ", " b.png", "c\nd.png", "e\u202egnp.png", "A.PNG", "a.png", "f\x1b[31m.png"]
    names += ["\u00e9.png", "e\u0301.png"]  # twins: one letter, or two
    for name in names:
        (tmp_path / name).write_bytes(PNG)
    assert files(tmp_path) == sorted(names)
    odd = tmp_path / "@eaDir \x1b]0;x\x07\u202e"
    odd.mkdir()
    (odd / "@eaDir").mkdir()
    (odd / "@eaDir" / "x.png").touch()
    for text in notices(tmp_path):
        assert text.isprintable()
        assert "\\x1b]0;x\\x07\\u202e" in text


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_standard_input_is_kept_meanwhile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with spool_image(io.BytesIO(b"bytes")) as item:
        assert item.file == "stdin"
        assert item.path.read_bytes() == b"bytes"
    assert not item.path.parent.exists()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputWriteError, match="set TMPDIR"), spool_image(io.BytesIO(b"12")):
        pass


def test_what_is_no_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_MAX_BYTES", 5)
    for stream, said in (
        (io.BytesIO(), "holds nothing"),
        (io.BytesIO(b"123456"), "more than"),
        (Terminal(b"12"), "keyboard"),
        (None, "is closed"),
    ):
        with pytest.raises(InputNotFoundError, match=said), spool_image(stream):
            pass
