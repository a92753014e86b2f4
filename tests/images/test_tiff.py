from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from tests.images.image_files import read, refused

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
    wide = planes.astype(np.uint16) * 257  # of which OpenCV makes stripes
    for how in ({}, {"tile": (64, 64)}, {"compression": "zlib"}):
        assert np.array_equal(read(tmp_path, tiff((wide, colours | how)), "a.tif"), luma)
    one = (planes, {"photometric": "minisblack", "planarconfig": "separate"})
    assert "holds 3 separate planes, one was" in refused(tmp_path, tiff(one), "a.tif")


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
        "import sys; from pathlib import Path; from edgeseg.images.image_file import read_gray\n"
        "from edgeseg.errors import ImageDecodeError\n"
        "try: read_gray(Path(sys.argv[1]))\n"
        "except ImageDecodeError as error: print(error)"
    )
    command: Sequence[str] = [sys.executable, "-c", code, str(tmp_path / "a.tif")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cut short or damaged" in done.stdout
    assert done.stderr == ""


def test_colours_of_16_bits(tmp_path: Path, scan: np.ndarray) -> None:
    colours = np.dstack([scan, scan // 2, scan // 3])  # dark, so that not all the bits are used
    luma = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    data = tiff((colours.astype(np.uint16) * 257, {"photometric": "rgb"}))
    assert np.array_equal(read(tmp_path, data, "a.tif"), luma)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_the_alpha_of_16_bits_counts(tmp_path: Path, scan: np.ndarray, planar: str) -> None:
    pixels = np.dstack([scan, scan, scan, np.full_like(scan, 255)]).astype(np.uint16) * 257
    how = {"photometric": "rgb", "extrasamples": ["unassalpha"], "planarconfig": planar}

    def data() -> bytes:
        return tiff((np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels, how))

    assert np.array_equal(read(tmp_path, data(), "a.tif"), scan)
    pixels[5, 5, 3] = 0
    assert "transparent" in refused(tmp_path, data(), "a.tif")


def packed(levels: np.ndarray, bits: int) -> bytes:
    """Return rows of levels, each sample of so many bits, from the highest bit on."""
    ones = (levels[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(ones.astype(np.uint8).reshape(len(levels), -1), axis=1).tobytes()


def tiff_of_bits(
    levels: np.ndarray, bits: int, white: bool, byteorder: str, deflate: bool
) -> bytes:
    """Write a TIFF byte by byte: tifffile makes none of less than 8 bits, and others wrongly."""
    strip = packed(levels, bits)
    strip = zlib.compress(strip) if deflate else strip
    height, width = levels.shape
    fields = [(256, width), (257, height), (258, bits), (259, 8 if deflate else 1)]
    fields += [(262, 0 if white else 1), (273, 8), (277, 1), (278, height), (279, len(strip))]
    fields[5] = (273, 10 + 12 * len(fields) + 4 + 8 - 8)
    mark = b"II*\0" if byteorder == "<" else b"MM\0*"
    directory = b"".join(struct.pack(byteorder + "HHII", tag, 4, 1, v) for tag, v in fields)
    head = mark + struct.pack(byteorder + "IH", 8, len(fields)) + directory + bytes(4)
    assert len(head) == fields[5][1]
    return head + strip


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 14])
def test_samples_of_any_bits_are_read_or_refused(
    tmp_path: Path, scan: np.ndarray, bits: int, white: bool, byteorder: str, deflate: bool
) -> None:
    top = 2**bits - 1
    levels = scan[:101, :203].astype(int) * top // 255
    stored = top - levels if white else levels
    found = read(tmp_path, tiff_of_bits(stored, bits, white, byteorder, deflate), "a.tif")
    assert np.abs(found - levels * 255 / top).max() <= 1


@pytest.mark.parametrize("white", [False, True])
def test_tiles_of_one_bit_are_read(tmp_path: Path, scan: np.ndarray, white: bool) -> None:
    bright = scan > 80
    photometric = "miniswhite" if white else "minisblack"
    data = tiff((bright != white, {"tile": (64, 64), "photometric": photometric}))
    assert np.array_equal(read(tmp_path, data, "a.tif") > 0, bright)


@pytest.mark.parametrize("top", [4095, 65535])
def test_white_is_zero_in_part_of_the_range(tmp_path: Path, scan: np.ndarray, top: int) -> None:
    """Zero is white whatever value black has."""
    levels = top - scan.astype(np.uint16) * 16
    data = tiff((levels, {"photometric": "miniswhite"}))
    assert np.array_equal(read(tmp_path, data, "a.tif"), scan)


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.uint32, np.float16, np.float32, np.float64])
def test_types_that_are_not_read_are_named(tmp_path: Path, scan: np.ndarray, kind: type) -> None:
    text = refused(tmp_path, tiff(((scan // 2).astype(kind), {})), "a.tif")
    assert f"pixels of type {np.dtype(kind)} are not read; save the image as 8 or 16 bits" in text


def test_colours_that_are_no_light_are_refused(tmp_path: Path, scan: np.ndarray) -> None:
    data = bytearray(tiff((np.dstack([scan] * 3), {"photometric": "rgb"})))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at = file.pages.first.tags["PhotometricInterpretation"].valueoffset
    data[at : at + 2] = (8).to_bytes(2, sys.byteorder)
    assert "its colours (CIELAB) are not read" in refused(tmp_path, bytes(data), "a.tif")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_orientation_is_undone(tmp_path: Path, scan: np.ndarray, kind: type) -> None:
    stored = np.ascontiguousarray(np.rot90(scan)).astype(kind) * (257 if kind is np.uint16 else 1)
    data = tiff((stored, {"extratags": [(274, "H", 1, 6, True)]}))
    assert np.array_equal(read(tmp_path, data, "a.tif"), scan)


def test_a_stack_of_imagej_in_one_page_is_refused(tmp_path: Path, scan: np.ndarray) -> None:
    text = "ImageJ=1.54f\nimages=40\nslices=40\n"
    data = tiff((scan, {"description": text, "metadata": None}))
    assert "holds 40 frames, one was expected" in refused(tmp_path, data, "a.tif")


def test_camera_raw_is_not_read_by_its_preview(tmp_path: Path, scan: np.ndarray) -> None:
    small = scan[::4, ::4]
    dng = (scan, {"extratags": [(50706, "B", 4, b"\1\4\0\0", True)]})
    above = (small, {"subfiletype": 1, "subifds": 1})  # the image itself lies below
    for pages in ([dng], [above, (scan, {})]):
        text = refused(tmp_path, tiff(*pages), "a.tif")
        assert "camera raw files are not read; save the image as PNG" in text


def test_damaged_strips_are_refused(tmp_path: Path, scan: np.ndarray) -> None:
    data = bytearray(tiff((scan, {"compression": "zlib"})))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        start, size = file.pages.first.dataoffsets[0], file.pages.first.databytecounts[0]
    data[start + size - 1] ^= 1  # of the checksum
    assert "cut short or damaged" in refused(tmp_path, bytes(data), "a.tif")
    data[start + size // 2 : start + size] = bytes(size - size // 2)
    assert "cut short or damaged" in refused(tmp_path, bytes(data), "a.tif")
