from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.drawing.thumbnail import add_thumbnail, read_thumbnail, shrink
from edgeseg.images.formats.jpeg import parse


def scan(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    gray = (127 + 60 * np.sin(rows / 30) + 60 * np.cos(columns / 40)).astype(np.uint8)
    return np.dstack([gray, gray, gray])


@pytest.mark.parametrize(
    ("size", "small"),
    [((540, 800), (162, 240)), ((1600, 800), (180, 90)), ((90, 160), (90, 160))],
)
def test_a_picture_holds_its_small_copy(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    picture = scan(*size)
    (tmp_path / "a.jpg").write_bytes(add_thumbnail(encode(".jpg", picture, 88), shrink(picture)))
    found = read_thumbnail(tmp_path / "a.jpg")
    assert found is not None
    assert (found.height_px, found.width_px) == size
    copy = cv2.imdecode(np.frombuffer(found.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert copy is not None
    assert copy.shape == (*small, 3)
    assert np.abs(copy.astype(int) - shrink(picture)).mean() < 3
    assert len(found.jpeg) < 10_000


def test_the_picture_itself_is_unchanged() -> None:
    plain = encode(".jpg", scan(270, 400), 88)
    both = add_thumbnail(plain, shrink(scan(270, 400)))
    assert len(both) > len(plain)
    one, two = (cv2.imdecode(np.frombuffer(each, np.uint8), 1) for each in (plain, both))
    assert np.array_equal(one, two)
    assert (parse(both).height, parse(both).width) == (270, 400)


@pytest.mark.parametrize("damage", ["absent", "empty", "no jpeg", "plain", "cut"])
def test_what_has_no_small_copy(tmp_path: Path, damage: str) -> None:
    plain = encode(".jpg", scan(270, 400), 88)
    contents = {
        "empty": b"",
        "no jpeg": b"P5 3 3 255 " + bytes(9),
        "plain": plain,
        "cut": add_thumbnail(plain, shrink(scan(270, 400)))[:900],
    }
    if damage in contents:
        (tmp_path / "a.jpg").write_bytes(contents[damage])
    assert read_thumbnail(tmp_path / "a.jpg") is None
