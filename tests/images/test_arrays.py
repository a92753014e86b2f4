"""An image in whatever a program holds it: the same gray values as of its file, or a sentence."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, ImageDecodeError, InputNotFoundError
from edgeseg.images.arrays import as_frame
from tests.images.image_files import encoded


def as_gray(source: Any) -> np.ndarray:
    return as_frame(source).pixels


@pytest.fixture
def path(tmp_path: Path, scan: np.ndarray) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(encode(".png", scan))
    return path


class Tensor:
    """Gives its array when asked, as tensors do, or raises the error that it is made of."""

    def __init__(self, array: np.ndarray | Exception) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if isinstance(self.array, Exception):
            raise self.array
        return self.array


ON_THE_CARD = Tensor(TypeError("can't convert cuda:0 device type tensor to numpy"))


def test_files_are_read_however_they_are_named(path: Path, scan: np.ndarray) -> None:
    with os.scandir(path.parent) as entries:
        entry = next(entries)
    data = path.read_bytes()
    for way in (path, str(path), entry, data, memoryview(data), io.BytesIO(data)):
        assert np.array_equal(as_gray(way), scan), way
    with pytest.raises(InputNotFoundError):
        as_gray(path.parent / "none.png")
    with pytest.raises(ImageDecodeError):
        as_gray(b"not an image")
    with pytest.raises(DataError, match="mode 'rb'"):
        as_gray(io.StringIO("text"))


@pytest.mark.parametrize(
    "way",
    [
        *(lambda g: g[..., None], lambda g: g[None], lambda g: np.dstack([g] * 3)),
        *(lambda g: np.dstack([g, g, g, np.full_like(g, 255)]), lambda g: np.dstack([g / 255] * 3)),
        *(lambda g: g.astype(np.int64), lambda g: g.astype(np.float32), lambda g: g / 255),
        *(lambda g: g.astype(np.uint16) << 4, lambda g: g.astype(">u2"), Tensor),
    ],
)
def test_arrays_of_any_numbers_and_channels_give_the_same(way: Any, scan: np.ndarray) -> None:
    bright = scan.copy()
    bright[0, 0] = 255  # so that 12-bit data are told by their largest value
    difference = np.abs(as_gray(way(bright)).astype(int) - bright)
    assert difference.max() <= 1


def test_arrays_give_what_their_files_do(scan: np.ndarray) -> None:
    assert as_gray(scan) is scan
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (60, 50, 3)).astype(np.uint8)
    deep = rng.integers(0, 4096, (60, 50)).astype(np.uint16)
    # the decoder of PNG rounds otherwise
    assert np.abs(as_gray(colours).astype(int) - as_gray(encode(".png", colours))).max() <= 2
    for array in (deep, deep.astype(np.float64)):
        assert np.array_equal(as_gray(array), as_gray(encoded(".png", deep)))
    wide = np.dstack([deep * 16] * 3)
    assert np.abs(as_gray(wide).astype(int) - as_gray(encoded(".png", wide))).max() <= 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((31, 40), np.uint8), "40x31 pixels; each side must be at least 32"),
        (np.zeros((40, 40, 2), np.uint8), r"shape \(40, 40, 2\)"),
        (np.zeros((3, 40, 40), np.uint8), r"transpose\(1, 2, 0\)"),
        (np.zeros((0, 40), np.float32), r"shape \(0, 40\)"),
        (np.full((40, 40), np.nan), "without NaN"),
        (np.full((40, 40), -1, np.int16), "from -1 to -1"),
        (np.full((40, 40), 70000), "values from 70000"),
        (np.full((40, 40), 1.02), "numpy.clip"),
        (np.zeros((40, 40), complex), "type complex128"),
        (np.ma.MaskedArray(np.zeros((40, 40)), mask=np.eye(40)), "masked"),
        ([[0] * 40] * 40, "got list; expected a path"),
        *((given, "expected a path") for given in (None, np.ndarray, 0.5)),
        (ON_THE_CARD, r"cuda:0.*detach\(\)\.cpu\(\)\.numpy"),
        (np.zeros((40, 40, 4), np.uint8), "transparent"),
        (np.dstack([np.full((40, 40, 3), 9), np.eye(40) * 255]).astype(np.uint8), "transparent"),
    ],
)
def test_what_is_no_image_is_refused_with_a_sentence(given: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        as_gray(given)


@pytest.mark.parametrize(
    "mode", ["1", "L", "RGBA", "La", "P", "PA", "I", "I;16", "F", "CMYK", "YCbCr"]
)
def test_pil_images_of_every_mode_are_what_they_show(mode: str, scan: np.ndarray) -> None:
    pixels = np.where(scan > 90, 255, 0).astype(np.uint8) if mode == "1" else scan
    image = Image.fromarray(pixels)
    image = image.convert("LA") if mode in ("PA", "La") else image
    image = image.convert(mode)
    assert image.mode == mode
    assert np.abs(as_gray(image).astype(int) - pixels).max() <= 2


def test_pil_images_are_turned_and_refused_as_files_are(path: Path, scan: np.ndarray) -> None:
    image = Image.fromarray(scan)
    image.getexif()[0x0112] = 6
    assert np.array_equal(as_gray(image), np.rot90(scan, -1))  # turned as EXIF says
    see_through = Image.fromarray(scan)
    see_through.info["transparency"] = 0
    with pytest.raises(DataError, match="transparent"):
        as_gray(see_through)
    path.write_bytes(path.read_bytes()[:2000])
    with Image.open(path) as opened, pytest.raises(ImageDecodeError, match="cannot be read"):
        as_gray(opened)
