"""From gray values to the network's input and back, and into picture files."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import ImageDecodeError
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.region import to_native
from edgeseg.network.preprocess import preprocess
from edgeseg.output.pictures import encode, encode_mask
from edgeseg.phantom.head import Phantom
from edgeseg.sources import header, image_file


def test_preprocess_averages_areas() -> None:
    gray = np.zeros((384, 576), dtype=np.uint8)
    gray[::2, ::2] = 200
    tensor = preprocess(gray, 192, 288)
    assert tensor.shape == (1, 1, 192, 288)
    assert tensor.dtype == np.uint8
    assert tensor.flags.c_contiguous
    assert np.all(tensor == 50)


def test_preprocess_does_not_shift_the_picture(phantoms: list[Phantom]) -> None:
    """A head's coverage stretched as an image is the stretched head's coverage."""
    phantom = phantoms[1]
    native = np.round(255 * phantom.ellipse.coverage(*phantom.image.shape)).astype(np.uint8)
    for size in ((192, 288), (100, 100), (540, 800)):
        tensor = preprocess(native, *size)[0, 0]
        expected = phantom.probability(*size)
        assert np.abs(tensor / 255 - expected).mean() < 0.003
        rows, columns = np.nonzero(tensor > 127)
        rows_expected, columns_expected = np.nonzero(expected > 0.5)
        assert rows.mean() == pytest.approx(rows_expected.mean(), abs=0.1)
        assert columns.mean() == pytest.approx(columns_expected.mean(), abs=0.1)


def test_to_native_keeps_place_and_range(phantoms: list[Phantom]) -> None:
    phantom = phantoms[1]
    native = to_native(phantom.probability(192, 288), (270, 400))
    assert native.shape == (270, 400)
    assert native.dtype == np.float32
    assert 0 <= native.min() <= native.max() <= 1
    inside = phantom.ellipse.mask(270, 400) > 0
    assert np.mean((native >= 0.5) != inside) < 0.003


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
