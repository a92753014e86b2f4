from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from tests.sources.image_files import read, refused

JPEG_XL = 50002


def tiff(*pages: tuple[np.ndarray, dict[str, Any]], **how: Any) -> bytes:
    """Return a file of images, each with what tifffile is to write of it."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, **how) as file:
        for pixels, page in pages:
            file.write(pixels, **page)
    return stream.getvalue()


@pytest.mark.parametrize("how", [{}, {"tile": (64, 64)}, {"compression": "zlib", "predictor": 2}])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_white_is_zero_is_turned_round(
    tmp_path: Path, scan: np.ndarray, bits: int, how: dict[str, Any]
) -> None:
    pixels = scan if bits == 8 else (scan.astype(np.uint16) << (bits - 8)) + (scan >> (16 - bits))
    black_is_zero = read(tmp_path, tiff((pixels, how)), "a.tif")
    turned = (2**bits - 1 - pixels).astype(pixels.dtype)
    found = read(tmp_path, tiff((turned, {"photometric": "miniswhite", **how})), "a.tif")
    assert np.array_equal(black_is_zero, scan)
    assert np.array_equal(found, scan)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_bigtiff_is_read(tmp_path: Path, scan: np.ndarray, byteorder: str, kind: type) -> None:
    pixels = scan if kind is np.uint8 else scan.astype(np.uint16) * 257
    data = tiff((pixels, {}), bigtiff=True, byteorder=byteorder)
    assert data[2:4] in (b"+\0", b"\0+")
    assert np.array_equal(read(tmp_path, data, "a.tif"), scan)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("white_is_zero", [True, False])
@pytest.mark.parametrize(
    "beside",
    [{"subfiletype": 1}, {"subfiletype": 4, "photometric": "mask"}],
    ids=["thumbnail", "mask"],
)
def test_the_image_is_read_and_not_what_lies_beside_it(
    tmp_path: Path, scan: np.ndarray, beside: dict[str, Any], white_is_zero: bool, first: bool
) -> None:
    small = scan[::4, ::4] > 100 if beside["subfiletype"] == 4 else scan[::4, ::4]
    wide = scan.astype(np.uint16) * 257
    image = (65535 - wide, {"photometric": "miniswhite"}) if white_is_zero else (wide, {})
    pages = [image, (small, beside)] if first else [(small, beside), image]
    assert np.array_equal(read(tmp_path, tiff(*pages), "a.tif"), scan)


def test_a_file_of_one_thumbnail_is_an_image(tmp_path: Path, scan: np.ndarray) -> None:
    assert np.array_equal(read(tmp_path, tiff((scan, {"subfiletype": 1})), "a.tif"), scan)


def test_frames_are_counted_without_thumbnails(tmp_path: Path, scan: np.ndarray) -> None:
    small = (scan[::4, ::4], {"subfiletype": 1})
    text = refused(tmp_path, tiff((scan, {}), small, (scan, {}), small), "a.tif")
    assert "holds 2 frames, one was expected" in text


def test_the_alpha_of_a_later_page_counts(tmp_path: Path, scan: np.ndarray) -> None:
    def page(alpha: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        pixels = np.dstack([scan, scan, scan, alpha])
        return pixels, {"photometric": "rgb", "extrasamples": ["unassalpha"]}

    small = (scan[::4, ::4], {"subfiletype": 1})
    assert "transparent" in refused(tmp_path, tiff(small, page(scan)), "a.tif")
    opaque = tiff(small, page(np.full_like(scan, 255)))
    assert np.array_equal(read(tmp_path, opaque, "a.tif"), scan)


def test_planes_are_read_where_they_are_colours(tmp_path: Path, scan: np.ndarray) -> None:
    planes = np.stack([scan, scan // 2, 255 - scan])
    colours = {"photometric": "rgb", "planarconfig": "separate"}
    luma = cv2.cvtColor(np.moveaxis(planes, 0, 2).copy(), cv2.COLOR_RGB2GRAY)
    assert np.array_equal(read(tmp_path, tiff((planes, colours)), "a.tif"), luma)
    for pixels, how in (
        (planes.astype(np.uint16) * 257, colours),  # of which OpenCV makes stripes
        (planes, {"photometric": "minisblack", "planarconfig": "separate"}),
    ):
        text = refused(tmp_path, tiff((pixels, how)), "a.tif")
        assert "holds 3 separate planes, one was expected" in text


def test_a_compression_that_would_come_out_black_is_refused(
    tmp_path: Path, scan: np.ndarray
) -> None:
    data = bytearray(tiff((scan, {})))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at = file.pages.first.tags["Compression"].valueoffset
    data[at : at + 2] = JPEG_XL.to_bytes(2, sys.byteorder)
    assert "its compression (JPEGXL) is not read" in refused(tmp_path, bytes(data), "a.tif")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_pixels_cut_short_behind_a_whole_directory(
    tmp_path: Path, scan: np.ndarray, share: float
) -> None:
    data = tiff((scan, {}))
    assert "cut short" in refused(tmp_path, data[: int(share * len(data))], "a.tif")


@pytest.mark.parametrize("damage", ["zeros", "ones", "no offsets"])
def test_a_damaged_directory_is_refused_and_nothing_else_is_said(
    tmp_path: Path, scan: np.ndarray, damage: str
) -> None:
    data = tiff((scan, {}), byteorder="<")
    offsets, unknown = (struct.pack("<H", tag) for tag in (273, 65000))
    damaged = {
        "zeros": data[:8] + bytes(200) + data[208:],
        "ones": data[:8] + b"\xff" * 200 + data[208:],
        "no offsets": data.replace(offsets, unknown, 1),
    }
    (tmp_path / "a.tif").write_bytes(damaged[damage])
    code = (
        "import sys; from pathlib import Path; from edgeseg.sources.image_file import read_gray\n"
        "from edgeseg.errors import ImageDecodeError\n"
        "try: read_gray(Path(sys.argv[1]))\n"
        "except ImageDecodeError as error: print(error)"
    )
    command: Sequence[str] = [sys.executable, "-c", code, str(tmp_path / "a.tif")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cut short or damaged" in done.stdout
    assert done.stderr == ""
