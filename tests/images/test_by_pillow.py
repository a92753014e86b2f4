from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.images.image_files import read, refused


def pnm(kind: int, pixels: np.ndarray, largest: int = 255, comment: str = "") -> bytes:
    """Write a file: 2 and 5 are gray, 3 and 6 colours; 2 and 3 are text."""
    height, width = pixels.shape[:2]
    head = f"P{kind}\n{comment}{width} {height}\n{largest}\n".encode()
    if kind in (2, 3):
        return head + b"\n".join(b" ".join(b"%d" % v for v in row.ravel()) for row in pixels)
    return head + pixels.astype(">u2" if largest > 255 else np.uint8).tobytes()


@pytest.mark.parametrize("kind", [2, 5])
@pytest.mark.parametrize("comment", ["", "# made by 12 13 14\n"])
def test_gray_is_read(tmp_path: Path, scan: np.ndarray, kind: int, comment: str) -> None:
    assert np.array_equal(read(tmp_path, pnm(kind, scan, comment=comment), "a.pgm"), scan)


@pytest.mark.parametrize("kind", [3, 6])
def test_colours_become_luma(tmp_path: Path, scan: np.ndarray, kind: int) -> None:
    colours = np.dstack([scan, scan // 2, 255 - scan])
    expected = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(read(tmp_path, pnm(kind, colours), "a.ppm"), expected)


@pytest.mark.parametrize("kind", [2, 5])
@pytest.mark.parametrize("largest", [1, 15, 100, 1023, 4095, 65535])
def test_the_largest_value_is_white(
    tmp_path: Path, scan: np.ndarray, kind: int, largest: int
) -> None:
    levels = scan.astype(int) * largest // 255
    levels[0, 0] = largest
    found = read(tmp_path, pnm(kind, levels, largest), "a.pgm")
    assert np.abs(found - levels * 255 / largest).max() <= 1


def test_odd_files(tmp_path: Path, scan: np.ndarray) -> None:
    assert "damaged" in refused(tmp_path, pnm(2, scan, 70000), "a.pgm")
    wide = np.dstack([scan] * 3).astype(np.uint16) * 257
    assert "16 bits" in refused(tmp_path, pnm(6, wide, 65535), "a.ppm")
    assert "damaged" in refused(tmp_path, pnm(2, scan, 9), "a.pgm")
    assert "damaged" in refused(tmp_path, pnm(2, scan).replace(b" 0 ", b" x ", 1), "a.pgm")
    assert np.array_equal(read(tmp_path, pnm(5, scan) + b"\n", "a.pgm"), scan)
