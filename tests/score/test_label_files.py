from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.score.label_files import LabelCode, learn_code, read_label

TRUTH = np.zeros((40, 60), dtype=np.uint8)
TRUTH[5:20, 5:30] = 1
TRUTH[22:38, 30:55] = 2


def saved(tmp_path: Path, pixels: np.ndarray, name: str = "m.png") -> Path:
    path = tmp_path / name
    assert cv2.imwrite(str(path), pixels)
    return path


def palette_png(tmp_path: Path, name: str = "m.png") -> Path:
    """A PNG whose pixels are numbers into a palette, as VOC and nnU-Net users have them."""
    Image = pytest.importorskip("PIL.Image", reason="Pillow writes the palette")

    image = Image.fromarray(TRUTH, mode="P")
    # the second colour is darker than the first: its number decides, not its value
    image.putpalette([0, 0, 0, 200, 100, 0, 10, 10, 90])
    image.save(tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize(
    "values",
    [(0, 1, 2), (0, 128, 255), (0, 40, 200)],
    ids=["numbers", "levels", "other levels"],
)
def test_gray_masks_become_class_numbers(tmp_path: Path, values: tuple[int, ...]) -> None:
    path = saved(tmp_path, np.array(values, dtype=np.uint8)[TRUTH])
    assert np.array_equal(learn_code([path]).read(path), TRUTH)


@pytest.mark.parametrize("high", [1, 255, 7])
def test_two_values_are_background_and_one_class(tmp_path: Path, high: int) -> None:
    path = saved(tmp_path, (TRUTH == 1).astype(np.uint8) * high)
    code = learn_code([path])
    assert np.array_equal(code.read(path), TRUTH == 1)
    assert ("it is the foreground" in code.note) == (high == 7)


def test_sixteen_bits_hold_numbers_too(tmp_path: Path) -> None:
    path = saved(tmp_path, TRUTH.astype(np.uint16))
    assert np.array_equal(learn_code([path]).read(path), TRUTH)


def test_a_palette_s_numbers_count_and_not_its_colours(tmp_path: Path) -> None:
    path = palette_png(tmp_path)
    assert np.array_equal(read_label(path).numbers, TRUTH)
    assert np.array_equal(learn_code([path]).read(path), TRUTH)


def test_colours_are_numbered_over_the_whole_data(tmp_path: Path) -> None:
    colours = np.array([(0, 0, 0), (0, 255, 0), (0, 0, 255)], dtype=np.uint8)  # green, red as BGR
    both = saved(tmp_path, colours[TRUTH], "both.png")
    red = saved(tmp_path, colours[np.where(TRUTH == 2, 2, 0)], "red.png")
    code = learn_code([red, both])
    assert np.array_equal(code.read(both), TRUTH)
    assert np.array_equal(code.read(red), np.where(TRUTH == 2, 2, 0))
    assert "#00ff00 is 1" in code.note
    assert "#ff0000 is 2" in code.note


def test_colours_that_the_data_names_keep_their_numbers(tmp_path: Path) -> None:
    colours = np.array([(0, 0, 0), (0, 255, 0), (0, 0, 255)], dtype=np.uint8)
    path = saved(tmp_path, colours[TRUTH])
    code = learn_code([path], {0: 0, 0xFF0000: 1, 0x00FF00: 2})
    assert np.array_equal(code.read(path), np.array([0, 2, 1], dtype=np.uint8)[TRUTH])


def test_a_background_that_is_not_black_is_the_commonest_colour(tmp_path: Path) -> None:
    colours = np.array([(255, 255, 255), (0, 255, 0), (0, 0, 255)], dtype=np.uint8)
    path = saved(tmp_path, colours[TRUTH])
    assert np.array_equal(learn_code([path]).read(path), TRUTH)


def test_jpeg_noise_around_two_levels_is_cut_at_half(tmp_path: Path) -> None:
    path = saved(tmp_path, (TRUTH == 1).astype(np.uint8) * 255, "m.jpg")
    code = learn_code([path])
    assert code.smooth
    assert "as after JPEG" in code.note
    wrong = np.count_nonzero(code.read(path) != (TRUTH == 1))
    assert wrong <= 3


def test_masks_that_are_pictures_are_refused(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8), (40, 1))
    with pytest.raises(DataError, match="200 gray levels; expected class numbers"):
        learn_code([saved(tmp_path, ramp)])
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    with pytest.raises(DataError, match=r"colours; expected up to 16"):
        learn_code([saved(tmp_path, noise)])


def test_empty_masks_are_fine_among_others_but_not_alone(tmp_path: Path) -> None:
    empty = saved(tmp_path, np.zeros_like(TRUTH), "empty.png")
    full = saved(tmp_path, TRUTH, "full.png")
    assert not learn_code([empty, full]).read(empty).any()
    with pytest.raises(DataError, match="every mask of the data is empty"):
        learn_code([empty])


def test_a_strange_value_and_another_size_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, TRUTH)
    with pytest.raises(DataError, match="the value 2 belongs to no class; expected 0, 1"):
        LabelCode({0: 0, 1: 1}).read(path)
    with pytest.raises(DataError, match="the mask is 60x40 pixels, its image 61x40"):
        LabelCode({0: 0, 1: 1, 2: 2}).read(path, (40, 61))
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(DataError, match=r"text\.png: this is not a PNG"):
        read_label(tmp_path / "text.png")


def test_class_numbers_with_gaps_stay_what_they_are(tmp_path: Path) -> None:
    path = saved(tmp_path, np.array([0, 2, 5], dtype=np.uint8)[TRUTH])
    code = learn_code([path])
    assert set(np.unique(code.read(path))) == {0, 2, 5}
    assert code.note == "class numbers 1 to 5, of which 2, 5 occur"
    alone = saved(tmp_path, (TRUTH == 1).astype(np.uint8) * 2, "alone.png")
    assert set(np.unique(learn_code([alone], n_named=3).read(alone))) == {0, 2}


def test_a_value_to_be_ignored_is_not_taken_for_a_class(tmp_path: Path) -> None:
    path = saved(tmp_path, np.array([0, 1, 255], dtype=np.uint8)[TRUTH])
    with pytest.raises(DataError, match=r"class numbers up to 1 and the value 255.*'ignore'"):
        learn_code([path])


def test_a_small_middle_level_is_not_smoothed_away(tmp_path: Path) -> None:
    levels = np.zeros((200, 300), dtype=np.uint8)
    levels[20:180, 20:200] = 255
    levels[50:60, 220:240] = 128
    path = tmp_path / "m.jpg"
    cv2.imwrite(str(path), levels, [cv2.IMWRITE_JPEG_QUALITY, 92])
    with pytest.raises(DataError, match="must not be smoothed or saved as JPEG"):
        learn_code([path])


def test_white_is_a_colour_among_colours(tmp_path: Path) -> None:
    colours = np.array([(0, 0, 0), (255, 255, 255), (255, 0, 0)], dtype=np.uint8)  # white, blue
    both = saved(tmp_path, colours[TRUTH], "both.png")
    white = saved(tmp_path, (TRUTH == 1).astype(np.uint8) * 255, "white.png")
    code = learn_code([white, both], {0: 0, 0x0000FF: 1, 0xFFFFFF: 2})
    assert np.array_equal(code.read(white), np.where(TRUTH == 1, 2, 0))
    ranked = learn_code([white, both])
    assert set(np.unique(ranked.read(white))) == {0, 2}
    assert np.array_equal(ranked.read(both), np.array([0, 2, 1], dtype=np.uint8)[TRUTH])


def test_palettes_are_colours_where_the_data_names_colours_or_they_differ(tmp_path: Path) -> None:
    Image = pytest.importorskip("PIL.Image", reason="Pillow writes the palette")

    path = palette_png(tmp_path)
    named = learn_code([path], {0: 0, 0x0A0A5A: 1, 0xC86400: 2})
    assert np.array_equal(named.read(path), np.array([0, 2, 1], dtype=np.uint8)[TRUTH])
    other = Image.fromarray((TRUTH == 2).astype(np.uint8), mode="P")
    other.putpalette([0, 0, 0, 10, 10, 90])  # its first colour is the other file's second
    other.save(tmp_path / "other.png")
    code = learn_code([path, tmp_path / "other.png"])
    second = code.read(path)[TRUTH == 2]
    assert set(second) == set(code.read(tmp_path / "other.png")[TRUTH == 2])


def test_colours_with_names_need_to_say_which_is_which(tmp_path: Path) -> None:
    colours = np.array([(0, 0, 0), (0, 255, 0), (0, 0, 255)], dtype=np.uint8)
    with pytest.raises(DataError, match=r"say in classes\.txt which is which"):
        learn_code([saved(tmp_path, colours[TRUTH])], n_named=3)


def test_a_transparent_mask_is_refused(tmp_path: Path) -> None:
    mask = np.full((*TRUTH.shape, 4), 255, dtype=np.uint8)
    mask[..., 3] = (TRUTH == 1) * 255
    with pytest.raises(DataError, match="parts of the mask are transparent"):
        read_label(saved(tmp_path, mask))
