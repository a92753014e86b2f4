from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.images.image_files import encoded, read, refused


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


@pytest.mark.parametrize("kind", [2, 5])
def test_files_cut_short(tmp_path: Path, scan: np.ndarray, kind: int) -> None:
    data = pnm(kind, scan)
    for end in (3, 8, 12, len(data) // 2, len(data) - 5):
        assert "damaged" in refused(tmp_path, data[:end], "a.pgm")


def test_odd_files(tmp_path: Path, scan: np.ndarray) -> None:
    assert "damaged" in refused(tmp_path, pnm(2, scan, 70000), "a.pgm")
    wide = np.dstack([scan] * 3).astype(np.uint16) * 257
    assert "16 bits" in refused(tmp_path, pnm(6, wide, 65535), "a.ppm")
    assert "damaged" in refused(tmp_path, pnm(2, scan, 9), "a.pgm")
    assert "damaged" in refused(tmp_path, pnm(2, scan).replace(b" 0 ", b" x ", 1), "a.pgm")
    assert np.array_equal(read(tmp_path, pnm(5, scan) + b"\n", "a.pgm"), scan)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (28, struct.pack("<H", 7)),  # bits of a pixel
        (30, struct.pack("<I", 4)),  # a JPEG within
        (10, struct.pack("<I", 5000)),  # where the pixels begin: too late
        (46, struct.pack("<I", 9999)),  # colours of the palette
        (14, struct.pack("<I", 41)),  # bytes of the header
    ],
)
def test_odd_fields_of_a_bmp(tmp_path: Path, scan: np.ndarray, at: int, value: bytes) -> None:
    data = bytearray(encoded(".bmp", scan))
    data[at : at + len(value)] = value
    refused(tmp_path, bytes(data), "a.bmp")


@pytest.mark.parametrize("extension", [".bmp", ".pgm", ".tif"])
def test_pillow_never_fills_what_is_cut_short(
    tmp_path: Path, scan: np.ndarray, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    """Whoever trains with images from the web may have told it to, for the whole process."""
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    data = encoded(extension, scan)
    refused(tmp_path, data[: len(data) // 2], "a" + extension)
