from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import ImageDecodeError
from edgeseg.images.levels import to_8_bit


@pytest.fixture
def wide(scan: np.ndarray) -> np.ndarray:
    return scan.astype(np.int64)


@pytest.mark.parametrize("step", [256, 257])
def test_8_bits_spread_over_16_come_back(wide: np.ndarray, step: int) -> None:
    dark = wide // 3
    assert np.array_equal(to_8_bit((dark * step).astype(np.uint16)), dark)


def test_8_bits_in_16_stay(wide: np.ndarray) -> None:
    raised = np.maximum(wide, 60)
    assert np.array_equal(to_8_bit(raised.astype(np.uint16)), raised)
    assert np.all(to_8_bit(np.zeros((40, 40), np.uint16)) == 0)  # one level alone
    assert to_8_bit(np.full((40, 40), 4000, np.uint16)).shape == (40, 40)


@pytest.mark.parametrize(
    ("factor", "pedestal"), [(1, 30_000), (16, 1000), (4, 65_535 - 1020), (128, 20_000)]
)
def test_a_pedestal_is_taken_off(wide: np.ndarray, factor: int, pedestal: int) -> None:
    assert np.array_equal(to_8_bit((wide * factor + pedestal).astype(np.uint16)), wide)


@pytest.mark.parametrize(("factor", "lowest"), [(16, -2000), (257, -32_768), (16, 0)])
def test_signed_levels(wide: np.ndarray, factor: int, lowest: int) -> None:
    assert np.array_equal(to_8_bit((wide * factor + lowest).astype(np.int16)), wide)


@pytest.mark.parametrize("pedestal", [0, 5000])
@pytest.mark.parametrize("levels", [[65_535], [65_535, 65_535, 40_000, 20_000], [0], [0, 65_535]])
def test_a_few_broken_pixels_change_nothing_else(
    wide: np.ndarray, pedestal: int, levels: list[int]
) -> None:
    pixels = (wide * 16 + pedestal).astype(np.uint16)
    pixels[7, : len(levels)] = levels
    found = to_8_bit(pixels)
    assert np.array_equal(found[8:], wide[8:])
    expected = [255 if level else 0 for level in levels]
    assert found[7, : len(levels)].tolist() == expected


def test_letters_burned_in_become_white_and_a_margin_stays_black(wide: np.ndarray) -> None:
    pixels = (wide * 16).astype(np.uint16)
    pixels[:5, :300] = 65_535
    found = to_8_bit(pixels)
    assert np.all(found[:5, :300] == 255)
    assert np.array_equal(found[5:], wide[5:])
    padded = np.pad(wide + 30_000, 60).astype(np.uint16)
    assert np.array_equal(to_8_bit(padded), np.pad(wide, 60))


def test_negative_numbers_without_their_sign_are_refused(wide: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, 20, wide.shape).astype(np.int64)
    with pytest.raises(ImageDecodeError, match=r"two groups, 0 to \d+ and 65\d+ to 65535, as when"):
        to_8_bit(np.mod(wide * 16 + noise, 65_536).astype(np.uint16))
    with pytest.raises(ImageDecodeError, match="float32"):
        to_8_bit(np.zeros((4, 4), np.float32))


def test_levels_are_counted_a_part_at_a_time(
    wide: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = (wide * 5 + 3).astype(np.uint16)
    whole = to_8_bit(levels)
    monkeypatch.setattr("edgeseg.images.levels._AT_ONCE", 1000)
    assert np.array_equal(to_8_bit(levels), whole)
    assert len(np.unique(whole)) > 100
