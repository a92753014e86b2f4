"""Files that are damaged, cut short, too large or no image at all are refused with a sentence."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import EdgesegError, InputNotFoundError
from edgeseg.images import image_file
from edgeseg.images.kinds import READABLE
from tests.images.image_files import (
    GRAY,
    SIGNATURE,
    chunk,
    encoded,
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


@pytest.fixture
def tissue(scan: np.ndarray) -> np.ndarray:
    """The scan without black parts, so that every part of the file is some of its picture."""
    speckle = np.random.default_rng(1).integers(0, 40, scan.shape)
    return np.clip(scan.astype(int) // 2 + 60 + speckle, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp", ".tif", ".pgm"])
def test_a_file_cut_short_is_refused(tmp_path: Path, scan: np.ndarray, extension: str) -> None:
    data = encoded(extension, scan)
    ends = [int(share * len(data)) for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)]
    # what follows the pixels of a TIFF is its directory, or nothing
    ends += [] if extension == ".tif" else [len(data) - missing for missing in (1, 2, 5, 13)]
    for end in ends:
        sentence = refused(tmp_path, data[:end], "a" + extension)
        if end >= 0.1 * len(data):
            assert "cut short" in sentence or "damaged" in sentence


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_cut_short_and_closed_again(tmp_path: Path, tissue: np.ndarray, kind: str) -> None:
    """As tools leave it that end a broken file with the marker that it lacks."""
    whole = encoded(".jpg", cv2.cvtColor(tissue, cv2.COLOR_GRAY2BGR), *JPEGS[kind])
    assert read(tmp_path, whole).shape == tissue.shape
    scan_head = whole.index(b"\xff\xda")
    start = scan_head + 2 + int.from_bytes(whole[scan_head + 2 : scan_head + 4])
    # the last scan of a progressive file adds the finest bits only
    for share in (0.1, 0.5) if kind == "progressive" else (0.1, 0.5, 0.8):
        cut = whole[: start + int(share * (len(whole) - start))].rstrip(b"\xff") + b"\xff\xd9"
        sentence = refused(tmp_path, cut)
        assert "cut short" in sentence or "damaged" in sentence


def test_a_jpeg_with_an_empty_part(tmp_path: Path, tissue: np.ndarray) -> None:
    data = bytearray(encoded(".jpg", tissue))
    middle = len(data) // 2
    data[middle : middle + 512] = bytes(512)
    assert "damaged" in refused(tmp_path, bytes(data))


def test_a_jpeg_that_lost_a_sector(tmp_path: Path, tissue: np.ndarray) -> None:
    """What follows moves up, and the end is missing, in a last row that is not a whole block."""
    tissue[-40:] = 0
    image = cv2.cvtColor(tissue, cv2.COLOR_GRAY2BGR)
    data = encoded(".jpg", image[: len(tissue) // 16 * 16 - 12])
    middle = len(data) // 2
    assert "missing" in refused(tmp_path, data[:middle] + data[middle + 2048 :])


def test_a_flat_part_of_a_jpeg_is_a_picture(tmp_path: Path, tissue: np.ndarray) -> None:
    """Optimised tables write it as zeros, and it ends like what a decoder fills up."""
    zeros = 0
    for start in (100, 8):
        for level in (0, 128, 255):
            tissue[start:] = level
            for options in JPEGS.values():
                data = encoded(".jpg", tissue, *options)
                zeros += bytes(64) in data
                found = read(tmp_path, data)
                assert np.abs(found[start + 10 :].astype(int) - level).max() <= 2
    assert zeros


def test_markers_of_a_jpeg_in_the_wrong_place(tmp_path: Path, tissue: np.ndarray) -> None:
    progressive = encoded(".jpg", tissue, *JPEGS["progressive"])
    last, end = progressive.rfind(b"\xff\xda"), len(progressive) - 2
    many = progressive[:end] + 100 * progressive[last:end] + progressive[end:]
    assert "100 scans" in refused(tmp_path, many)
    data = encoded(".jpg", tissue)
    middle = len(data) // 2
    for marker in (0xC0, 0xD8, 0xE1, 0x02, 0xD0):  # the last is a restart, and there are none
        damaged = data[:middle] + bytes([0xFF, marker]) + data[middle + 2 :]
        assert "damaged" in refused(tmp_path, damaged)
    restarts = encoded(".jpg", tissue, *JPEGS["restarts"])
    assert "damaged" in refused(tmp_path, restarts.replace(b"\xff\xd3", b"\xff\xd5", 1))


def test_what_may_stand_in_a_jpeg_and_behind_it(tmp_path: Path, tissue: np.ndarray) -> None:
    data = encoded(".jpg", tissue)
    expected = read(tmp_path, data)
    thumbnail = encoded(".jpg", cv2.resize(tissue, (40, 32)))
    comment = b"\xff\xfe" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    for allowed in (
        *(data[:-2] + b"\xff\xff\xff\xd9", data + b"\xff\xc0trailer", data + data),
        data[:2] + comment + data[2:],
    ):
        assert np.array_equal(read(tmp_path, allowed), expected)
    assert "cut short" in refused(tmp_path, (data[:2] + comment + data[2:])[:-500])


@pytest.mark.parametrize("kind", [b"IDAT", b"tEXt"])
def test_a_wrong_checksum_of_a_png(
    tmp_path: Path, scan: np.ndarray, kind: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(png(scan, GRAY, chunk(b"tEXt", b"Comment\0a scan")))
    assert np.array_equal(read(tmp_path, bytes(data)), scan)
    at = data.index(kind)
    data[at + 4 + int.from_bytes(data[at - 4 : at])] ^= 1
    assert "damaged" in refused(tmp_path, bytes(data))
    assert capfd.readouterr().err == ""


def test_pngs_that_are_none(tmp_path: Path, scan: np.ndarray) -> None:
    height, width = scan.shape
    half = png(scan[: height // 2])  # all chunks are whole, yet the rows end half way down
    assert "damaged" in refused(tmp_path, SIGNATURE + png_header(width, height) + half[8 + 25 :])
    data = png(scan)
    # as Apple's tools for phones write it; its pixels are no PNG's
    refused(tmp_path, data[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + data[8:])
    extra = zlib.compress(bytes(1000 * scan.size))
    swollen = chunk(b"IDAT", extra * (2 * scan.size // len(extra) + 2))
    assert "more than its pixels" in refused(tmp_path, data[:-12] + swollen + data[-12:])
    animation = png(scan, GRAY, chunk(b"acTL", struct.pack(">II", 2, 0)))
    assert "holds 2 frames" in refused(tmp_path, animation)
    tiny = png(np.zeros((31, 200), dtype=np.uint8))
    assert "200x31 pixels is too small; each side needs 32" in refused(tmp_path, tiny)


def exif(order: str, kind: int, value: int, *, count: int = 1) -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    packed = struct.pack(order + ("H2x" if kind == 3 else "I"), value)
    return mark + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, count) + packed + bytes(4)


@pytest.mark.parametrize(("order", "kind"), [("<", 3), (">", 4)])
def test_exif_in_any_order_and_width(
    tmp_path: Path, scan: np.ndarray, order: str, kind: int
) -> None:
    stored = np.ascontiguousarray(np.rot90(scan))
    data = png(stored, GRAY, chunk(b"eXIf", exif(order, kind, 6)))
    assert np.array_equal(read(tmp_path, data), scan)
    jpeg = with_exif(encoded(".jpg", stored), exif(order, kind, 6))
    assert read(tmp_path, jpeg).shape == scan.shape
    # the first counts
    assert read(tmp_path, with_exif(jpeg, exif(order, kind, 1))).shape == stored.shape


@pytest.mark.parametrize(
    "broken",
    [
        *(b"II", b"II\0\0" + exif("<", 3, 6)[4:], b"II*\0\xff\xff\xff\xff"),
        *(exif("<", 3, 9), exif("<", 3, 6, count=0), exif("<", 3, 6)[:19]),
        exif("<", 1, 6),  # a byte
    ],
)
def test_broken_exif_turns_nothing(tmp_path: Path, scan: np.ndarray, broken: bytes) -> None:
    assert np.array_equal(read(tmp_path, png(scan, GRAY, chunk(b"eXIf", broken))), scan)


def test_odd_fields_of_a_bmp(tmp_path: Path, scan: np.ndarray) -> None:
    data = encoded(".bmp", scan)
    for at, value in ((28, 7), (10, 5000)):  # bits of a pixel, where the pixels begin
        refused(tmp_path, data[:at] + struct.pack("<I", value) + data[at + 4 :])


def test_pillow_never_fills_what_is_cut_short(
    tmp_path: Path, scan: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever trains with images from the web may have told it to, for the whole process."""
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    data = encoded(".bmp", scan)
    refused(tmp_path, data[: len(data) // 2])


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    for data in (b"filename,pixel size(mm)\n000_HC.png,0.07\n", bytes(1000)):
        assert READABLE in refused(tmp_path, data)
    assert "the file is empty" in refused(tmp_path, b"")


@pytest.mark.parametrize("start", [SIGNATURE, b"\xff\xd8", b"BM", b"II*\0", b"MM\0*"])
def test_a_good_start_alone_is_refused(tmp_path: Path, start: bytes) -> None:
    for rest in (b"", b"\0", bytes(7), bytes(500), b"\xff" * 500, b"ab" * 300):
        refused(tmp_path, start + rest)


def test_a_huge_image_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = SIGNATURE + png_header(20_000, 20_000, bits=1) + chunk(b"IDAT") + chunk(b"IEND")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the image was decoded"))
    tracemalloc.start()
    try:
        sentence = refused(tmp_path, data)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "20000x20000 pixels is more than the 50 million allowed; crop" in sentence
    assert peak_bytes < 1_000_000


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"none\.png: no such file"):
        image_file.read_gray(tmp_path / "none.png")
    with pytest.raises(EdgesegError, match="cannot be read"):
        image_file.read_gray(tmp_path)
