from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edgeseg.errors import DataError
from edgeseg.score.label_files import LabelCode, learn_code, read_label

TRUTH = np.zeros((40, 60), dtype=np.uint8)
TRUTH[5:20, 5:30] = 1
TRUTH[22:38, 30:55] = 2
ONE = (TRUTH == 1).astype(np.uint8)
# as OpenCV has them, blue first
BLACK, WHITE, GREEN, RED, BLUE = (0, 0, 0), (255, 255, 255), (0, 255, 0), (0, 0, 255), (255, 0, 0)


def save_mask(tmp_path: Path, pixels: np.ndarray, name: str = "m.png") -> Path:
    path = tmp_path / name
    assert cv2.imwrite(str(path), pixels)
    return path


def save_palette(tmp_path: Path, numbers: np.ndarray, palette: list[int], name: str) -> Path:
    """Save a PNG whose pixels are numbers into a palette, as VOC and nnU-Net users have them."""
    image = Image.fromarray(numbers, mode="P")
    image.putpalette(palette)
    image.save(tmp_path / name)
    return tmp_path / name


def paint(*values: int | tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    """Return the truth with a value or colour for each of its classes."""
    return np.array(values, dtype=dtype)[TRUTH]


@pytest.mark.parametrize(
    ("pixels", "n_named", "expected", "note"),
    [
        (paint(0, 1, 2), 0, TRUTH, ""),
        (paint(0, 1, 2, dtype=np.uint16), 0, TRUTH, ""),
        (paint(0, 128, 255), 0, TRUTH, "128 is 1, 255 is 2"),
        (paint(0, 2, 5), 0, paint(0, 2, 5), "of which 2, 5 occur"),
        (ONE * 255, 0, ONE, ""),
        (ONE * 7, 0, ONE, "foreground"),
        (ONE * 2, 3, ONE * 2, ""),
        (paint(BLACK, GREEN, RED), 0, TRUTH, "#00ff00 is 1, #ff0000 is 2"),
        (paint(WHITE, GREEN, RED), 0, TRUTH, "#ffffff is 0"),  # the commonest is the background
    ],
)
def test_values_to_classes(
    tmp_path: Path, pixels: np.ndarray, n_named: int, expected: np.ndarray, note: str
) -> None:
    """An empty mask among others is background."""
    path = save_mask(tmp_path, pixels)
    empty = save_mask(tmp_path, np.full_like(pixels, pixels[0, 0]), "empty.png")
    code = learn_code([path, empty], n_named=n_named)
    assert np.array_equal(code.read(path), expected)
    assert not code.read(empty).any()
    assert note in code.note
    assert bool(code.note) == bool(note)


def test_colours_are_numbered_over_the_whole_data(tmp_path: Path) -> None:
    """White alone is a colour too, where others have colours."""
    both = save_mask(tmp_path, paint(BLACK, WHITE, BLUE), "both.png")
    white = save_mask(tmp_path, ONE * 255, "white.png")
    named = learn_code([white, both], {0: 0, 0x0000FF: 1, 0xFFFFFF: 2})
    for code in (named, learn_code([white, both])):
        assert np.array_equal(code.read(white), paint(0, 2, 0))
        assert np.array_equal(code.read(both), paint(0, 2, 1))


def test_a_palette_s_numbers_count_unless_named_or_palettes_differ(tmp_path: Path) -> None:
    # the second colour is darker than the first: its number decides, not its value
    path = save_palette(tmp_path, TRUTH, [0, 0, 0, 200, 100, 0, 10, 10, 90], "m.png")
    assert np.array_equal(learn_code([path]).read(path), TRUTH)
    named = learn_code([path], {0: 0, 0x0A0A5A: 1, 0xC86400: 2})
    assert np.array_equal(named.read(path), paint(0, 2, 1))
    # its first colour is the other file's second
    other = save_palette(tmp_path, (TRUTH == 2).astype(np.uint8), [0, 0, 0, 10, 10, 90], "o.png")
    code = learn_code([path, other])
    assert set(code.read(path)[TRUTH == 2]) == set(code.read(other)[TRUTH == 2])


RIM = cv2.dilate(ONE, np.ones((3, 3), np.uint8)) - ONE


def test_what_nobody_labelled_is_ignored(tmp_path: Path) -> None:
    """255 in palettes is; elsewhere it must be said."""
    expected, palette = ONE + 255 * RIM, [0, 0, 0, 200, 100, 0, *[0] * 759, 224, 224, 192]
    path = save_palette(tmp_path, expected, palette, "m.png")
    code = learn_code([path])
    assert np.array_equal(code.read(path), expected) and "ignore" in code.note
    assert code.n_classes == 2
    gray = save_mask(tmp_path, ONE + 7 * RIM, "gray.png")
    assert np.array_equal(learn_code([gray], ignored=[7]).read(gray), expected)
    numbers = save_mask(tmp_path, paint(0, 1, 2), "n.png")
    assert np.array_equal(learn_code([numbers]).ignoring([1]).read(numbers), paint(0, 255, 1))


@pytest.mark.parametrize("how", [cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC])
def test_shrunk_masks_of_one_structure_are_cut_at_half_and_others_refused(
    tmp_path: Path, how: int
) -> None:
    def shrink(mask: np.ndarray) -> np.ndarray:
        large = cv2.resize(mask, (183, 121), interpolation=cv2.INTER_NEAREST)
        return cv2.resize(large, (122, 81), interpolation=how)

    small = shrink(ONE * 255)
    path = save_mask(tmp_path, small)
    assert np.array_equal(learn_code([path]).read(path), small > 127)
    with pytest.raises(DataError, match="smoothed"):
        learn_code([save_mask(tmp_path, shrink(paint(0, 120, 240)))])


NOISE = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
MIDDLE = np.zeros((200, 300), dtype=np.uint8)  # a third level that must not be smoothed away
MIDDLE[20:180, 20:200] = 255
MIDDLE[50:60, 220:240] = 128


@pytest.mark.parametrize(
    ("pixels", "name", "n_named", "message"),
    [
        (np.tile(np.arange(200, dtype=np.uint8), (40, 1)), "m.png", 0, "200 gray levels"),
        (NOISE, "m.png", 0, "colours, .*; expected up to 16"),
        (paint(BLACK, GREEN, RED), "m.png", 3, r"3 colours, .*classes\.txt"),
        (np.zeros_like(TRUTH), "m.png", 0, "every mask of the data is empty"),
        (paint(0, 1, 255), "m.png", 0, "the value 255.*'ignore'"),
        (MIDDLE, "m.jpg", 0, "must not be smoothed or saved as JPEG"),
        (np.dstack([TRUTH, TRUTH, TRUTH, ONE * 255]), "m.png", 0, "are transparent"),
        (NOISE.astype(np.uint16), "m.png", 0, "colours of 16 bits"),
    ],
)
def test_other_masks_are_refused(
    tmp_path: Path, pixels: np.ndarray, name: str, n_named: int, message: str
) -> None:
    with pytest.raises(DataError, match=rf"({name}|{tmp_path}): .*{message}"):
        learn_code([save_mask(tmp_path, pixels, name)], n_named=n_named)


def test_jpeg_noise_is_cut_at_half_and_strange_values_are_refused(tmp_path: Path) -> None:
    path = save_mask(tmp_path, ONE * 255, "m.jpg")
    code = learn_code([path])
    assert "as after JPEG" in code.note
    assert np.count_nonzero(code.read(path) != ONE) <= 3
    with pytest.raises(DataError, match="the value 2 belongs to no class; expected 0, 1"):
        LabelCode({0: 0, 1: 1}).read(save_mask(tmp_path, TRUTH))
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(DataError, match=r"text\.png: "):
        read_label(tmp_path / "text.png")
