from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.images.image_files import (
    GRAY,
    GRAY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    chunk,
    encoded,
    png,
    read,
    refused,
    with_exif,
)


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tif"])
def test_lossless_files_come_back_whatever_their_name(
    tmp_path: Path, scan: np.ndarray, extension: str
) -> None:
    found = read(tmp_path, encoded(extension, scan), "schädel 扫描")
    assert found.dtype == np.uint8
    assert np.array_equal(found, scan)


def test_palette_png_is_read_by_its_colours(tmp_path: Path) -> None:
    indices = np.zeros((40, 50), dtype=np.uint8)
    indices[:, 25:] = 1
    colours = chunk(b"PLTE", bytes([10, 10, 10, 240, 240, 240]))
    for more in ((), (chunk(b"tRNS", b"\xff\xff"),)):
        found = read(tmp_path, png(indices, PALETTE, colours, *more))
        assert (found[0, 0], found[0, -1]) == (10, 240)
    clear = chunk(b"tRNS", b"\xff\x00")
    assert "transparent" in refused(tmp_path, png(indices, PALETTE, colours, clear))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_alpha_must_be_opaque(tmp_path: Path, kind: type) -> None:
    top = np.iinfo(kind).max
    pixels = np.full((40, 50, 4), top, dtype=np.dtype(kind).newbyteorder(">"))
    pixels[..., :3] = top // 2
    pixels[0] = top  # all the range is used
    pixels[1, :, :3] = 0
    assert read(tmp_path, png(pixels, RGBA))[5, 5] in (127, 128)
    pixels[7, 7, 3] = top - 1
    assert "flatten it first" in refused(tmp_path, png(pixels, RGBA))


def test_gray_with_alpha_or_a_transparent_colour(tmp_path: Path) -> None:
    pixels = np.full((40, 50, 2), 255, dtype=np.uint8)
    pixels[..., 0] = 90
    assert read(tmp_path, png(pixels, GRAY_ALPHA))[5, 5] == 90
    pixels[0, 0, 1] = 0
    assert "transparent" in refused(tmp_path, png(pixels, GRAY_ALPHA))
    colours = np.full((40, 50, 3), 90, dtype=np.uint8)
    colours[0, 0] = 7
    used, unused = (chunk(b"tRNS", struct.pack(">HHH", v, v, v)) for v in (7, 8))
    assert "transparent" in refused(tmp_path, png(colours, RGB, used))
    assert read(tmp_path, png(colours, RGB, unused))[5, 5] == 90
    # some tools declare black transparent in every gray file; the values stay defined
    gray = colours[..., 0]
    found = read(tmp_path, png(gray, GRAY, chunk(b"tRNS", struct.pack(">H", 7))))
    assert np.array_equal(found, gray)


def test_the_fourth_byte_of_a_plain_32_bit_bmp_means_nothing(tmp_path: Path) -> None:
    pixels = np.full((40, 50, 4), (80, 80, 80, 0), dtype=np.uint8).tobytes()
    info = struct.pack("<IiiHHIIiiII", 40, 50, 40, 1, 32, 0, len(pixels), 0, 0, 0, 0)
    head = b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54)
    assert np.all(read(tmp_path, head + info + pixels, "a.bmp") == 80)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_16_bit_files_are_scaled_by_the_bits_they_use(tmp_path: Path, bits: int) -> None:
    ramp = np.linspace(0, 2**bits - 1, 64 * 64).round().reshape(64, 64)
    found = read(tmp_path, png(ramp.astype(">u2")))
    assert (found.min(), found.max()) == (0, 255)
    assert np.abs(found.astype(float) - ramp / 2 ** (bits - 8)).max() < 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((48, 80), dtype=np.uint8)
    upright[:16, :40] = 250  # top left
    upright[32:, 60:] = 120
    # how a camera that writes this orientation has stored the picture
    stored = [
        *(upright, upright[:, ::-1], upright[::-1, ::-1], upright[::-1], upright.T),
        *(np.rot90(upright, 1), np.rot90(upright, 2).T, np.rot90(upright, -1)),
    ][orientation - 1]
    jpeg = encoded(".jpg", np.ascontiguousarray(stored), cv2.IMWRITE_JPEG_QUALITY, 100)
    found = read(tmp_path, with_exif(jpeg, orientation), "a.jpg")
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 3


def pnm(kind: int, pixels: np.ndarray, largest: int = 255) -> bytes:
    """Write a file: 2 and 5 are gray, 3 and 6 colours; 2 and 3 are text."""
    height, width = pixels.shape[:2]
    head = f"P{kind}\n# made by 12 13 14\n{width} {height}\n{largest}\n".encode()
    if kind in (2, 3):
        return head + b"\n".join(b" ".join(b"%d" % v for v in row.ravel()) for row in pixels)
    return head + pixels.astype(">u2" if largest > 255 else np.uint8).tobytes()


@pytest.mark.parametrize("kind", [3, 6])
def test_colours_of_a_ppm_become_luma(tmp_path: Path, scan: np.ndarray, kind: int) -> None:
    colours = np.dstack([scan, scan // 2, 255 - scan])
    expected = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(read(tmp_path, pnm(kind, colours), "a.ppm"), expected)


@pytest.mark.parametrize("kind", [2, 5])
@pytest.mark.parametrize("largest", [1, 100, 4095])
def test_the_largest_value_of_a_pgm_is_white(
    tmp_path: Path, scan: np.ndarray, kind: int, largest: int
) -> None:
    levels = scan.astype(int) * largest // 255
    levels[0, 0] = largest
    found = read(tmp_path, pnm(kind, levels, largest), "a.pgm")
    assert np.abs(found - levels * 255 / largest).max() <= 1


def test_odd_pgm_and_ppm_files(tmp_path: Path, scan: np.ndarray) -> None:
    assert "damaged" in refused(tmp_path, pnm(2, scan, 70000), "a.pgm")
    wide = np.dstack([scan] * 3).astype(np.uint16) * 257
    assert "16 bits" in refused(tmp_path, pnm(6, wide, 65535), "a.ppm")
    assert "damaged" in refused(tmp_path, pnm(2, scan, 9), "a.pgm")
    assert "damaged" in refused(tmp_path, pnm(2, scan).replace(b" 0 ", b" x ", 1), "a.pgm")
    assert np.array_equal(read(tmp_path, pnm(5, scan) + b"\n", "a.pgm"), scan)
