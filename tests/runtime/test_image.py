from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg import image
from edgeseg.errors import EdgesegError, ImageDecodeError, InputNotFoundError
from edgeseg.phantom import Phantom

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(pixels: np.ndarray, colour: int = GRAY, *extra: bytes) -> bytes:
    """Encode (H, W) or (H, W, C), uint8 or big-endian uint16; extra chunks come before IDAT."""
    height, width = pixels.shape[:2]
    depth = 8 * pixels.dtype.itemsize
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return (
        SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
        + b"".join(extra)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND")
    )


def encoded(extension: str, pixels: np.ndarray, *options: int) -> bytes:
    done, data = cv2.imencode(extension, pixels, list(options))
    assert done
    return data.tobytes()


def with_exif(jpeg: bytes, orientation: int) -> bytes:
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    content = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def read(tmp_path: Path, data: bytes, name: str = "scan.png") -> np.ndarray:
    path = tmp_path / name
    path.write_bytes(data)
    return image.read_gray(path)


def refused(tmp_path: Path, data: bytes, name: str = "scan.png") -> str:
    """Return the text of the error that a file raises, which must be a sentence."""
    with pytest.raises(ImageDecodeError) as caught:
        read(tmp_path, data, name)
    text = str(caught.value)
    assert text.startswith(str(tmp_path / name) + ": ")
    sentence = text.removeprefix(str(tmp_path / name) + ": ")
    assert len(sentence.split()) >= 5
    assert "\n" not in sentence
    assert not any(word in sentence for word in ("None", "Traceback", "cv::", "struct"))
    return sentence


@pytest.fixture(scope="module")
def scan(phantoms: list[Phantom]) -> np.ndarray:
    return phantoms[0].image


# What is read


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("name", ["a.png", "sans extension", "schädel 扫描.png", "a'b & c.PNG"])
def test_lossless_files_come_back_whatever_their_name(
    tmp_path: Path, scan: np.ndarray, extension: str, name: str
) -> None:
    found = read(tmp_path, encoded(extension, scan), name)
    assert found.dtype == np.uint8
    assert np.array_equal(found, scan)


def test_jpeg_comes_back_nearly(tmp_path: Path, scan: np.ndarray) -> None:
    found = read(tmp_path, encoded(".jpg", scan, cv2.IMWRITE_JPEG_QUALITY, 95), "a.jpg")
    assert np.abs(found.astype(int) - scan).mean() < 3


def test_progressive_jpeg_is_read(tmp_path: Path, scan: np.ndarray) -> None:
    data = encoded(".jpg", scan, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert read(tmp_path, data, "a.jpg").shape == scan.shape


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
    found = read(tmp_path, png(indices, PALETTE, colours))
    assert (found[0, 0], found[0, -1]) == (10, 240)


def test_palette_png_with_transparency(tmp_path: Path) -> None:
    indices = np.zeros((40, 50), dtype=np.uint8)
    indices[:, 25:] = 1
    colours = chunk(b"PLTE", bytes([10, 10, 10, 240, 240, 240]))
    opaque = chunk(b"tRNS", b"\xff\xff")
    assert read(tmp_path, png(indices, PALETTE, colours, opaque))[0, -1] == 240
    clear = chunk(b"tRNS", b"\xff\x00")
    assert "transparent" in refused(tmp_path, png(indices, PALETTE, colours, clear))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_alpha_must_be_opaque(tmp_path: Path, kind: type) -> None:
    top = np.iinfo(kind).max
    pixels = np.full((40, 50, 4), top, dtype=np.dtype(kind).newbyteorder(">"))
    pixels[..., :3] = top // 2
    pixels[0, 0] = top  # all the bits are used
    assert read(tmp_path, png(pixels, RGBA))[5, 5] in (127, 128)
    pixels[7, 7, 3] = top - 1
    assert "flatten it first" in refused(tmp_path, png(pixels, RGBA))


def test_gray_with_alpha(tmp_path: Path) -> None:
    pixels = np.full((40, 50, 2), 255, dtype=np.uint8)
    pixels[..., 0] = 90
    assert read(tmp_path, png(pixels, GRAY_ALPHA))[5, 5] == 90
    pixels[0, 0, 1] = 0
    assert "transparent" in refused(tmp_path, png(pixels, GRAY_ALPHA))


def test_a_transparent_colour(tmp_path: Path) -> None:
    pixels = np.full((40, 50, 3), 90, dtype=np.uint8)
    pixels[0, 0] = 7
    used, unused = (chunk(b"tRNS", struct.pack(">HHH", v, v, v)) for v in (7, 8))
    assert "transparent" in refused(tmp_path, png(pixels, RGB, used))
    assert read(tmp_path, png(pixels, RGB, unused))[5, 5] == 90


def test_gray_with_a_transparent_shade_keeps_its_values(tmp_path: Path) -> None:
    """Some tools declare black transparent in every gray file; the values stay defined."""
    pixels = np.full((40, 50), 90, dtype=np.uint8)
    pixels[0, 0] = 7
    found = read(tmp_path, png(pixels, GRAY, chunk(b"tRNS", struct.pack(">H", 7))))
    assert np.array_equal(found, pixels)


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
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }[orientation]
    jpeg = encoded(".jpg", np.ascontiguousarray(stored), cv2.IMWRITE_JPEG_QUALITY, 100)
    found = read(tmp_path, with_exif(jpeg, orientation), "a.jpg")
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 3


# What is refused


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


def test_damaged_pixels_are_refused(tmp_path: Path, scan: np.ndarray) -> None:
    data = bytearray(png(scan))
    middle = len(data) // 2
    for i in range(middle, middle + 40):
        data[i] ^= 0x55
    assert "damaged" in refused(tmp_path, bytes(data))


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


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"filename,pixel size(mm)\n000_HC.png,0.07\n", "not a PNG, JPEG, BMP or TIFF image"),
        (b"GIF89a\x10\x00\x10\x00", "GIF files are not read; save the image as PNG"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "WebP files are not read; save the image as PNG"),
        (b"%PDF-1.7\n", "PDF files are not read"),
        (bytes(128) + b"DICM" + bytes(60), "this is a DICOM file"),
        (b"x", "not a PNG, JPEG, BMP or TIFF image"),
        (bytes(1000), "not a PNG, JPEG, BMP or TIFF image"),
    ],
    ids=["text", "GIF", "WebP", "PDF", "DICOM", "a letter", "zeros"],
)
def test_files_of_other_kinds_are_named(tmp_path: Path, data: bytes, expected: str) -> None:
    assert expected in refused(tmp_path, data)


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
    assert "float32" in refused(tmp_path, data, "a.tif")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"none\.png: no such file"):
        image.read_gray(tmp_path / "none.png")
    with pytest.raises(EdgesegError, match="cannot be read"):
        image.read_gray(tmp_path)


# Preprocessing
