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


class Named:
    def __init__(self, path: object) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


class Tensor:
    """Gives its array when asked, as tensors do."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array


class OnTheCard(Tensor):
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def test_files_are_read_however_they_are_named(path: Path, scan: np.ndarray) -> None:
    with os.scandir(path.parent) as entries:
        entry = next(entries)
    data = path.read_bytes()
    ways = [path, str(path), Named(str(path)), Named(os.fsencode(path)), entry, data]
    ways += [bytearray(data), memoryview(data), io.BytesIO(data)]
    for way in ways:
        assert np.array_equal(as_gray(way), scan), way
    with path.open("rb") as stream:
        assert np.array_equal(as_gray(stream), scan)
    with pytest.raises(InputNotFoundError):
        as_gray(path.parent / "none.png")
    with pytest.raises(ImageDecodeError):
        as_gray(b"not an image")
    with pytest.raises(DataError, match="mode 'rb'"):
        as_gray(io.StringIO("text"))


def test_gray_values_are_taken_as_they_are(scan: np.ndarray) -> None:
    frozen = scan.copy()
    frozen.flags.writeable = False
    assert as_gray(scan) is scan
    assert as_gray(frozen) is frozen
    assert set(np.unique(as_gray(scan > 90))) == {0, 255}


@pytest.mark.parametrize(
    "way",
    [
        *(lambda g: g[..., None], lambda g: g[None], lambda g: np.dstack([g] * 3)),
        *(lambda g: np.dstack([g, g, g, np.full_like(g, 255)]), lambda g: np.dstack([g / 255] * 3)),
        *(lambda g: g.astype(np.int64), lambda g: g.astype(np.float32), lambda g: g / 255),
        *(lambda g: (g / 255).astype(np.float16), lambda g: g.astype(np.uint16) << 4),
        *(lambda g: g.astype(">u2"), lambda g: g[::-1][::-1], np.asfortranarray),
        *(np.ma.MaskedArray, Tensor),
    ],
)
def test_arrays_of_any_numbers_and_channels_give_the_same(way: Any, scan: np.ndarray) -> None:
    bright = scan.copy()
    bright[0, 0] = 255  # so that 12-bit data are told by their largest value
    difference = np.abs(as_gray(way(bright)).astype(int) - bright)
    assert difference.max() <= 1


def test_arrays_give_what_their_files_do() -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (60, 50, 3)).astype(np.uint8)
    deep = rng.integers(0, 4096, (60, 50)).astype(np.uint16)
    # the decoder of PNG rounds otherwise
    assert np.abs(as_gray(colours).astype(int) - as_gray(encode(".png", colours))).max() <= 2
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 2] = 255
    assert as_gray(red)[0, 0] == 76  # 0.299 of 255
    for array in (deep, deep.astype(np.int32), deep.astype(np.float64)):
        assert np.array_equal(as_gray(array), as_gray(encoded(".png", deep)))
    wide = np.dstack([deep * 16] * 3)
    assert np.abs(as_gray(wide).astype(int) - as_gray(encoded(".png", wide))).max() <= 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((31, 40), np.uint8), "40x31 pixels; each side must be at least 32"),
        (np.zeros((40, 40, 2), np.uint8), r"shape \(40, 40, 2\)"),
        (np.zeros((3, 40, 40), np.uint8), r"transpose\(1, 2, 0\)"),
        (np.zeros((1, 1, 40, 40), np.uint8), "expected a path"),
        (np.zeros(1000, np.uint8), "expected a path"),
        (np.zeros((0, 40), np.float32), r"shape \(0, 40\)"),
        (np.full((40, 40), np.nan), "without NaN"),
        (np.full((40, 40), -0.5), "from -0.5 to -0.5"),
        (np.full((40, 40), -1, np.int16), "from -1 to -1"),
        (np.full((40, 40), 70000), "values from 70000"),
        (np.full((40, 40), np.inf), "values from inf"),
        (np.full((40, 40), 1.02), "numpy.clip"),
        (np.zeros((40, 40), complex), "type complex128"),
        (np.zeros((40, 40), object), "type object"),
        (np.array([["a"] * 40] * 40), "type <U1"),
        (np.ma.MaskedArray(np.zeros((40, 40)), mask=np.eye(40)), "masked"),
        ([[0] * 40] * 40, "got list; expected a path"),
        *((given, "expected a path") for given in (None, 3, {}, object(), np.ndarray, 0.5)),
        (OnTheCard(np.zeros((40, 40))), r"cuda:0.*detach\(\)\.cpu\(\)\.numpy"),
        (np.zeros((40, 40, 4), np.uint8), "transparent"),
        (np.dstack([np.full((40, 40, 3), 9), np.eye(40) * 255]).astype(np.uint8), "transparent"),
    ],
)
def test_what_is_no_image_is_refused_with_a_sentence(given: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        as_gray(given)


@pytest.mark.parametrize(
    "mode",
    ["L", "RGB", "RGBA", "LA", "La", "P", "PA", "I", "I;16", "I;16B", "F", "CMYK", "YCbCr", "RGBX",
     "RGBa", "HSV"],
)  # fmt: skip
def test_pil_images_of_every_mode_are_what_they_show(mode: str, scan: np.ndarray) -> None:
    image = Image.fromarray(scan)
    if mode.startswith("I;16"):
        image = image.convert("I;16")
        if mode == "I;16B":
            image = Image.frombytes(mode, image.size, scan.astype(">u2").tobytes())
    elif mode in ("PA", "La", "RGBa"):
        image = image.convert({"PA": "LA", "La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
    else:
        image = image.convert(mode)
    assert image.mode == mode
    assert np.abs(as_gray(image).astype(int) - scan).max() <= 2


def test_pil_s_palettes_are_looked_up_and_bits_are_black_and_white() -> None:
    codes = np.tile(np.arange(2, dtype=np.uint8), (40, 20))
    palette = Image.new("P", (40, 40))
    palette.putdata([int(code) for code in codes.ravel()])
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert as_gray(palette)[0, :2].tolist() == [76, 29]
    bits = Image.fromarray(codes * 255).convert("1")
    assert as_gray(bits)[0, :2].tolist() == [0, 255]


def test_pil_images_are_turned_as_exif_says(scan: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = Image.fromarray(scan[:100, :150])
    for turn in range(1, 9):
        exif = image.getexif()
        exif[0x0112] = turn
        image.save(path, exif=exif)
        with Image.open(path) as opened:
            assert np.array_equal(as_gray(opened), as_gray(path))
        assert as_gray(path).shape == ((100, 150) if turn < 5 else (150, 100))


def test_pil_images_that_cannot_be_read_are_a_sentence(path: Path, scan: np.ndarray) -> None:
    clear = Image.fromarray(np.dstack([scan] * 4))
    with pytest.raises(DataError, match="transparent"):
        as_gray(clear)
    see_through = Image.fromarray(scan)
    see_through.info["transparency"] = 0
    with pytest.raises(DataError, match="transparent"):
        as_gray(see_through)
    path.write_bytes(path.read_bytes()[:2000])
    with Image.open(path) as opened, pytest.raises(ImageDecodeError, match="cannot be read"):
        as_gray(opened)


def test_a_tensor_is_an_array() -> None:
    torch = pytest.importorskip("torch")
    gray = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)
    assert np.array_equal(as_gray(torch.from_numpy(gray)), gray)
    assert np.array_equal(as_gray(torch.from_numpy(gray)[None]), gray)
    with pytest.raises(DataError, match="detach"):
        as_gray(torch.zeros(40, 40, requires_grad=True))
    with pytest.raises(DataError, match=r"transpose\(1, 2, 0\)"):
        as_gray(torch.zeros(3, 40, 40))
