"""Image files decoded in the browser, held to Python's gray values."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edgeseg.images.image_file import decode_frame
from tests.images import image_files as files
from tests.serve.conftest import packed, unpacked

pytestmark = pytest.mark.browser
Gray = npt.NDArray[np.uint8]
_DECODE = """(file) => t.decodeGray(new Blob([t.bytes(file)])).then(
  ({ pixels, width, height }) => [t.text(pixels), height, width], ({ message }) => message)"""


def decode(page: Any, data: bytes) -> Gray | str:
    """Return the gray values of a file in the browser, or the message that refuses it."""
    found = page.evaluate(_DECODE, packed(data))
    return found if isinstance(found, str) else unpacked(*found)


def assert_as_in_python(page: Any, data: bytes, tolerance: int = 0) -> None:
    """Check that the browser's gray values are Python's, to some levels."""
    found, expected = decode(page, data), decode_frame(data).pixels
    assert not isinstance(found, str), found
    assert np.abs(found.astype(int) - expected).max() <= tolerance


def noise(*shape: int) -> Gray:
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


def tissue() -> Gray:
    """Return a scan without black parts or flat ones."""
    smooth = cv2.GaussianBlur(noise(120, 170), (0, 0), 2)
    return np.clip(smooth.astype(int) + noise(120, 170) % 40, 20, 235).astype(np.uint8)


def bmp_without_alpha() -> bytes:
    pixels = with_alpha(noise(50, 40, 3), 0).tobytes()
    info = struct.pack("<IiiHHIIiiII", 40, 40, 50, 1, 32, 0, len(pixels), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + info + pixels


def with_alpha(pixels: Gray, alpha: int = 255) -> Gray:
    return np.dstack([pixels, np.full(pixels.shape[:2], alpha, np.uint8)])


COLOURS = files.chunk(b"PLTE", noise(256, 3).tobytes())
LOSSLESS = {
    "gray PNG": files.png(noise(70, 90)),
    "gray PNG with a gamma": files.png(
        noise(70, 90), files.GRAY, files.chunk(b"gAMA", struct.pack(">I", 60000))
    ),
    "gray PNG with alpha": files.png(with_alpha(noise(70, 90)), files.GRAY_ALPHA),
    "colour PNG": files.png(noise(70, 90, 3), files.RGB),
    "colour PNG with alpha": files.png(with_alpha(noise(70, 90, 3)), files.RGBA),
    "palette PNG": files.png(noise(70, 90), files.PALETTE, COLOURS),
    "the smallest": files.png(noise(32, 32)),
    "of several tiles": files.png(noise(2100, 4500)),
    "colour BMP": files.encoded(".bmp", noise(71, 91, 3)),
    "32-bit BMP": bmp_without_alpha(),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_are_as_in_python(page: Any, name: str) -> None:
    has_colours = any(word in name for word in ("colour", "palette", "32-bit"))
    assert_as_in_python(page, LOSSLESS[name], 1 if has_colours else 0)  # level between decoders


def test_jpegs_are_as_in_python(page: Any) -> None:
    gray = tissue()
    assert_as_in_python(page, files.encoded(".jpg", gray, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), 1)
    colours = np.dstack([gray, gray // 2 + 60, gray // 3 + 90])
    assert_as_in_python(page, files.encoded(".jpg", colours), 3)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_images_are_turned_upright(page: Any, orientation: int) -> None:
    exif = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    assert_as_in_python(page, files.png(noise(50, 70), files.GRAY, files.chunk(b"eXIf", exif)))
    assert_as_in_python(page, files.with_exif(files.encoded(".jpg", tissue()), orientation), 1)


REFUSED = {
    "empty": (b"", "empty"),
    "a table": (b"filename,pixel size(mm)\n000_HC.png,0.07\n", "not a PNG, JPEG or BMP"),
    "DICOM": (bytes(128) + b"DICM" + bytes(60), "edgeseg infer"),
    "16-bit PNG": (files.png(np.full((40, 50), 9000, ">u2")), "edgeseg infer"),
    "nearly opaque": (files.png(with_alpha(noise(40, 50, 3), 254), files.RGBA), "transparent"),
    "a clear palette": (
        files.png(noise(40, 50), files.PALETTE, COLOURS, files.chunk(b"tRNS", b"\0")),
        "transparent",
    ),
    "too low": (files.png(noise(31, 200)), "200x31"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_files_are_refused(page: Any, name: str) -> None:
    """Huge ones before their pixels are copied."""
    data, message = REFUSED[name]
    assert message in str(decode(page, data))
    assert page.evaluate(
        "() => { try { t.grayOf({ width: 8000, height: 7000 }); } catch (e) { return e.message; } }"
    ).startswith("8000x7000 pixels is more than the 50 million")


def test_damage_is_refused_or_changes_no_pixel(page: Any) -> None:
    image = tissue()
    for extension in (".png", ".jpg", ".bmp"):
        data = files.encoded(extension, image)
        for share in (0.05, 0.5, 0.998):
            assert "damaged" in str(decode(page, data[: int(share * len(data))])), extension
    data, rng = files.png(image), np.random.default_rng(8)
    for at in rng.integers(8, len(data), 40):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        found = decode(page, bytes(damaged))
        assert isinstance(found, str) or np.array_equal(found, image)


def test_a_browser_that_changes_pixels_is_refused(page: Any) -> None:
    """As those do that protect against fingerprinting."""
    page.evaluate(
        """() => {
          const { prototype } = OffscreenCanvasRenderingContext2D, own = prototype.getImageData;
          window.restore = () => { prototype.getImageData = own; };
          prototype.getImageData = function (...place) {
            const read = own.apply(this, place);
            read.data[8] ^= 1;
            return read;
          };
        }"""
    )
    assert "this browser changes the pixels" in str(decode(page, LOSSLESS["gray PNG"]))
    page.evaluate("window.restore()")
