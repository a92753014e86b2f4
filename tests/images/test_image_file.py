from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import ImageDecodeError
from edgeseg.images.image_file import read_gray
from edgeseg.images.kinds import DICOM, N_START_BYTES, kind_of
from edgeseg.images.levels import to_8_bit
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

WIDE = SCAN.astype(np.int64)


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


def media(*brands: bytes) -> bytes:
    content = brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I", 8 + len(content)) + b"ftyp" + content + bytes(64)


NIFTI = struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(700)
KINDS = {
    "GIF": b"GIF89a\x10\0\x10\0",
    "WebP": b"RIFF\x24\0\0\0WEBPVP8 ",
    "AVI video": b"RIFF\x24\0\0\0AVI LIST",
    "MP4 or QuickTime video": media(b"isom", b"mp42"),
    "HEIC": media(b"heic", b"mif1"),
    "AVIF": media(b"mif1", b"miaf", b"avif"),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + media(b"jp2 "),
    "camera raw": media(b"crx "),
    "DICOM": bytes(128) + b"DICM" + bytes(60),
    "NIfTI volume": NIFTI,
    "Kretz volume": b"KRETZFILE 1.0   ",
    "ZIP archive": b"PK\3\4" + bytes(60),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_are_known_by_their_first_bytes(name: str) -> None:
    data = KINDS[name]
    kind = kind_of(data[:N_START_BYTES])
    assert kind.name == name
    if kind is DICOM:  # which is read, and here holds nothing
        pytest.importorskip("pydicom")
    for length in range(40):  # a start that is cut short breaks nothing
        kind_of(data[:length])
    sentence = refused(data)
    assert name in sentence
    assert kind.advice in sentence


def test_dicom_without_its_preamble_is_known_and_text_is_no_kind() -> None:
    for data in (
        b"\x02\0\0\0UL\4\0\x9c\0\0\0" + bytes(60),
        b"\x08\0\0\0\4\0\0\0\x10\1\0\0" + bytes(60),  # implicit, as before 1993
        b"\x08\0\x05\0\x0a\0\0\0ISOIR100  " + bytes(60),
    ):
        assert kind_of(data) is DICOM
    for data in (
        *(b"", b"x", b"filename,pixel size(mm)\n", b'{"a": 1}', bytes(2000), b"\xff" * 2000),
        *(b"RIFF\x24\0\0\0WAVEfmt ", b"\x08\0\x01\0\0\0\0\0" + bytes(90)),
    ):
        assert kind_of(data) is None, data[:20]


def test_pillow_is_not_imported_for_png_and_jpeg(scan: np.ndarray, tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        (tmp_path / name).write_bytes(encoded(name[1:], scan))
    code = (
        "import sys; from pathlib import Path; from edgeseg.images.image_file import read_frame\n"
        "for path in Path(sys.argv[1]).iterdir(): read_frame(path)\n"
        "assert 'PIL' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
