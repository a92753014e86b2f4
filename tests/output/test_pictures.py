from __future__ import annotations

import numpy as np
import pytest

from edgeseg.drawing.encode import encode, encode_mask
from edgeseg.errors import ImageDecodeError
from edgeseg.images import image_file
from edgeseg.measure.ellipse import Ellipse
from edgeseg.output.pictures import picture_names
from edgeseg.phantom.head import Phantom


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
    assert data[24:26] == bytes([8, 0])  # 8 bits, gray: 0 and 255 in any reader
    assert len(data) < len(encode(".png", mask))


def test_no_two_frames_or_files_have_one_name() -> None:
    given = [
        *(("a.dcm", 0), ("a.dcm", 1), ("a.dcm", 12345), ("a", 0), ("a", 1), ("a.img", 0)),
        *(("a.dcm.frame-0001.png", 0), ("a.dcm.png", 0), ("a.dcm.dcm", 0), ("a.png", 0)),
        *(("a.img.dcm", 0), ("a.png.dcm", 0), ("a.frame-0001.dcm", 0), ("a.DCM", 0)),
        *(
            (file, 0)
            for file in (
                "a.jpg",
                "a.jpg.png",
                "a.PNG",
                "d/a.png",
                "a.img.png",
                "b.dat",
                "b.dat.png",
            )
        ),
    ]
    named = [picture_names(file, frame) for file, frame in given]
    for kind in ("masks", "overlays"):
        assert len({names[kind] for names in named}) == len(given)
    of_files = {file: picture_names(file)["sr"] for file, _ in given}
    assert len({*of_files.values()}) == len(of_files)
    assert of_files["a.dcm"] == "sr/a.dcm"
    assert picture_names("a.dcm", 3)["masks"] == "masks/a.dcm.frame-0003.png"
    assert picture_names("a.dcm", 3)["seg"] == "seg/a.dcm"
