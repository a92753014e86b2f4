from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.measure.ellipse import Ellipse
from edgeseg.score import hc18
from edgeseg.score.folds import data_sha256, grouped_folds, read_folds, select_fold

FOLDS = Path(__file__).parents[2] / "benchmarks" / "folds.json"
SIZE = (540, 800)
HEAD = Ellipse(400.0, 270.0, 210.0, 160.0, 0.3)


@pytest.fixture
def data(phantom_data: Path, tmp_path: Path) -> Path:
    """A copy of the phantoms that a test may damage."""
    return shutil.copytree(phantom_data, tmp_path / "data")


def write_annotation(tmp_path: Path, mask: np.ndarray) -> Path:
    path = tmp_path / "x_Annotation.png"
    path.write_bytes(encode(".png", mask.astype(np.uint8)))
    return path


def ring(ellipse: Ellipse, half_px: float = 1.5) -> np.ndarray:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return 255 * (np.abs(ellipse.signed_distance(columns, rows)) < half_px)


@pytest.mark.hc18
@pytest.mark.nightly
def test_all_annotations_give_the_tables_hc_and_the_published_folds(hc18_root: Path) -> None:
    cases = hc18.load_cases(hc18_root)
    assert len(cases) == 799
    errors_mm = []
    for case in cases:  # each of which is refused where it is more than 0.5 % off
        with Image.open(case.image_path) as image:  # which reads no pixels
            size = image.height, image.width
        hc_px = case.reference_ellipse(size).circumference_px
        errors_mm.append(hc_px * case.pixel_size_mm - case.hc_reference_mm)
    assert abs(np.mean(errors_mm)) < 0.05
    stored = json.loads(FOLDS.read_text(encoding="utf-8"))
    assert grouped_folds(cases, len(stored["folds"]), stored["seed"]) == stored["folds"]
    assert data_sha256(cases) == stored["data"]["sha256"]
    assert len(cases) == stored["data"]["n_images"]


@pytest.mark.parametrize(
    ("ellipse", "mask"),
    [
        (HEAD, ring(HEAD) / 255),
        (replace(HEAD, center_x_px=60), ring(replace(HEAD, center_x_px=60))),
        *((HEAD, ring(HEAD, half_px)) for half_px in (0.6, 2.5)),
    ],
)
def test_a_ring_means_its_midline(tmp_path: Path, ellipse: Ellipse, mask: np.ndarray) -> None:
    """Whatever its value and width, and if the border cuts it."""
    (found,) = hc18.read_annotation(write_annotation(tmp_path, mask), SIZE)
    assert found.circumference_px == pytest.approx(ellipse.circumference_px, rel=2e-3)
    assert found.semi_minor_px == pytest.approx(ellipse.semi_minor_px, abs=0.5)


@pytest.mark.parametrize(("grown_px", "best"), [(0.0, 0), (0.94, 1)])  # mid-line, outer edge
def test_a_disc_is_resolved_by_the_tables_hc(tmp_path: Path, grown_px: float, best: int) -> None:
    hc_px = Ellipse(400.3, 270.7, 120.4, 90.2, 0.3).circumference_px
    disc = Ellipse(400.3, 270.7, 120.4 + grown_px, 90.2 + grown_px, 0.3).mask(*SIZE)
    path = write_annotation(tmp_path, disc)
    candidates = hc18.read_annotation(path, SIZE)
    assert len(candidates) == 2
    assert candidates[best].circumference_px == pytest.approx(hc_px, rel=1e-3)
    case = hc18.Case("x.png", path, path, "x", 0.2, 0.2 * hc_px)
    assert case.reference_ellipse(SIZE) == candidates[best]


def test_annotations_against_image_or_table_are_refused(tmp_path: Path, phantom_data: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        hc18.read_annotation(write_annotation(tmp_path, np.zeros(SIZE)), SIZE)
    line = np.zeros(SIZE)
    line[100, 100:700] = 255
    with pytest.raises(DataError, match="no ellipse found"):
        hc18.read_annotation(write_annotation(tmp_path, line), SIZE)
    with pytest.raises(DataError, match=r"800x540 pixels, its image 400x270"):
        hc18.read_annotation(write_annotation(tmp_path, HEAD.mask(*SIZE)), (270, 400))
    case = hc18.load_cases(phantom_data)[0]
    with pytest.raises(DataError, match=r"Annotation\.png.*check the pixel size"):
        replace(case, pixel_size_mm=case.pixel_size_mm * 1.01).reference_ellipse((270, 400))


def test_folds_hold_each_file_once_and_never_split_a_head(phantom_data: Path) -> None:
    cases = hc18.load_cases(phantom_data)
    assert [c.file for c in cases] == sorted(c.file for c in cases)
    assert [c.file for c in cases if c.group == "003"] == ["003_2HC.png", "003_HC.png"]
    for seed in range(5):
        folds = grouped_folds(cases, 5, seed)
        assert sorted(name for fold in folds for name in fold) == [c.file for c in cases]
        assert len({i for i, fold in enumerate(folds) for n in fold if n[:3] == "003"}) == 1
        assert folds == grouped_folds(cases[::-1], 5, seed)
        assert max(map(len, folds)) - min(map(len, folds)) <= 2
    assert grouped_folds(cases, 5, 0) != grouped_folds(cases, 5, 1)
    published = read_folds(FOLDS)
    assert sum(len(fold) for fold in published) == 799
    heads = [{name.split("_")[0] for name in fold} for fold in published]
    assert sum(len(group) for group in heads) == len(set().union(*heads))


def test_a_fold_is_selected_of_a_split_that_is_one(phantom_data: Path, tmp_path: Path) -> None:
    cases = hc18.load_cases(phantom_data)
    path = tmp_path / "folds.json"
    path.write_text(json.dumps({"folds": grouped_folds(cases, 3, 0)}), encoding="utf-8")
    folds = read_folds(path)
    assert [c.file for c in select_fold(cases, folds, 2)] == folds[2]
    for fold in (-1, 3):
        with pytest.raises(DataError, match=f"fold {fold}.* 0 to 2"):
            select_fold(cases, folds, fold)
    with pytest.raises(DataError, match=r"'000_HC\.png'"):
        select_fold(cases[1:], [["000_HC.png"]], 0)
    for text in ("{", "[]", '{"folds": [["a.png"], ["a.png"]]}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=re.escape(str(path))):
            read_folds(path)
    with pytest.raises(InputNotFoundError, match=r"none\.json"):
        read_folds(tmp_path / "none.json")


def edit_table(data: Path, pattern: str, replacement: str) -> None:
    path = data / hc18.CSV_NAME
    path.write_text(re.sub(pattern, replacement, path.read_text("utf-8"), flags=re.M), "utf-8")


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        ("^002_HC.*\n", "", r"no row for '002_HC\.png'"),
        (",[^,]*$", "", r"no head circumference for 000_HC\.png"),
        ("^(000_HC.png),[^,]*", r"\1,NA", "no pixel size for 000_HC"),
    ],
)
def test_what_is_lacking_is_named(data: Path, pattern: str, replacement: str, message: str) -> None:
    edit_table(data, pattern, replacement)
    with pytest.raises(DataError, match=message):
        hc18.load_cases(data)


def test_a_part_of_the_images_goes_with_the_whole_table(data: Path) -> None:
    for name in ("002_HC.png", "002_HC_Annotation.png"):
        (data / "training_set" / name).unlink()
    cases, _, (notice,) = hc18.load_data(data)
    assert "002_HC.png" not in [case.file for case in cases]
    assert notice.endswith(": 1, such as 002_HC.png")
    with pytest.raises(InputNotFoundError, match="expected an HC18 folder with 'training_set/'"):
        hc18.load_cases(data / "training_set")


def test_the_datas_hash_covers_names_table_and_bytes(data: Path) -> None:
    before = data_sha256(hc18.load_cases(data))
    image = data / "training_set" / "005_HC_Annotation.png"
    content = image.read_bytes()
    image.write_bytes(content + b"\0")
    assert data_sha256(hc18.load_cases(data)) != before
    image.write_bytes(content)
    edit_table(data, r"^005_HC\.png,0\.", "005_HC.png,1.")
    assert data_sha256(hc18.load_cases(data)) != before
