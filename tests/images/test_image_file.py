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
    for name in ("a.png", "sans extension", "schädel 扫描.png", "a'b & c.PNG"):
        found = read(tmp_path, encoded(extension, scan), name)
        assert found.dtype == np.uint8
        assert np.array_equal(found, scan)


@pytest.mark.parametrize("progressive", [0, 1])
def test_jpeg_comes_back_nearly(tmp_path: Path, scan: np.ndarray, progressive: int) -> None:
    how = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    found = read(tmp_path, encoded(".jpg", scan, *how), "a.jpg")
    assert np.abs(found.astype(int) - scan).mean() < 3


def test_colours_become_luma(tmp_path: Path) -> None:
    pixels = np.zeros((40, 50, 3), dtype=np.uint8)
    pixels[:20] = (200, 100, 50)
    found = read(tmp_path, png(pixels, RGB))
    assert found[0, 0] == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=1)
    assert found[-1, -1] == 0


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


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
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
