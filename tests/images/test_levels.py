from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import ImageDecodeError
from edgeseg.images.levels import to_8_bit
from tests.images.image_files import SCAN

WIDE = SCAN.astype(np.int64)


def test_8_bits_in_16_stay_and_spread_over_16_come_back() -> None:
    dark, raised = WIDE // 3, np.maximum(WIDE, 60)
    for step in (256, 257):
        assert np.array_equal(to_8_bit((dark * step).astype(np.uint16)), dark)
    assert np.array_equal(to_8_bit(raised.astype(np.uint16)), raised)
    assert np.all(to_8_bit(np.zeros((40, 40), np.uint16)) == 0)  # one level alone
    assert to_8_bit(np.full((40, 40), 4000, np.uint16)).shape == (40, 40)


@pytest.mark.parametrize(
    ("kind", "factor", "lowest"),
    [
        *((np.uint16, 1, 30_000), (np.uint16, 16, 1000), (np.uint16, 4, 65_535 - 1020)),
        *((np.uint16, 128, 20_000), (np.int16, 16, -2000), (np.int16, 257, -32_768)),
        (np.int16, 16, 0),
    ],
)
def test_an_offset_is_taken_off_signed_levels_too(kind: type, factor: int, lowest: int) -> None:
    assert np.array_equal(to_8_bit((WIDE * factor + lowest).astype(kind)), WIDE)


@pytest.mark.parametrize("pedestal", [0, 5000])
@pytest.mark.parametrize("levels", [[65_535], [65_535, 65_535, 40_000, 20_000], [0], [0, 65_535]])
def test_a_few_broken_pixels_change_nothing_else(pedestal: int, levels: list[int]) -> None:
    pixels = (WIDE * 16 + pedestal).astype(np.uint16)
    pixels[7, : len(levels)] = levels
    found = to_8_bit(pixels)
    assert np.array_equal(found[8:], WIDE[8:])
    expected = [255 if level else 0 for level in levels]
    assert found[7, : len(levels)].tolist() == expected


def test_letters_burned_in_become_white_and_a_margin_stays_black() -> None:
    pixels = (WIDE * 16).astype(np.uint16)
    pixels[:5, :300] = 65_535
    found = to_8_bit(pixels)
    assert np.all(found[:5, :300] == 255)
    assert np.array_equal(found[5:], WIDE[5:])
    padded = np.pad(WIDE + 30_000, 60).astype(np.uint16)
    assert np.array_equal(to_8_bit(padded), np.pad(WIDE, 60))


def test_negative_numbers_without_their_sign_are_refused() -> None:
    noise = np.random.default_rng(0).normal(0, 20, WIDE.shape).astype(np.int64)
    with pytest.raises(ImageDecodeError, match=r"two groups, 0 to \d+ and 65\d+ to 65535, as when"):
        to_8_bit(np.mod(WIDE * 16 + noise, 65_536).astype(np.uint16))
    with pytest.raises(ImageDecodeError, match="float32"):
        to_8_bit(np.zeros((4, 4), np.float32))


def test_levels_are_counted_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = (WIDE * 5 + 3).astype(np.uint16)
    whole = to_8_bit(levels)
    monkeypatch.setattr("edgeseg.images.levels._AT_ONCE", 1000)
    assert np.array_equal(to_8_bit(levels), whole)
    assert len(np.unique(whole)) > 100
