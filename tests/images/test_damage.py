"""Files that are damaged, cut short, too large or no image at all are refused with a sentence."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import ImageDecodeError, InputNotFoundError
from edgeseg.images import image_file
from edgeseg.images.kinds import READABLE
from tests.images.image_files import (
    GRAY,
    SCAN,
    SIGNATURE,
    chunk,
    encoded,
    exif,
    peak_bytes,
    png,
    png_header,
    read,
    refused,
    with_exif,
)

JPEGS = {
    "baseline": (),
    "optimised": (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "restarts": (cv2.IMWRITE_JPEG_RST_INTERVAL, 7),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
}


SPECKLE = np.random.default_rng(1).integers(0, 40, SCAN.shape)
# without black parts, so that every part of the file is some of its picture
TISSUE = np.clip(SCAN.astype(int) // 2 + 60 + SPECKLE, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp", ".tif", ".pgm"])
def test_a_file_cut_short_is_refused(extension: str) -> None:
    data = encoded(extension, SCAN)
    ends = [int(share * len(data)) for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)]
    # what follows the pixels of a TIFF is its directory, or nothing
    ends += [] if extension == ".tif" else [len(data) - missing for missing in (1, 2, 5, 13)]
    for end in ends:
        sentence = refused(data[:end])
        if end >= 0.1 * len(data):
            assert "cut short" in sentence or "damaged" in sentence


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_cut_short_and_closed_again(kind: str) -> None:
    """As tools leave it that end a broken file with the marker that it lacks."""
    whole = encoded(".jpg", cv2.cvtColor(TISSUE, cv2.COLOR_GRAY2BGR), *JPEGS[kind])
    assert read(whole).shape == TISSUE.shape
    scan_head = whole.index(b"\xff\xda")
    start = scan_head + 2 + int.from_bytes(whole[scan_head + 2 : scan_head + 4])
    # the last scan of a progressive file adds the finest bits only
    for share in (0.1, 0.5) if kind == "progressive" else (0.1, 0.5, 0.8):
        cut = whole[: start + int(share * (len(whole) - start))].rstrip(b"\xff") + b"\xff\xd9"
        sentence = refused(cut)
        assert "cut short" in sentence or "damaged" in sentence


def test_a_flat_part_of_a_jpeg_is_a_picture() -> None:
    """Optimised tables write it as zeros, and it ends like what a decoder fills up."""
    zeros, picture = 0, TISSUE.copy()
    for start in (100, 8):
        for level in (0, 128, 255):
            picture[start:] = level
            for options in JPEGS.values():
                data = encoded(".jpg", picture, *options)
                zeros += bytes(64) in data
                found = read(data)
                assert np.abs(found[start + 10 :].astype(int) - level).max() <= 2
    assert zeros


def test_damage_within_a_jpeg() -> None:
    data = encoded(".jpg", TISSUE)
    middle = len(data) // 2
    assert "damaged" in refused(data[:middle] + bytes(512) + data[middle + 512 :])
    progressive = encoded(".jpg", TISSUE, *JPEGS["progressive"])
    last, end = progressive.rfind(b"\xff\xda"), len(progressive) - 2
    many = progressive[:end] + 100 * progressive[last:end] + progressive[end:]
    assert "100 scans" in refused(many)
    for marker in (0xC0, 0xD8, 0xE1, 0x02, 0xD0):  # the last is a restart, and there are none
        damaged = data[:middle] + bytes([0xFF, marker]) + data[middle + 2 :]
        assert "damaged" in refused(damaged)
    restarts = encoded(".jpg", TISSUE, *JPEGS["restarts"])
    assert "damaged" in refused(restarts.replace(b"\xff\xd3", b"\xff\xd5", 1))
    # of a lost sector what follows moves up, and the end is missing in a row of half a block
    image = np.dstack([TISSUE] * 3)
    image[-40:] = 0
    data = encoded(".jpg", image[: len(TISSUE) // 16 * 16 - 12])
    middle = len(data) // 2
    assert "missing" in refused(data[:middle] + data[middle + 2048 :])


def test_what_may_stand_in_a_jpeg_and_behind_it() -> None:
    data = encoded(".jpg", TISSUE)
    expected = read(data)
    thumbnail = encoded(".jpg", cv2.resize(TISSUE, (40, 32)))
    comment = b"\xff\xfe" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    for allowed in (
        *(data[:-2] + b"\xff\xff\xff\xd9", data + b"\xff\xc0trailer", data + data),
        data[:2] + comment + data[2:],
    ):
        assert np.array_equal(read(allowed), expected)
    assert "cut short" in refused((data[:2] + comment + data[2:])[:-500])


@pytest.mark.parametrize("kind", [b"IDAT", b"tEXt"])
def test_a_wrong_checksum_of_a_png(kind: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(png(SCAN, GRAY, chunk(b"tEXt", b"Comment\0a scan")))
    assert np.array_equal(read(bytes(data)), SCAN)
    at = data.index(kind)
    data[at + 4 + int.from_bytes(data[at - 4 : at])] ^= 1
    assert "damaged" in refused(bytes(data))
    assert capfd.readouterr().err == ""


def test_pngs_that_are_none() -> None:
    height, width = SCAN.shape
    half = png(SCAN[: height // 2])  # all chunks are whole, yet the rows end half way down
    assert "damaged" in refused(SIGNATURE + png_header(width, height) + half[8 + 25 :])
    data = png(SCAN)
    # as Apple's tools for phones write it; its pixels are no PNG's
    refused(data[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + data[8:])
    extra = zlib.compress(bytes(1000 * SCAN.size))
    swollen = chunk(b"IDAT", extra * (2 * SCAN.size // len(extra) + 2))
    assert "more than its pixels" in refused(data[:-12] + swollen + data[-12:])
    animation = png(SCAN, GRAY, chunk(b"acTL", struct.pack(">II", 2, 0)))
    assert "holds 2 frames" in refused(animation)
    tiny = png(np.zeros((31, 200), dtype=np.uint8))
    assert "200x31 pixels is too small; each side needs 32" in refused(tiny)


@pytest.mark.parametrize(("order", "kind"), [("<", 3), (">", 4)])
def test_exif_in_any_order_and_width_unless_it_is_broken(order: str, kind: int) -> None:
    stored = np.ascontiguousarray(np.rot90(SCAN))
    data = png(stored, GRAY, chunk(b"eXIf", exif(order, kind, 6)))
    assert np.array_equal(read(data), SCAN)
    jpeg = with_exif(encoded(".jpg", stored), exif(order, kind, 6))
    assert read(jpeg).shape == SCAN.shape
    # the first counts
    assert read(with_exif(jpeg, exif(order, kind, 1))).shape == stored.shape
    for broken in (
        *(b"II", b"II\0\0" + exif("<", 3, 6)[4:], b"II*\0\xff\xff\xff\xff"),
        *(exif("<", 3, 9), exif("<", 3, 6, count=0), exif("<", 3, 6)[:19]),
        exif("<", 1, 6),  # a byte
    ):
        assert np.array_equal(read(png(SCAN, GRAY, chunk(b"eXIf", broken))), SCAN)


def test_a_bmp_of_odd_fields_or_that_pillow_would_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(".bmp", SCAN)
    for at, value in ((28, 7), (10, 5000)):  # bits of a pixel, where the pixels begin
        refused(data[:at] + struct.pack("<I", value) + data[at + 4 :])
    # whoever trains with images from the web may have told it to, for the whole process
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    refused(data[: len(data) // 2])


def test_what_is_no_image_or_begins_as_one_is_refused() -> None:
    for data in (b"filename,pixel size(mm)\n000_HC.png,0.07\n", bytes(1000)):
        assert READABLE in refused(data)
    assert "the file is empty" in refused(b"")
    for start in (SIGNATURE, b"\xff\xd8", b"BM", b"II*\0", b"MM\0*"):
        for rest in (b"", b"\0", bytes(7), bytes(500), b"\xff" * 500, b"ab" * 300):
            refused(start + rest)


def test_a_huge_image_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = SIGNATURE + png_header(20_000, 20_000, bits=1) + chunk(b"IDAT") + chunk(b"IEND")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the image was decoded"))
    assert peak_bytes(lambda: refused(data)) < 1_000_000
    assert "20000x20000 pixels is more than the 50 million allowed; crop" in refused(data)


def test_errors_name_the_file(tmp_path: Path) -> None:
    (text := tmp_path / "text.png").write_text("no image")
    with pytest.raises(ImageDecodeError, match=rf"^{text}: this is not a"):
        image_file.read_gray(text)
    with pytest.raises(InputNotFoundError, match=r"none\.png: no such file"):
        image_file.read_gray(tmp_path / "none.png")
    with pytest.raises(ImageDecodeError, match="cannot be read"):
        image_file.read_gray(tmp_path)
