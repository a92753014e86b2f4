from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import ImageDecodeError
from edgeseg.measure.ellipse import Ellipse
from edgeseg.output.pictures import encode, encode_mask, picture_name
from edgeseg.phantom.head import Phantom
from edgeseg.sources import header, image_file


def test_picture_names_never_collide() -> None:
    names = [
        "a.png",
        "a.jpg",
        "a.jpg.png",
        "a.PNG",
        "d/a.png",
        "a",
        "a.img.png",
        "b.dat",
        "b.dat.png",
    ]
    pictures = [picture_name(name) for name in names]
    assert len(set(pictures)) == len(names)
    assert pictures[:3] == ["a", "a.jpg", "a.jpg.png"]
    assert pictures[4] == "d/a"


def test_encode_writes_png_and_jpeg(phantoms: list[Phantom]) -> None:
    scan = phantoms[0].image
    assert np.array_equal(image_file.decode_gray(encode(".png", scan)), scan)
    assert encode(".jpg", scan, 80)[:2] == b"\xff\xd8"


def test_encode_says_what_does_not_fit() -> None:
    with pytest.raises(ImageDecodeError, match=r"70000x2 pixels do not fit into a \.jpg file"):
        encode(".jpg", np.zeros((2, 70_000), dtype=np.uint8), 80)


def test_a_mask_comes_back_as_it_was_and_small() -> None:
    mask = Ellipse(400.0, 270.0, 180.0, 140.0, 0.3).mask(540, 800)
    data = encode_mask(mask)
    assert np.array_equal(image_file.decode_gray(data), mask)
    assert header.parse(data).width == 800
    assert data[24:26] == bytes([8, 0])  # 8 bits, gray: 0 and 255 in any reader
    assert len(data) < len(encode(".png", mask))
