from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.images.image_file import read_gray
from tests.images.image_files import (
    GRAY,
    GRAY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    SCAN,
    chunk,
    encoded,
    png,
    read,
    refused,
    with_exif,
)


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tif"])
def test_lossless_files_come_back_whatever_their_name(tmp_path: Path, extension: str) -> None:
    (path := tmp_path / "schädel 扫描").write_bytes(encoded(extension, SCAN))
    found = read_gray(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, SCAN)


def test_palette_png_is_read_by_its_colours() -> None:
    indices = np.zeros((40, 50), dtype=np.uint8)
    indices[:, 25:] = 1
    colours = chunk(b"PLTE", bytes([10, 10, 10, 240, 240, 240]))
    for more in ((), (chunk(b"tRNS", b"\xff\xff"),)):
        found = read(png(indices, PALETTE, colours, *more))
        assert (found[0, 0], found[0, -1]) == (10, 240)
    clear = chunk(b"tRNS", b"\xff\x00")
    assert "transparent" in refused(png(indices, PALETTE, colours, clear))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_alpha_must_be_opaque(kind: type) -> None:
    top = np.iinfo(kind).max
    pixels = np.full((40, 50, 4), top, dtype=np.dtype(kind).newbyteorder(">"))
    pixels[..., :3] = top // 2
    pixels[0] = top  # all the range is used
    pixels[1, :, :3] = 0
    assert read(png(pixels, RGBA))[5, 5] in (127, 128)
    pixels[7, 7, 3] = top - 1
    assert "flatten it first" in refused(png(pixels, RGBA))


def test_gray_with_alpha_or_a_transparent_colour() -> None:
    pixels = np.full((40, 50, 2), 255, dtype=np.uint8)
    pixels[..., 0] = 90
    assert read(png(pixels, GRAY_ALPHA))[5, 5] == 90
    pixels[0, 0, 1] = 0
    assert "transparent" in refused(png(pixels, GRAY_ALPHA))
    colours = np.full((40, 50, 3), 90, dtype=np.uint8)
    colours[0, 0] = 7
    used, unused = (chunk(b"tRNS", struct.pack(">HHH", v, v, v)) for v in (7, 8))
    assert "transparent" in refused(png(colours, RGB, used))
    assert read(png(colours, RGB, unused))[5, 5] == 90
    # some tools declare black transparent in every gray file; the values stay defined
    gray = colours[..., 0]
    found = read(png(gray, GRAY, chunk(b"tRNS", struct.pack(">H", 7))))
    assert np.array_equal(found, gray)
    # and the fourth byte of a plain BMP of 32 bits means nothing
    content = np.full((40, 50, 4), (80, 80, 80, 0), dtype=np.uint8).tobytes()
    info = struct.pack("<IiiHHIIiiII", 40, 50, 40, 1, 32, 0, len(content), 0, 0, 0, 0)
    head = b"BM" + struct.pack("<IHHI", 54 + len(content), 0, 0, 54)
    assert np.all(read(head + info + content) == 80)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_16_bit_files_are_scaled_by_the_bits_they_use(bits: int) -> None:
    ramp = np.linspace(0, 2**bits - 1, 64 * 64).round().reshape(64, 64)
    found = read(png(ramp.astype(">u2")))
    assert (found.min(), found.max()) == (0, 255)
    assert np.abs(found.astype(float) - ramp / 2 ** (bits - 8)).max() < 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    upright = np.zeros((48, 80), dtype=np.uint8)
    upright[:16, :40] = 250  # top left
    upright[32:, 60:] = 120
    # how a camera that writes this orientation has stored the picture
    stored = [
        *(upright, upright[:, ::-1], upright[::-1, ::-1], upright[::-1], upright.T),
        *(np.rot90(upright, 1), np.rot90(upright, 2).T, np.rot90(upright, -1)),
    ][orientation - 1]
    jpeg = encoded(".jpg", np.ascontiguousarray(stored), cv2.IMWRITE_JPEG_QUALITY, 100)
    found = read(with_exif(jpeg, orientation))
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 3


def pnm(kind: int, pixels: np.ndarray, largest: int = 255) -> bytes:
    """Write a file: 2 and 5 are gray, 3 and 6 colours; 2 and 3 are text."""
    height, width = pixels.shape[:2]
    head = f"P{kind}\n# made by 12 13 14\n{width} {height}\n{largest}\n".encode()
    if kind in (2, 3):
        return head + b"\n".join(b" ".join(b"%d" % v for v in row.ravel()) for row in pixels)
    return head + pixels.astype(">u2" if largest > 255 else np.uint8).tobytes()


@pytest.mark.parametrize("kind", [2, 5])
@pytest.mark.parametrize("largest", [1, 100, 4095])
def test_the_largest_value_of_a_pgm_is_white(kind: int, largest: int) -> None:
    levels = SCAN.astype(int) * largest // 255
    levels[0, 0] = largest
    found = read(pnm(kind, levels, largest))
    assert np.abs(found - levels * 255 / largest).max() <= 1


def test_ppm_and_odd_pgm_files() -> None:
    colours = np.dstack([SCAN, SCAN // 2, 255 - SCAN])
    for kind in (3, 6):
        assert np.array_equal(read(pnm(kind, colours)), cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))
    assert "damaged" in refused(pnm(2, SCAN, 70000))
    wide = np.dstack([SCAN] * 3).astype(np.uint16) * 257
    assert "16 bits" in refused(pnm(6, wide, 65535))
    assert "damaged" in refused(pnm(2, SCAN, 9))
    assert "damaged" in refused(pnm(2, SCAN).replace(b" 0 ", b" x ", 1))
    assert np.array_equal(read(pnm(5, SCAN) + b"\n"), SCAN)
