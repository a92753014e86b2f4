"""Files that are whole at first sight and are not: what can be known cheaply is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.images.image_files import GRAY, chunk, encoded, png, read, refused, with_exif


@pytest.fixture
def tissue(scan: np.ndarray) -> np.ndarray:
    """The scan without black parts, so that every part of the file is some of its picture."""
    speckle = np.random.default_rng(1).integers(0, 40, scan.shape)
    return np.clip(scan.astype(int) // 2 + 60 + speckle, 0, 255).astype(np.uint8)


JPEGS = {
    "baseline": (),
    "optimised": (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "restarts": (cv2.IMWRITE_JPEG_RST_INTERVAL, 7),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
}


def scans_start(jpeg: bytes) -> int:
    at = jpeg.index(b"\xff\xda")
    return at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])


@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_cut_short_and_closed_again(
    tmp_path: Path, tissue: np.ndarray, kind: str, colours: bool
) -> None:
    """As tools leave it that end a broken file with the marker that it lacks."""
    image = cv2.cvtColor(tissue, cv2.COLOR_GRAY2BGR) if colours else tissue
    whole = encoded(".jpg", image, *JPEGS[kind])
    assert read(tmp_path, whole, "a.jpg").shape == tissue.shape
    start = scans_start(whole)
    # the last scan of a progressive file adds the finest bits only
    for share in (0.1, 0.5) if kind == "progressive" else (0.1, 0.5, 0.8):
        cut = whole[: start + int(share * (len(whole) - start))].rstrip(b"\xff") + b"\xff\xd9"
        text = refused(tmp_path, cut, "a.jpg")
        assert "cut short" in text or "a part of its pixels is missing" in text


@pytest.mark.parametrize("kind", ["baseline", "restarts"])
def test_a_jpeg_with_an_empty_part(tmp_path: Path, tissue: np.ndarray, kind: str) -> None:
    data = bytearray(encoded(".jpg", tissue, *JPEGS[kind]))
    middle = len(data) // 2
    data[middle : middle + 512] = bytes(512)
    text = refused(tmp_path, bytes(data), "a.jpg")
    assert "damaged" in text if kind == "restarts" else "damaged: a part of it is empty" in text


@pytest.mark.parametrize("colours", [False, True])
def test_a_jpeg_that_lost_a_sector(tmp_path: Path, tissue: np.ndarray, colours: bool) -> None:
    """What follows moves up, and the end is missing, in a last row that is not a whole block."""
    tissue[-40:] = 0
    image = cv2.cvtColor(tissue, cv2.COLOR_GRAY2BGR) if colours else tissue
    data = encoded(".jpg", image[: scan_rows(tissue)])
    middle = len(data) // 2
    assert "missing" in refused(tmp_path, data[:middle] + data[middle + 2048 :], "a.jpg")


def scan_rows(pixels: np.ndarray) -> int:
    """Return a height that ends in the middle of a block."""
    return len(pixels) // 16 * 16 - 12


def test_a_flat_part_of_a_jpeg_is_a_picture(tmp_path: Path, tissue: np.ndarray) -> None:
    """Optimised tables write it as zeros, and it ends like what a decoder fills up."""
    zeros = 0
    for start in (100, 8):
        for level in (0, 128, 255):
            tissue[start:] = level
            for options in JPEGS.values():
                data = encoded(".jpg", tissue, *options)
                zeros += bytes(64) in data
                found = read(tmp_path, data, "a.jpg")
                assert np.abs(found[start + 10 :].astype(int) - level).max() <= 2
    assert zeros


def test_a_marker_within_the_pixels(tmp_path: Path, tissue: np.ndarray) -> None:
    data = bytearray(encoded(".jpg", tissue))
    middle = len(data) // 2
    for marker in (0xC0, 0xD8, 0xE1, 0x02, 0xD0):  # the last is a restart, and there are none
        data[middle : middle + 2] = bytes([0xFF, marker])
        assert "damaged" in refused(tmp_path, bytes(data), "a.jpg")


def test_restarts_out_of_order(tmp_path: Path, tissue: np.ndarray) -> None:
    data = encoded(".jpg", tissue, *JPEGS["restarts"])
    assert "damaged" in refused(tmp_path, data.replace(b"\xff\xd3", b"\xff\xd5", 1), "a.jpg")


def test_fill_bytes_and_what_follows_the_end_are_allowed(
    tmp_path: Path, tissue: np.ndarray
) -> None:
    data = encoded(".jpg", tissue)
    expected = read(tmp_path, data, "a.jpg")
    for allowed in (data[:-2] + b"\xff\xff\xff\xd9", data + b"\xff\xc0trailer", data + data):
        assert np.array_equal(read(tmp_path, allowed, "a.jpg"), expected)


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"tEXt", b"IEND"])
def test_a_checksum_of_a_png_that_is_wrong(tmp_path: Path, scan: np.ndarray, kind: bytes) -> None:
    data = bytearray(png(scan, GRAY, chunk(b"tEXt", b"Comment\0a scan")))
    assert np.array_equal(read(tmp_path, bytes(data)), scan)
    at = data.index(kind)
    length = int.from_bytes(data[at - 4 : at])
    data[at + 4 + length] ^= 1
    text = refused(tmp_path, bytes(data))
    assert f"its part '{kind.decode()}' has another checksum than it says" in text


def test_a_png_that_begins_with_something_else(tmp_path: Path, scan: np.ndarray) -> None:
    """As Apple's tools for phones write it; its pixels are no PNG's."""
    data = png(scan)
    refused(tmp_path, data[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + data[8:])


def exif(order: str, kind: int, value: int, *, count: int = 1) -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    packed = struct.pack(order + ("H2x" if kind == 3 else "I"), value)
    return mark + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, count) + packed + bytes(4)


@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_in_any_order_and_width(
    tmp_path: Path, scan: np.ndarray, order: str, kind: int
) -> None:
    stored = np.ascontiguousarray(np.rot90(scan))
    data = png(stored, GRAY, chunk(b"eXIf", exif(order, kind, 6)))
    assert np.array_equal(read(tmp_path, data), scan)
    content = b"Exif\0\0" + exif(order, kind, 6)
    segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    jpeg = encoded(".jpg", stored)
    assert read(tmp_path, jpeg[:2] + segment + jpeg[2:], "a.jpg").shape == scan.shape


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"II",
        b"II\0\0" + exif("<", 3, 6)[4:],
        exif("<", 3, 0),
        exif("<", 3, 9),
        exif("<", 1, 6),  # a byte
        exif("<", 3, 6, count=0),
        exif("<", 3, 6)[:19],
        b"II*\0\xff\xff\xff\xff",
    ],
)
def test_broken_exif_turns_nothing(tmp_path: Path, scan: np.ndarray, broken: bytes) -> None:
    assert np.array_equal(read(tmp_path, png(scan, GRAY, chunk(b"eXIf", broken))), scan)


def test_the_first_exif_counts(tmp_path: Path, scan: np.ndarray) -> None:
    jpeg = encoded(".jpg", scan)
    assert read(tmp_path, with_exif(with_exif(jpeg, 6), 1), "a.jpg").shape == scan.shape
    assert read(tmp_path, with_exif(with_exif(jpeg, 1), 6), "a.jpg").shape == scan.shape[::-1]


def test_a_jpeg_of_more_scans_than_any_encoder_writes(tmp_path: Path, tissue: np.ndarray) -> None:
    whole = encoded(".jpg", tissue, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last, end = whole.rfind(b"\xff\xda"), len(whole) - 2
    assert read(tmp_path, whole).shape == tissue.shape
    assert "100 scans" in refused(tmp_path, whole[:end] + 100 * whole[last:end] + whole[end:])


def test_a_png_that_holds_more_than_its_pixels(tmp_path: Path, scan: np.ndarray) -> None:
    whole = png(scan)
    extra = zlib.compress(bytes(1000 * scan.size))
    swollen = whole[:-12] + chunk(b"IDAT", extra * (2 * scan.size // len(extra) + 2)) + whole[-12:]
    assert "more than its pixels" in refused(tmp_path, swollen)
    stored = zlib.compress(b"".join(b"\0" + row.tobytes() for row in scan), 0)
    plain = png(scan).replace(zlib.compress(b"".join(b"\0" + r.tobytes() for r in scan)), stored)
    start = plain.find(b"IDAT")
    plain = plain[: start - 4] + chunk(b"IDAT", stored) + chunk(b"IEND")
    assert np.array_equal(read(tmp_path, plain), scan)
