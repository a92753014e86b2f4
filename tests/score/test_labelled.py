from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.phantom.shapes import CLASSES, make_shapes, write_pairs
from edgeseg.score.folds import grouped_folds
from edgeseg.score.labelled import load_labelled
from edgeseg.score.names import find_groups

SIZE = (64, 96)
FILE = "p001_1.png"  # of the fifth image


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    folder = tmp_path / "shapes"
    write_pairs(folder, 9, height=SIZE[0], width=SIZE[1])
    return folder


def test_images_masks_classes_patients_and_pixel_sizes_are_read(shapes: Path) -> None:
    data = load_labelled(shapes)
    assert data.task.classes == CLASSES
    assert [pair.file for pair in data.cases[2:5]] == ["p000_2.png", "p001_0.png", FILE]
    assert [pair.group for pair in data.cases[2:5]] == ["p000", "p001", "p001"]
    truth = make_shapes(4, height=SIZE[0], width=SIZE[1])
    pair = data.cases[4]
    assert np.array_equal(pair.mask(SIZE), truth.mask)
    assert pair.pixel_size_mm == truth.pixel_size_mm
    assert not data.notices
    with pytest.raises(DataError, match=rf"{FILE}: .* 96x64 pixels, its image 97x64"):
        pair.mask((64, 97))
    folds = grouped_folds(data.cases, 3, 0)
    assert sorted({name[:4] for name in fold}.pop() for fold in folds) == ["p000", "p001", "p002"]


def test_without_names_and_groups_each_image_is_its_own(shapes: Path) -> None:
    """Also where it is called like another's label; labels without an image are counted."""
    for folder in ("images", "masks"):
        (shapes / folder / "p000_1.png").rename(shapes / folder / "p000_0_seg.png")
    (shapes / "images" / "p000_2.png").unlink()
    for name in ("classes.txt", "groups.csv", "pixel_sizes.csv"):
        (shapes / name).unlink()
    data = load_labelled(shapes)
    assert data.task.classes == ("background", "class_1", "class_2")
    assert len({pair.group for pair in data.cases}) == len(data.cases)
    assert {pair.pixel_size_mm for pair in data.cases} == {None}
    for case, name in zip(data.cases[:2], ("p000_0.png", "p000_0_seg.png"), strict=True):
        assert (case.file, case.label_path.name) == (name, name)
    (notice,) = data.notices
    assert notice.endswith(": 1, such as masks/p000_2.png")


def test_other_folders_suffixes_endings_and_nesting(shapes: Path, tmp_path: Path) -> None:
    """Also links, one of which leads back."""
    images, labels = tmp_path / "elsewhere", shapes / "labels"
    (shapes / "images").rename(images)
    (shapes / "imgs").symlink_to(images, target_is_directory=True)
    (shapes / "masks").rename(labels)
    for path in sorted(images.iterdir()):
        (images / path.name[:4]).mkdir(exist_ok=True)
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(images / path.name[:4] / f"{path.stem}.jpg"), image)
        path.unlink()
    for path in sorted(labels.iterdir()):
        (labels / path.name[:4]).mkdir(exist_ok=True)
        path.rename(labels / path.name[:4] / f"{path.stem}_mask.png")
    (images / "._p000_0.jpg").write_bytes(b"\0\5\x16\7")
    (images / "back").symlink_to(shapes, target_is_directory=True)
    for name in ("groups.csv", "pixel_sizes.csv"):
        (shapes / name).unlink()
    data = load_labelled(shapes)
    assert [pair.file for pair in data.cases][:2] == ["p000/p000_0.jpg", "p000/p000_1.jpg"]
    assert len(data.cases) == 9
    truth = make_shapes(4, height=SIZE[0], width=SIZE[1])
    assert np.array_equal(data.cases[4].mask(SIZE), truth.mask)


MASK = np.zeros(SIZE, np.uint8)
MASK[10:30, 20:50] = 255


def write_tree(root: Path, pictures: dict[str, np.ndarray]) -> Path:
    for number, (name, pixels) in enumerate(pictures.items()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 9, pixels.shape, np.uint8)
        is_label = np.array_equal(pixels // 255 * 255, pixels) and pixels.any()
        assert cv2.imwrite(str(root / name), pixels if is_label else pixels + noise)
    return root


@pytest.mark.parametrize(
    ("image", "label", "file"),
    [
        ("imagesTr/us_1_0000.png", "labelsTr/us_1.png", "us_1_0000.png"),
        ("JPEGImages/a.jpg", "SegmentationClass/a.png", "a.jpg"),
        ("JPEGImages/a.jpg", "SegmentationClassPNG/a.png", "a.jpg"),
        ("trainval-image/a.png", "trainval-mask/a.png", "trainval/a.png"),
        ("train/images/a.png", "train/masks/a.png", "train/a.png"),
        ("a.jpg", "a_segmentation.png", "a.jpg"),
        (
            "Task1-2_Training_Input/a.jpg",
            "Task1_Training_GroundTruth/a_segmentation.png",
            "task1-2-training/a.jpg",
        ),
        ("images/img_1.png", "masks/mask_1.png", "img_1.png"),
        ("images/1_image.png", "gt/1_gt.png", "1_image.png"),
        ("images/a.png", "labels/a-labels.png", "a.png"),
        ("a 1.png", "a 1.mask (2).png", "a 1.png"),
    ],
)
def test_layouts_of_other_tools(tmp_path: Path, image: str, label: str, file: str) -> None:
    gray = MASK // 4 + 20
    write_tree(tmp_path, {image: gray, label: MASK, "imagesTs/new_0000.png": gray})
    data = load_labelled(tmp_path)
    assert [case.file for case in data.cases] == [file]
    assert np.array_equal(data.cases[0].mask(SIZE), MASK // 255)
    assert any("new_0000.png" in notice for notice in data.notices)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.json", '{"version": "5.0", "shapes": [{"label": "cyst"}]}', "polygons of LabelMe"),
        ("instances.json", '{"images": [], "annotations": [{"id": 1}]}', "polygons of COCO"),
        ("labels/a.txt", "0 0.1 0.2 0.3 0.4 0.5 0.6\n", "polygons of YOLO"),
        ("masks/a.gif", "GIF89a", "of a kind that is not read"),
    ],
)
def test_labels_that_are_not_read_are_named(
    tmp_path: Path, name: str, text: str, what: str
) -> None:
    write_tree(tmp_path, {"images/a.png": MASK // 4, "labels/b.png": MASK, "masks/c.png": MASK})
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=f"{name} (holds|is) {what}.*masks"):
        load_labelled(tmp_path)


def test_masks_that_cannot_be_read_are_counted_once(shapes: Path) -> None:
    for name in (FILE, "p000_0.png"):
        (shapes / "masks" / name).write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match=r"p000_0\.png: .*git lfs pull.*1 more"):
        load_labelled(shapes)


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "crescent": 2, "cyst": 1},
        {"0": "background", "1": "cyst", "2": "crescent"},
        {"0": "background", "2": "cyst"},
        {"background": 0, "whole": [1, 2]},
    ],
)
def test_names_of_nnunet(shapes: Path, labels: dict[str, Any]) -> None:
    (shapes / "classes.txt").unlink()
    (shapes / "dataset.json").write_text(json.dumps({"labels": labels}))
    if len(labels) == 3:
        assert load_labelled(shapes).task.classes == CLASSES
    else:
        with pytest.raises(DataError, match=r"dataset\.json: expected 'labels'"):
            load_labelled(shapes)


def test_breast_images_as_they_lie_in_repositories(tmp_path: Path) -> None:
    """RGB images, masks in gray, RGB and RGBA, a second one of an image, and empty ones."""
    gray, second = MASK // 4 + 20, np.roll(MASK, 40, axis=1)
    colours, empty = np.dstack([gray] * 3), MASK * 0
    opaque = np.dstack([MASK, MASK, MASK, np.full_like(MASK, 255)])
    write_tree(tmp_path, {
        "benign/benign (1).png": colours, "benign/benign (1)_mask.png": MASK,
        "benign/benign (1)_mask_1.png": second,
        "malignant/malignant (1).png": colours, "malignant/malignant (1)_mask.png": opaque,
        "normal/normal (1).png": colours,
    })  # fmt: skip
    cv2.imwrite(str(tmp_path / "normal/normal (1)_mask.png"), np.dstack([empty] * 3))
    data = load_labelled(tmp_path)
    benign, malignant, normal = (case.mask(SIZE) for case in data.cases)
    assert np.array_equal(benign, np.maximum(MASK, second) // 255)
    assert np.array_equal(malignant, MASK // 255) and not normal.any()


def test_classes_that_nobody_labelled_and_masks_that_overlap(shapes: Path) -> None:
    (shapes / "classes.txt").write_text("background\ncyst\nvoid\n")
    data = load_labelled(shapes)
    assert data.task.structures == ("cyst",)
    truth = make_shapes(4, height=SIZE[0], width=SIZE[1]).mask
    assert np.array_equal(data.cases[4].mask(SIZE), np.where(truth == 2, 255, truth))
    for name in ("classes.txt", "groups.csv", "pixel_sizes.csv"):
        (shapes / name).unlink()
    (shapes / "masks" / FILE).rename(shapes / "masks" / "p001_1_mask.png")
    cv2.imwrite(str(shapes / "masks" / "p001_1_mask_1.png"), np.full(SIZE, 2, np.uint8))
    with pytest.raises(DataError, match=r"p001_1_mask_1\.png: it overlaps"):
        load_labelled(shapes).cases[4].mask(SIZE)


TWO = {"images/p000_1.png": "masks/p000_2_mask.png", "masks/p000_2.png": "masks/p000_2_gt.png"}


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ({"masks/p000_1.png": "p000_1.txt"}, r"1 of 9 images .* images/p000_1\.png"),
        (TWO, r"p000_2\.png: it has 2 labels"),
        ({"images/p000_0.png": "images/p000_1.jpg"}, "have one label"),
        ({"images/p000_1.png": "scans/p000_0.png"}, r"would both be called p000_0\.png"),
    ],
)
def test_unpaired_images_are_named(shapes: Path, moves: dict[str, str], message: str) -> None:
    (shapes / "scans").mkdir()
    for source, target in moves.items():
        (shapes / source).rename(shapes / target)
    with pytest.raises(DataError, match=message):
        load_labelled(shapes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cyst\n", r"names 1 classes, cyst, and the masks have 3"),
        ("Hintergrund\nZyste\nSichel\n", "begin it with 'background'"),
        ("Zyste gro\u00df\n", r"classes\.txt: cannot be read .*; save it as UTF-8"),
        ("cyst\ncyst\n", "different names"),
        ("background #000000\ncyst #ff0000\ncrescent\n", "give all or none"),
    ],
)
def test_names_must_fit_the_masks(shapes: Path, text: str, message: str) -> None:
    (shapes / "classes.txt").write_bytes(text.encode("cp1252"))
    with pytest.raises(DataError, match=message):
        load_labelled(shapes)
    (shapes / "classes.txt").write_text("cyst\ncrescent\n")  # the background's may be left out
    assert load_labelled(shapes).task.classes == CLASSES


@pytest.mark.parametrize(
    ("pattern", "table", "expected"),
    [
        ("^[ab]", "", ["a", "a", "b"]),
        ("^(.)_", "", ["a", "a", "b"]),
        ("^a", "", r"no group for 1 of 3 images, such as 'b_1\.png'"),
        ("(", "", "is no expression"),
        ("", "file,group\nimages\\a_1.png,x\na_2.png,x\nb_1.png,y\n", ["x", "x", "y"]),
        ("", "file,group\na_1.png,x\n", "no group for 2 of 3"),
        ("", "file,group\na_1.png,x\na_1.png,y\n", "'a_1.png' has no group, or two"),
        ("", "name,patient\n", "the first line must be 'file,group'"),
    ],
)
def test_groups(tmp_path: Path, pattern: str, table: str, expected: list[str] | str) -> None:
    # without either only HC18's own names share a head
    others = ["scan_001.png", "scan_002.png", "2024_1.png"]
    groups = find_groups(tmp_path, ["010_HC.png", "010_2HC.png", "011_HC.png", *others])
    assert groups == ["010", "010", "011", *others]
    files = ["a_1.png", "a_2.png", "b_1.png"]
    if table:
        (tmp_path / "groups.csv").write_text(table)
    if isinstance(expected, list):
        assert find_groups(tmp_path, files, pattern) == expected
        return
    with pytest.raises(DataError, match=expected):
        find_groups(tmp_path, files, pattern)


def test_kinds_of_data_are_told_apart_and_no_data(shapes: Path, phantom_data: Path) -> None:
    with pytest.raises(InputNotFoundError, match="images/ and masks/"):
        load_labelled(shapes / "none")
    (shapes / "bare" / "pictures").mkdir(parents=True)
    with pytest.raises(InputNotFoundError, match=r"images/ and masks/.*found pictures"):
        load_labelled(shapes / "bare")
    with pytest.raises(DataError, match="learnt from outlines and circumferences"):
        load_labelled(shapes, "head")
    data = load_labelled(phantom_data, "regions")
    assert data.task.classes == ("background", "head")
    image = cv2.imread(str(data.cases[0].image_path), cv2.IMREAD_GRAYSCALE)
    mask = data.cases[0].mask(image.shape)
    assert set(np.unique(mask)) == {0, 1}
    assert mask.mean() > 0.05


def test_colours_may_leave_the_background_out(shapes: Path) -> None:
    for path in (shapes / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        colours = np.array([(0, 0, 0), (0, 0, 255), (255, 255, 255)], dtype=np.uint8)
        cv2.imwrite(str(path), colours[mask])
    (shapes / "classes.txt").write_text("cyst #ff0000\ncrescent #ffffff\n")
    data = load_labelled(shapes)
    assert data.task.classes == CLASSES
    truth = make_shapes(4, height=SIZE[0], width=SIZE[1])
    assert np.array_equal(data.cases[4].mask(SIZE), truth.mask)


def test_pixel_sizes_are_read_as_for_measuring(shapes: Path) -> None:
    files = [pair.file for pair in load_labelled(shapes).cases]
    rows = [f"D:\\data\\{file};0,12" for file in files[1:]]
    table = shapes / "pixel_sizes.csv"
    table.write_text("\n".join(["file;pixel size (mm)", f"{files[0]};NA", *rows]) + "\n")
    assert [pair.pixel_size_mm for pair in load_labelled(shapes).cases[:2]] == [None, 0.12]
    table.write_text("\n".join(["file;pixel size (mm)", *rows]) + "\n")
    with pytest.raises(DataError, match=f"no row for '{files[0]}'"):
        load_labelled(shapes)
    table.write_text("\n".join(["file;pixel size (mm)", *rows, f"{files[0]};0,2\\0,1"]) + "\n")
    with pytest.raises(DataError, match=f"{files[0]}: pixels of 0.1 by 0.2 mm are not square"):
        load_labelled(shapes)
