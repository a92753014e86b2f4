from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.phantom.shapes import CLASSES, make_shapes, write_pairs
from edgeseg.score.folds import grouped_folds
from edgeseg.score.labelled import load_labelled
from edgeseg.score.names import find_groups
from edgeseg.score.pairs import load_pairs


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    folder = tmp_path / "shapes"
    write_pairs(folder, 9, height=64, width=96)
    return folder


def test_images_masks_classes_patients_and_pixel_sizes_are_read(shapes: Path) -> None:
    data = load_pairs(shapes)
    assert data.task.classes == CLASSES
    assert [pair.file for pair in data.cases][:4] == [
        "p000_0.png", "p000_1.png", "p000_2.png", "p001_0.png"
    ]  # fmt: skip
    assert [pair.group for pair in data.cases][2:4] == ["p000", "p001"]
    truth = make_shapes(4, height=64, width=96)
    pair = data.cases[4]
    assert np.array_equal(pair.mask((64, 96)), truth.mask)
    assert pair.pixel_size_mm == truth.pixel_size_mm
    assert not data.notices
    assert load_labelled(shapes).task.classes == CLASSES


def test_folds_keep_patients_together(shapes: Path) -> None:
    folds = grouped_folds(load_pairs(shapes).cases, 3, 0)
    assert sorted({name[:4] for name in fold}.pop() for fold in folds) == ["p000", "p001", "p002"]


def test_without_names_and_groups_each_image_is_its_own(shapes: Path) -> None:
    for name in ("classes.txt", "groups.csv", "pixel_sizes.csv"):
        (shapes / name).unlink()
    data = load_pairs(shapes)
    assert data.task.classes == ("background", "class_1", "class_2")
    assert len({pair.group for pair in data.cases}) == len(data.cases)
    assert {pair.pixel_size_mm for pair in data.cases} == {None}
    assert [p.group for p in load_pairs(shapes, r"^(p\d+)").cases][2:4] == ["p000", "p001"]


def test_other_folders_suffixes_endings_and_nesting(shapes: Path) -> None:
    (shapes / "images").rename(shapes / "imgs")
    (shapes / "masks").rename(shapes / "labels")
    for path in sorted((shapes / "imgs").iterdir()):
        (shapes / "imgs" / path.name[:4]).mkdir(exist_ok=True)
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(shapes / "imgs" / path.name[:4] / f"{path.stem}.jpg"), image)
        path.unlink()
    for path in sorted((shapes / "labels").iterdir()):
        (shapes / "labels" / path.name[:4]).mkdir(exist_ok=True)
        path.rename(shapes / "labels" / path.name[:4] / f"{path.stem}_mask.png")
    (shapes / "imgs" / "._p000_0.jpg").write_bytes(b"\0\5\x16\7")
    (shapes / "groups.csv").unlink()
    (shapes / "pixel_sizes.csv").unlink()
    data = load_pairs(shapes)
    assert [pair.file for pair in data.cases][:2] == ["p000/p000_0.jpg", "p000/p000_1.jpg"]
    assert np.array_equal(data.cases[4].mask(), make_shapes(4, height=64, width=96).mask)


def test_labels_without_an_image_are_counted(shapes: Path) -> None:
    (shapes / "images" / "p000_0.png").unlink()
    (notice,) = load_pairs(shapes).notices
    assert notice.endswith(": 1, such as masks/p000_0.png")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda masks: (masks / "p000_1.png").unlink(), r"p000_1\.png: its label is missing"),
        (
            lambda masks: (
                shutil.copy(masks / "p000_2.png", masks / "p000_2_mask.png")
                and (masks / "p000_2.png").rename(masks / "p000_2_gt.png")
            ),
            r"p000_2\.png: it has 2 labels",
        ),
        (
            lambda masks: (masks.parent / "images" / "p000_0.png").rename(
                masks.parent / "images" / "p000_1.jpg"
            ),
            "have one label",
        ),
        (
            lambda masks: shutil.copytree(masks.parent / "images", masks.parent / "scans"),
            r"would both be called p000_0\.png; rename one",
        ),
    ],
)
def test_images_and_labels_that_do_not_pair_are_named(
    shapes: Path, change: Callable[[Path], object], message: str
) -> None:
    change(shapes / "masks")
    with pytest.raises(DataError, match=message):
        load_pairs(shapes)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="images/ and masks/"):
        load_pairs(tmp_path / "none")
    (tmp_path / "bare" / "pictures").mkdir(parents=True)
    with pytest.raises(InputNotFoundError, match=r"images/ and masks/.*found pictures"):
        load_pairs(tmp_path / "bare")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cyst\n", r"names 1 classes, cyst, and the masks have 3"),
        ("Hintergrund\nZyste\nSichel\n", "begin it with 'background'"),
        ("Zyste gro\u00df\n", r"classes\.txt: cannot be read .*; save it as UTF-8"),
        ("cyst\ncyst\n", "different names"),
        ("background #000000\ncyst #ff0000\ncrescent\n", "give all or none"),
        ("cyst\ncrescent\n", ""),
    ],
)
def test_names_must_fit_the_masks(shapes: Path, text: str, message: str) -> None:
    (shapes / "classes.txt").write_bytes(text.encode("cp1252"))
    if not message:
        assert load_pairs(shapes).task.classes == CLASSES
        return
    with pytest.raises(DataError, match=message):
        load_pairs(shapes)


FILES = ["a_1.png", "a_2.png", "b_1.png"]


@pytest.mark.parametrize(
    ("pattern", "table", "expected"),
    [
        ("^[ab]", "", ["a", "a", "b"]),
        ("^(.)_", "", ["a", "a", "b"]),
        ("^a", "", r"no group for 1 of 3 images, such as 'b_1\.png'"),
        ("(", "", "is no expression"),
        ("", "file,group\na_1.png,x\na_2.png,x\nb_1.png,y\n", ["x", "x", "y"]),
        ("", "file,group\nimages\\a_1.png,x\na_2.png,x\nb_1.png,y\n", ["x", "x", "y"]),
        ("", "file,group\na_1.png,x\n", "no group for 2 of 3"),
        ("", "name,patient\n", "the first line must be 'file,group'"),
    ],
)
def test_groups_are_complete(
    tmp_path: Path, pattern: str, table: str, expected: list[str] | str
) -> None:
    if table:
        (tmp_path / "groups.csv").write_text(table)
    if isinstance(expected, list):
        assert find_groups(tmp_path, FILES, pattern) == expected
        return
    with pytest.raises(DataError, match=expected):
        find_groups(tmp_path, FILES, pattern)


def test_only_hc18_s_own_names_share_a_head(tmp_path: Path) -> None:
    others = ["scan_001.png", "scan_002.png", "2024_1.png"]
    groups = find_groups(tmp_path, ["010_HC.png", "010_2HC.png", "011_HC.png", *others])
    assert groups == ["010", "010", "011", *others]


def test_a_head_cannot_be_learnt_from_masks(shapes: Path) -> None:
    with pytest.raises(DataError, match="learnt from outlines and circumferences"):
        load_labelled(shapes, "head")


def test_hc18_s_heads_are_regions_too(phantom_data: Path) -> None:
    data = load_labelled(phantom_data, "regions")
    assert data.task.classes == ("background", "head")
    mask = data.cases[0].mask()
    assert set(np.unique(mask)) == {0, 1}
    assert mask.mean() > 0.05


def test_images_may_be_called_like_labels(shapes: Path) -> None:
    for folder in ("images", "masks"):
        (shapes / folder / "p000_0.png").rename(shapes / folder / "p000_0_seg.png")
    table = (shapes / "groups.csv").read_text().replace("p000_0.png", "p000_0_seg.png")
    (shapes / "groups.csv").write_text(table)
    (shapes / "pixel_sizes.csv").unlink()
    data = load_pairs(shapes)
    assert "p000_0_seg.png" in [pair.file for pair in data.cases]
    assert not data.notices


def test_folders_may_be_links(shapes: Path, tmp_path: Path) -> None:
    (shapes / "images").rename(tmp_path / "elsewhere")
    (shapes / "images").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "back").symlink_to(shapes, target_is_directory=True)
    assert len(load_pairs(shapes).cases) == 9


def test_colours_may_leave_the_background_out(shapes: Path) -> None:
    for path in (shapes / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        colours = np.array([(0, 0, 0), (0, 0, 255), (255, 255, 255)], dtype=np.uint8)
        cv2.imwrite(str(path), colours[mask])
    (shapes / "classes.txt").write_text("cyst #ff0000\ncrescent #ffffff\n")
    data = load_pairs(shapes)
    assert data.task.classes == CLASSES
    assert np.array_equal(data.cases[4].mask(), make_shapes(4, height=64, width=96).mask)


def test_pixel_sizes_are_read_as_for_measuring(shapes: Path) -> None:
    files = [pair.file for pair in load_pairs(shapes).cases]
    rows = [f"D:\\data\\{file};0,12" for file in files[1:]]
    table = shapes / "pixel_sizes.csv"
    table.write_text("\n".join(["file;pixel size (mm)", f"{files[0]};NA", *rows]) + "\n")
    assert [pair.pixel_size_mm for pair in load_pairs(shapes).cases[:2]] == [None, 0.12]
    table.write_text("\n".join(["file;pixel size (mm)", *rows]) + "\n")
    with pytest.raises(DataError, match=f"no row for '{files[0]}'"):
        load_pairs(shapes)
    table.write_text("\n".join(["file;pixel size (mm)", *rows, f"{files[0]};0,2\\0,1"]) + "\n")
    with pytest.raises(DataError, match=f"{files[0]}: pixels of 0.1 by 0.2 mm are not square"):
        load_pairs(shapes)
