"""Image files decoded in the browser, held to Python's gray values and to its refusals."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edgeseg.errors import ImageDecodeError
from edgeseg.images import header
from edgeseg.images.image_file import decode_gray
from tests.images.image_files import (
    GRAY,
    GRAY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    SIGNATURE,
    chunk,
    encoded,
    png,
    with_exif,
)
from tests.serve.window import packed, page

__all__ = ["page"]  # a fixture
pytestmark = pytest.mark.browser
Gray = npt.NDArray[np.uint8]
OF_A_JPEG = 3  # levels between two decoders, of colours


def decoded(page: Any, data: bytes) -> Gray:
    """Return what the browser makes of a file."""
    said, width, height = page.evaluate(
        """async (file) => {
          const { pixels, width, height } = await t.decodeGray(new Blob([t.bytes(file)]));
          return [t.text(pixels), width, height];
        }""",
        as_text(data),
    )
    return np.frombuffer(base64.b64decode(said), np.uint8).reshape(height, width)


def refusal(page: Any, data: bytes) -> str:
    """Return the sentence with which the browser refuses a file; empty if it does not."""
    said = page.evaluate(
        "(file) => t.decodeGray(new Blob([t.bytes(file)])).then(() => '', (e) => e.message)",
        as_text(data),
    )
    assert isinstance(said, str)
    return said


def as_text(data: bytes) -> str:
    return packed(np.frombuffer(data, np.uint8))


def check(page: Any, data: bytes, most: int = 0) -> str:
    """Decode a file in both, which give the same or refuse it alike; return the refusal."""
    try:
        expected = decode_gray(data)
    except ImageDecodeError as error:
        said = str(error).replace(header.READABLE, "PNG, JPEG or BMP")
        assert refusal(page, data) == said
        return said
    found = decoded(page, data)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= most
    return ""


def noise(*shape: int) -> Gray:
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def tissue() -> Gray:
    """A scan without black parts or flat ones."""
    smooth = cv2.GaussianBlur(noise(120, 170), (0, 0), 2)
    return np.clip(smooth.astype(int) + noise(120, 170) % 40, 20, 235).astype(np.uint8)


PALETTE_COLOURS = chunk(b"PLTE", noise(256, 3).tobytes())
LOSSLESS = {
    "gray PNG": png(noise(70, 90)),
    "gray PNG in sRGB": png(noise(70, 90), GRAY, chunk(b"sRGB", b"\0")),
    "colour PNG": png(noise(70, 90, 3), RGB),
    "PNG with alpha, opaque": png(
        np.dstack([noise(70, 90, 3), np.full((70, 90), 255)]).astype(np.uint8), RGBA
    ),
    "gray PNG with alpha": png(
        np.dstack([noise(70, 90), np.full((70, 90), 255)]).astype(np.uint8), GRAY_ALPHA
    ),
    "palette PNG": png(noise(70, 90), PALETTE, PALETTE_COLOURS),
    "palette PNG, opaque": png(
        noise(70, 90), PALETTE, PALETTE_COLOURS, chunk(b"tRNS", b"\xff" * 256)
    ),
    "a transparent shade": png(noise(70, 90), GRAY, chunk(b"tRNS", struct.pack(">H", 7))),
    "an unused transparent colour": png(noise(70, 90, 3) | 1, RGB, chunk(b"tRNS", bytes(6))),
    "PNG with a gamma": png(noise(70, 90), GRAY, chunk(b"gAMA", struct.pack(">I", 100000))),
    "colour PNG with primaries": png(
        noise(70, 90, 3),
        RGB,
        chunk(b"gAMA", struct.pack(">I", 60000)),
        chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 73000, 26000, 11000, 82000, 13000, 4000)),
    ),
    "colour PNG in sRGB": png(noise(70, 90, 3), RGB, chunk(b"sRGB", b"\0")),
    "sRGB and another gamma": png(
        noise(70, 90, 3),
        RGB,
        chunk(b"sRGB", b"\0"),
        chunk(b"gAMA", struct.pack(">I", 70000)),
    ),
    "colour PNG of linear levels": png(
        noise(70, 90, 3), RGB, chunk(b"gAMA", struct.pack(">I", 96000))
    ),
    "palette PNG in sRGB": png(noise(70, 90), PALETTE, chunk(b"sRGB", b"\0"), PALETTE_COLOURS),
    "one frame of an animation": png(noise(70, 90), GRAY, chunk(b"acTL", struct.pack(">II", 1, 0))),
    "the smallest": png(noise(32, 32)),
    "wider than a tile": png(noise(40, 4500)),
    "higher than a tile": png(noise(4500, 40)),
    "gray BMP": encoded(".bmp", noise(71, 91)),
    "colour BMP": encoded(".bmp", noise(71, 91, 3)),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_are_pythons_to_the_byte(page: Any, name: str) -> None:
    assert check(page, LOSSLESS[name]) == ""


def test_the_fourth_byte_of_a_plain_32_bit_bmp_means_nothing(page: Any) -> None:
    pixels = np.dstack([noise(50, 40, 3), np.zeros((50, 40), np.uint8)]).tobytes()
    info = struct.pack("<IiiHHIIiiII", 40, 40, 50, 1, 32, 0, len(pixels), 0, 0, 0, 0)
    head = b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54)
    assert check(page, head + info + pixels) == ""


JPEGS = {
    "baseline": (),
    "optimised": (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "restarts": (cv2.IMWRITE_JPEG_RST_INTERVAL, 7),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_jpegs_are_pythons_to_a_few_levels(page: Any, tissue: Gray, kind: str) -> None:
    assert check(page, encoded(".jpg", tissue, *JPEGS[kind]), most=1) == ""
    coloured = np.dstack([tissue, tissue // 2 + 60, tissue // 3 + 90])
    assert check(page, encoded(".jpg", coloured, *JPEGS[kind]), most=OF_A_JPEG) == ""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_undone(page: Any, tissue: Gray, orientation: int) -> None:
    exif = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    assert check(page, png(noise(50, 70), GRAY, chunk(b"eXIf", exif))) == ""
    jpeg = with_exif(encoded(".jpg", tissue), orientation)
    assert check(page, jpeg, most=1) == ""


def exif(order: str, kind: int, value: int, *, count: int = 1) -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    packed = struct.pack(order + ("H2x" if kind == 3 else "I"), value)
    return mark + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, count) + packed + bytes(4)


@pytest.mark.parametrize(
    "data",
    [
        *(exif(order, kind, 6) for order in "<>" for kind in (3, 4)),
        *(b"", b"II", exif("<", 3, 0), exif("<", 3, 9), exif("<", 1, 6)),
        *(exif("<", 3, 6, count=0), exif("<", 3, 6)[:19], b"II*\0\xff\xff\xff\xff"),
    ],
)
def test_odd_and_broken_exif(page: Any, data: bytes) -> None:
    assert check(page, png(noise(50, 70), GRAY, chunk(b"eXIf", data))) == ""


def test_the_first_exif_counts(page: Any, tissue: Gray) -> None:
    jpeg = encoded(".jpg", tissue)
    for first, second in ((6, 1), (1, 6)):
        assert check(page, with_exif(with_exif(jpeg, second), first), most=1) == ""


def animated(pixels: Gray) -> bytes:
    height, width = pixels.shape
    control = struct.pack(">IIIIHHBB", width, height, 0, 0, 1, 10, 0, 0)
    frames = chunk(b"acTL", struct.pack(">II", 2, 0))
    return png(pixels, GRAY, frames, chunk(b"fcTL", struct.pack(">I", 0) + control))


def huge(side: int) -> bytes:
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, GRAY, 0, 0, 0))
    return SIGNATURE + ihdr + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND")


def half(pixels: Gray) -> bytes:
    """Return a PNG whose rows end half way down."""
    height, width = pixels.shape
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, GRAY, 0, 0, 0))
    return SIGNATURE + ihdr + png(pixels[: height // 2])[8 + 25 :]


def other_checksum(kind: bytes) -> bytes:
    data = bytearray(png(noise(50, 70), GRAY, chunk(b"tEXt", b"Comment\0a scan")))
    at = data.index(kind)
    data[at + 4 + int.from_bytes(data[at - 4 : at])] ^= 1
    return bytes(data)


def changed_bmp(at: int, value: int, size: int = 4) -> bytes:
    data = bytearray(encoded(".bmp", noise(50, 70)))
    data[at : at + size] = value.to_bytes(size, "little")
    return bytes(data)


CLEAR = np.full((40, 50, 4), 255, np.uint8)
CLEAR[7, 7, 3] = 254
REFUSED = {
    "empty": b"",
    "a letter": b"x",
    "zeros": bytes(1000),
    "text": b"filename,pixel size(mm)\n000_HC.png,0.07\n",
    "GIF": b"GIF89a\x10\x00\x10\x00",
    "WebP": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "PDF": b"%PDF-1.7\n",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
    "an animation": animated(noise(50, 70)),
    "nearly opaque": png(CLEAR, RGBA),
    "a transparent colour": png(CLEAR[..., :3].copy(), RGB, chunk(b"tRNS", b"\0\xff" * 3)),
    "a clear palette": png(noise(40, 50), PALETTE, PALETTE_COLOURS, chunk(b"tRNS", b"\0")),
    "too narrow": png(noise(200, 31)),
    "too low": png(noise(31, 200)),
    "huge": huge(20_000),
    "half of a PNG's rows": half(noise(50, 70)),
    **{f"checksum of {kind!r}": other_checksum(kind) for kind in (b"IHDR", b"IDAT", b"tEXt")},
    "not IHDR first": png(noise(50, 70))[:8] + chunk(b"CgBI", bytes(4)) + png(noise(50, 70))[8:],
    "more than its pixels": png(noise(50, 70))[:-12]
    + chunk(b"IDAT", noise(90_000).tobytes())
    + chunk(b"IEND"),
    "planes of a BMP": changed_bmp(26, 3, 2),
    "bits of a BMP": changed_bmp(28, 7, 2),
    "a JPEG in a BMP": changed_bmp(30, 4),
    "pixels in the palette": changed_bmp(10, 60),
    "pixels beyond the end": changed_bmp(10, 5000),
    "a palette too long": changed_bmp(46, 9999),
    "an odd header": changed_bmp(14, 41),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_python_refuses_is_refused_with_its_words(page: Any, name: str) -> None:
    assert check(page, REFUSED[name])


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp"])
def test_files_cut_short_are_refused(page: Any, tissue: Gray, extension: str) -> None:
    data = encoded(extension, tissue)
    for length in (3, 30, len(data) // 10, len(data) // 2, len(data) - 13, len(data) - 1):
        assert check(page, data[:length])


def scans_start(jpeg: bytes) -> int:
    at = jpeg.index(b"\xff\xda")
    return at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_cut_short_and_closed_again(page: Any, tissue: Gray, kind: str) -> None:
    whole = encoded(".jpg", tissue, *JPEGS[kind])
    start = scans_start(whole)
    for share in (0.1, 0.5):
        cut = whole[: start + int(share * (len(whole) - start))].rstrip(b"\xff") + b"\xff\xd9"
        assert check(page, cut)


def test_a_jpeg_that_lacks_its_last_bits_is_read(page: Any, tissue: Gray) -> None:
    """As some encoders write it."""
    flat = np.full((96, 170), 90, np.uint8)
    flat[:60] = tissue[:60]
    data = encoded(".jpg", flat)
    said = {n: check(page, data[: -2 - n] + data[-2:], most=1) for n in (1, 2, 3, 20)}
    assert said[1] == ""
    assert "a part of its pixels is missing" in said[20]


def with_zeros(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes(512) + data[len(data) // 2 + 512 :]


def with_marker(data: bytes) -> bytes:
    return data[: len(data) // 2] + b"\xff\xc0" + data[len(data) // 2 + 2 :]


def out_of_order(data: bytes) -> bytes:
    return data.replace(b"\xff\xd3", b"\xff\xd5", 1)


def of_many_scans(data: bytes) -> bytes:
    last, end = data.rfind(b"\xff\xda"), len(data) - 2
    return data[:end] + 100 * data[last:end] + data[end:]


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        *(("baseline", with_zeros), ("restarts", with_zeros), ("baseline", with_marker)),
        *(("restarts", out_of_order), ("progressive", of_many_scans)),
    ],
)
def test_damaged_jpegs_are_refused(
    page: Any, tissue: Gray, kind: str, damage: Callable[[bytes], bytes]
) -> None:
    assert check(page, damage(encoded(".jpg", tissue, *JPEGS[kind])))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_part_of_a_jpeg_is_a_picture(page: Any, tissue: Gray, level: int) -> None:
    flat = np.full((300, 400), level, np.uint8)
    flat[:8, :170] = tissue[:8]
    for options in JPEGS.values():
        assert check(page, encoded(".jpg", flat, *options), most=1) == ""


def test_fill_bytes_and_what_follows_the_end_are_allowed(page: Any, tissue: Gray) -> None:
    data = encoded(".jpg", tissue)
    for allowed in (data[:-2] + b"\xff\xff\xff\xd9", data + b"\xff\xc0trailer", data + data):
        assert check(page, allowed, most=1) == ""


OF_INFER = {
    "TIFF": encoded(".tif", noise(50, 70)),
    "DICOM": bytes(128) + b"DICM" + bytes(60),
    "PGM": encoded(".pgm", noise(50, 70)),
    "16-bit PNG": png(np.full((40, 50), 9000, ">u2")),
    "16-bit colour PNG": png(np.full((40, 50, 3), 9000, ">u2"), RGB),
    "packed BMP": changed_bmp(30, 1),
    "16-bit BMP": changed_bmp(28, 16, 2) + bytes(9000),
}


@pytest.mark.parametrize("name", OF_INFER)
def test_what_only_python_reads_is_sent_there(page: Any, name: str) -> None:
    said = refusal(page, OF_INFER[name])
    assert name.split()[-1] in said
    assert "edgeseg infer" in said


def test_a_jpeg_of_four_colours_is_sent_there(page: Any, tissue: Gray) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not there")
    data = io.BytesIO()
    image.fromarray(tissue).convert("CMYK").save(data, "JPEG")
    said = refusal(page, data.getvalue())
    assert "four colours" in said
    assert "edgeseg infer" in said


def test_a_browser_that_makes_pixels_up_is_refused(page: Any) -> None:
    """As those do that hide what a page could recognise them by."""
    page.evaluate(
        """() => {
          const { prototype } = OffscreenCanvasRenderingContext2D;
          window.getImageData = prototype.getImageData;
          prototype.getImageData = function (...place) {
            const read = window.getImageData.apply(this, place);
            read.data[8] ^= 1;
            return read;
          };
        }"""
    )
    try:
        assert "this browser changes the pixels" in refusal(page, LOSSLESS["gray PNG"])
    finally:
        page.evaluate(
            "() => { OffscreenCanvasRenderingContext2D.prototype.getImageData = "
            "window.getImageData; }"
        )
    assert refusal(page, LOSSLESS["gray PNG"]) == ""
