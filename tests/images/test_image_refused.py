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
from tests.images.image_files import GRAY, SIGNATURE, chunk, encoded, png, read, refused


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp", ".tif"])
def test_a_file_cut_short_is_refused(
    tmp_path: Path, scan: np.ndarray, extension: str, share: float
) -> None:
    data = encoded(extension, scan)
    sentence = refused(tmp_path, data[: int(share * len(data))], "a" + extension)
    if share >= 0.1:
        assert "cut short" in sentence or "damaged" in sentence


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp"])
def test_the_last_bytes_count(tmp_path: Path, scan: np.ndarray, extension: str) -> None:
    data = encoded(extension, scan)
    for missing in (1, 2, 5, 13):
        assert "cut short" in refused(tmp_path, data[:-missing], "a" + extension)


def test_a_jpeg_whose_thumbnail_is_whole_is_still_cut_short(
    tmp_path: Path, scan: np.ndarray
) -> None:
    thumbnail = encoded(".jpg", cv2.resize(scan, (40, 32)))
    comment = b"\xff\xfe" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    jpeg = encoded(".jpg", scan)
    whole = jpeg[:2] + comment + jpeg[2:]
    assert read(tmp_path, whole, "a.jpg").shape == scan.shape
    assert "cut short" in refused(tmp_path, whole[:-500], "a.jpg")


def test_too_little_pixel_data_is_refused(tmp_path: Path, scan: np.ndarray) -> None:
    """All chunks are whole, yet the rows end half way down."""
    height, width = scan.shape
    whole = png(scan[: height // 2])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, GRAY, 0, 0, 0))
    assert "damaged" in refused(tmp_path, SIGNATURE + header + whole[8 + 25 :])


def test_an_animation_is_refused(tmp_path: Path, scan: np.ndarray) -> None:
    height, width = scan.shape
    control = struct.pack(">IIIIHHBB", width, height, 0, 0, 1, 10, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in scan))
    two = png(
        scan,
        GRAY,
        chunk(b"acTL", struct.pack(">II", 2, 0)),
        chunk(b"fcTL", struct.pack(">I", 0) + control),
    )[: -len(chunk(b"IEND"))]
    two += chunk(b"fcTL", struct.pack(">I", 1) + control)
    two += chunk(b"fdAT", struct.pack(">I", 2) + rows) + chunk(b"IEND")
    assert "holds 2 frames, one was expected" in refused(tmp_path, two)
    one = png(scan, GRAY, chunk(b"acTL", struct.pack(">II", 1, 0)))
    assert read(tmp_path, one).shape == scan.shape


def test_a_tiff_of_several_pages_is_refused(tmp_path: Path, scan: np.ndarray) -> None:
    path = tmp_path / "stack.tif"
    assert cv2.imwritemulti(str(path), [scan, scan, scan])
    assert "holds 3 frames, one was expected" in refused(tmp_path, path.read_bytes(), "stack.tif")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "the file is empty" in refused(tmp_path, b"")


@pytest.mark.parametrize("data", [b"filename,pixel size(mm)\n000_HC.png,0.07\n", b"x", bytes(1000)])
def test_what_is_no_image_is_refused(tmp_path: Path, data: bytes) -> None:
    assert READABLE in refused(tmp_path, data)


@pytest.mark.parametrize("start", [SIGNATURE, b"\xff\xd8", b"BM", b"II*\0", b"MM\0*"])
@pytest.mark.parametrize("rest", [b"", b"\0", bytes(7), bytes(500), b"\xff" * 500, b"ab" * 300])
def test_a_good_start_alone_is_refused(tmp_path: Path, start: bytes, rest: bytes) -> None:
    refused(tmp_path, start + rest)


@pytest.mark.parametrize("shape", [(1, 1), (31, 200), (200, 31)])
def test_a_tiny_image_is_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    sentence = refused(tmp_path, png(np.zeros(shape, dtype=np.uint8)))
    assert f"{shape[1]}x{shape[0]} pixels is too small; each side needs 32" in sentence


def test_32_pixels_are_enough(tmp_path: Path) -> None:
    assert read(tmp_path, png(np.zeros((32, 32), dtype=np.uint8))).shape == (32, 32)


def test_a_huge_image_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = 20_000
    squeeze = zlib.compressobj(9)
    row = bytes(1 + side // 8)  # one bit a pixel
    rows = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, GRAY, 0, 0, 0))
    data = SIGNATURE + header + chunk(b"IDAT", rows) + chunk(b"IEND")
    assert len(data) < 100_000

    def decode(*_: object) -> None:
        pytest.fail("the image was decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)
    tracemalloc.start()
    try:
        sentence = refused(tmp_path, data)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "20000x20000 pixels is more than the 50 million allowed; crop" in sentence
    assert peak_bytes < 1_000_000


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    data = encoded(".tif", np.zeros((40, 50), dtype=np.float32))
    assert "32 bits (float)" in refused(tmp_path, data, "a.tif")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"none\.png: no such file"):
        image_file.read_gray(tmp_path / "none.png")
    with pytest.raises(EdgesegError, match="cannot be read"):
        image_file.read_gray(tmp_path)
