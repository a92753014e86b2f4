from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.drawing.thumbnail import add_thumbnail, read_thumbnail, shrink
from edgeseg.errors import ImageDecodeError
from edgeseg.images import image_file
from edgeseg.images.formats.jpeg import parse
from edgeseg.measure.ellipse import Ellipse


def scan(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    gray = (127 + 60 * np.sin(rows / 30) + 60 * np.cos(columns / 40)).astype(np.uint8)
    return np.dstack([gray, gray, gray])


@pytest.mark.parametrize(
    ("size", "small"),
    [((540, 800), (162, 240)), ((90, 160), (90, 160))],
)
def test_a_picture_holds_its_small_copy(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    picture = scan(*size)
    (tmp_path / "plain.jpg").write_bytes(encode(".jpg", picture, 88))
    (tmp_path / "a.jpg").write_bytes(add_thumbnail(encode(".jpg", picture, 88), shrink(picture)))
    found = read_thumbnail(tmp_path / "a.jpg")
    assert found is not None
    assert (found.height_px, found.width_px) == size
    copy = cv2.imdecode(np.frombuffer(found.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert copy is not None
    assert copy.shape == (*small, 3)
    assert np.abs(copy.astype(int) - shrink(picture)).mean() < 3
    assert len(found.jpeg) < 10_000
    whole, plain = (cv2.imread(str(tmp_path / name)) for name in ("a.jpg", "plain.jpg"))
    assert np.array_equal(whole, plain)
    assert (parse((tmp_path / "a.jpg").read_bytes()).height) == size[0]


def test_what_has_no_small_copy(tmp_path: Path) -> None:
    plain, path = encode(".jpg", scan(270, 400), 88), tmp_path / "a.jpg"
    assert read_thumbnail(path) is None
    cut = add_thumbnail(plain, shrink(scan(270, 400)))[:900]
    for content in (b"", b"P5 3 3 255 " + bytes(9), plain, cut):
        path.write_bytes(content)
        assert read_thumbnail(path) is None


def test_a_mask_comes_back_as_it_was_and_small() -> None:
    mask = Ellipse(400.0, 270.0, 180.0, 140.0, 0.3).mask(540, 800)
    data = encode(".png", mask, is_mask=True)
    assert np.array_equal(image_file.decode_frame(data).pixels, mask)
    assert data[24:26] == bytes([8, 0])  # 8 bits, gray: 0 and 255 in any reader
    assert len(data) < len(encode(".png", mask))


def test_what_no_file_can_hold_is_said() -> None:
    with pytest.raises(ImageDecodeError, match=r"70000x2 pixels do not fit into a \.jpg file"):
        encode(".jpg", np.zeros((2, 70_000), dtype=np.uint8), 80)
