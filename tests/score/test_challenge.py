from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.phantom.head import Phantom
from edgeseg.score.challenge import find_images, write_submission
from edgeseg.segmenter import Segmenter


@pytest.fixture
def root(tmp_path: Path, phantoms: list[Phantom]) -> Path:
    folder = tmp_path / "hc18" / "test_set"
    folder.mkdir(parents=True)
    lines = ["filename,pixel size(mm)"]
    for phantom in phantoms[:3]:
        (folder / phantom.name).write_bytes(encode(".png", phantom.image))
        lines.append(f"{phantom.name},{phantom.pixel_size_mm!r}")
    (tmp_path / "hc18" / "test_set_pixel_size.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "hc18"


def test_a_row_an_image_in_mm(segmenter: Segmenter, root: Path, phantoms: list[Phantom]) -> None:
    found, sizes = find_images(root / "test_set")
    out = root / "submission.csv"
    write_submission(segmenter, found.items, sizes, out)
    with out.open(newline="") as stream:
        titles, *rows = csv.reader(stream)
    assert ",".join(titles) == (
        "filename,center_x_mm,center_y_mm,semi_axes_a_mm,semi_axes_b_mm,angle_rad"
    )
    for row, phantom in zip(rows, sorted(phantoms[:3], key=lambda p: p.name), strict=True):
        assert row[0] == phantom.name
        mm = phantom.pixel_size_mm
        ellipse = segmenter.predict(phantom.image, mm).ellipse.scaled(mm, mm)
        expected = (*ellipse.center, ellipse.semi_major_px, ellipse.semi_minor_px)
        assert [float(cell) for cell in row[1:]] == pytest.approx(
            [*expected, ellipse.angle_rad], abs=1e-6
        )


def test_a_folder_s_name_is_no_pattern_and_what_is_left_out_is_said(root: Path) -> None:
    images = (root / "test_set").rename(root / "te[1]")
    with pytest.raises(InputNotFoundError, match=r"called te\[1\]_pixel_size.*--pixel-sizes"):
        find_images(images)
    table = (root / "test_set_pixel_size.csv").rename(root / "te[1]_pixel_size.csv")
    (images / "000_HC_Annotation.png").write_bytes((images / "000_HC.png").read_bytes())
    found, _ = find_images(images)
    assert len(found.items) == 3
    assert len(found.notices) == 1
    (root / "te[1]_pixel_sizes.csv").write_bytes(table.read_bytes())
    with pytest.raises(DataError, match="2 tables"):
        find_images(images)
    assert len(find_images(images, table)[0].items) == 3


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("filename,pixel size(mm),width,height\n000_HC.png,0.1,800,540\n", "400x270 instead"),
        ("filename,pixel size(mm)\n000_HC.png,NA\n", "no pixel size is given for it"),
        ("filename,pixel size(mm)\n000_HC.png,0.1\n", "no head was found"),
    ],
)
def test_an_image_without_a_size_or_head_is_named(
    segmenter: Segmenter, root: Path, table: str, said: str
) -> None:
    (root / "test_set_pixel_size.csv").write_text(table)
    (root / "test_set" / "000_HC.png").write_bytes(encode(".png", np.zeros((270, 400), np.uint8)))
    found, sizes = find_images(root)
    with pytest.raises(DataError, match=rf"000_HC\.png: .*{said}"):
        write_submission(segmenter, found.items[:1], sizes, root / "submission.csv")
    assert not (root / "submission.csv").exists()
