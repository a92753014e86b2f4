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
    ("pixels", "expected", "note"),
    [
        (paint(0, 1, 2), TRUTH, ""),
        (paint(0, 1, 2, dtype=np.uint16), TRUTH, ""),
        (paint(0, 128, 255), TRUTH, "128 is 1, 255 is 2"),
        (paint(0, 40, 200), TRUTH, "40 is 1, 200 is 2"),
        (paint(0, 2, 5), paint(0, 2, 5), "of which 2, 5 occur"),
        *((ONE * high, ONE, "foreground" if high == 7 else "") for high in (1, 255, 7)),
        (paint(BLACK, GREEN, RED), TRUTH, "#00ff00 is 1, #ff0000 is 2"),
        (paint(WHITE, GREEN, RED), TRUTH, "#ffffff is 0"),  # the commonest is the background
    ],
)
def test_values_become_class_numbers(
    tmp_path: Path, pixels: np.ndarray, expected: np.ndarray, note: str
) -> None:
    path = save_mask(tmp_path, pixels)
    code = learn_code([path])
    assert np.array_equal(code.read(path), expected)
    assert note in code.note
    assert bool(code.note) == bool(note)


def test_a_single_class_keeps_its_number_where_more_are_named(tmp_path: Path) -> None:
    path = save_mask(tmp_path, ONE * 2)
    assert set(np.unique(learn_code([path], n_named=3).read(path))) == {0, 2}


def test_colours_are_numbered_over_the_whole_data(tmp_path: Path) -> None:
    both = save_mask(tmp_path, paint(BLACK, GREEN, RED), "both.png")
    red = save_mask(tmp_path, paint(BLACK, BLACK, RED), "red.png")
    code = learn_code([red, both])
    assert np.array_equal(code.read(both), TRUTH)
    assert np.array_equal(code.read(red), paint(0, 0, 2))


def test_white_is_a_colour_among_colours(tmp_path: Path) -> None:
    both = save_mask(tmp_path, paint(BLACK, WHITE, BLUE), "both.png")
    white = save_mask(tmp_path, ONE * 255, "white.png")
    named = learn_code([white, both], {0: 0, 0x0000FF: 1, 0xFFFFFF: 2})
    for code in (named, learn_code([white, both])):
        assert np.array_equal(code.read(white), paint(0, 2, 0))
        assert np.array_equal(code.read(both), paint(0, 2, 1))


def test_a_palette_s_numbers_count_unless_colours_are_named_or_palettes_differ(
    tmp_path: Path,
) -> None:
    # the second colour is darker than the first: its number decides, not its value
    path = save_palette(tmp_path, TRUTH, [0, 0, 0, 200, 100, 0, 10, 10, 90], "m.png")
    assert np.array_equal(read_label(path).numbers, TRUTH)
    assert np.array_equal(learn_code([path]).read(path), TRUTH)
    named = learn_code([path], {0: 0, 0x0A0A5A: 1, 0xC86400: 2})
    assert np.array_equal(named.read(path), paint(0, 2, 1))
    # its first colour is the other file's second
    other = save_palette(tmp_path, (TRUTH == 2).astype(np.uint8), [0, 0, 0, 10, 10, 90], "o.png")
    code = learn_code([path, other])
    assert set(code.read(path)[TRUTH == 2]) == set(code.read(other)[TRUTH == 2])


def test_jpeg_noise_around_two_levels_is_cut_at_half(tmp_path: Path) -> None:
    path = save_mask(tmp_path, ONE * 255, "m.jpg")
    code = learn_code([path])
    assert "as after JPEG" in code.note
    assert np.count_nonzero(code.read(path) != ONE) <= 3


def middle_level() -> np.ndarray:
    """Two levels, and a small third one that must not be smoothed away."""
    levels = np.zeros((200, 300), dtype=np.uint8)
    levels[20:180, 20:200] = 255
    levels[50:60, 220:240] = 128
    return levels


NOISE = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "name", "message"),
    [
        (np.tile(np.arange(200, dtype=np.uint8), (40, 1)), "m.png", "200 gray levels"),
        (NOISE, "m.png", "colours; expected up to 16"),
        (np.zeros_like(TRUTH), "m.png", "every mask of the data is empty"),
        (paint(0, 1, 255), "m.png", "the value 255.*'ignore'"),
        (middle_level(), "m.jpg", "must not be smoothed or saved as JPEG"),
        (np.dstack([TRUTH, TRUTH, TRUTH, ONE * 255]), "m.png", "are transparent"),
    ],
)
def test_masks_that_cannot_be_classes_are_refused(
    tmp_path: Path, pixels: np.ndarray, name: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        learn_code([save_mask(tmp_path, pixels, name)])


def test_colours_with_names_need_to_say_which_is_which(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"classes\.txt"):
        learn_code([save_mask(tmp_path, paint(BLACK, GREEN, RED))], n_named=3)


def test_an_empty_mask_among_others_is_background(tmp_path: Path) -> None:
    empty = save_mask(tmp_path, np.zeros_like(TRUTH), "empty.png")
    assert not learn_code([empty, save_mask(tmp_path, TRUTH)]).read(empty).any()


def test_a_strange_value_and_another_size_are_refused(tmp_path: Path) -> None:
    path = save_mask(tmp_path, TRUTH)
    with pytest.raises(DataError, match="the value 2 belongs to no class; expected 0, 1"):
        LabelCode({0: 0, 1: 1}).read(path)
    with pytest.raises(DataError, match="60x40 pixels, its image 61x40"):
        LabelCode({0: 0, 1: 1, 2: 2}).read(path, (40, 61))
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(DataError, match=r"text\.png: "):
        read_label(tmp_path / "text.png")
