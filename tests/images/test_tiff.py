from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.images.formats.tiff import read_pixel_size
from edgeseg.images.frame import PixelSize
from edgeseg.images.image_file import decode_frame
from edgeseg.segmenter import Segmenter
from tests.images.image_files import SCAN, encoded, peak_bytes, read, refused, tiff
from tests.run.conftest import run

COMPRESSION, PHOTOMETRIC, STRIPS, SAMPLES, STRIP_SIZES = 259, 262, 273, 277, 279
TILE_WIDTH, TILE_HEIGHT, JPEG_XL, CIELAB = 322, 323, 50002, 8
OME = (
    '<?xml version="1.0"?><OME xmlns="x"><Image ID="Image:0"><Pixels ID="Pixels:0" {} SizeX="400" '
    'Type="uint8"><Channel/></Pixels></Image></OME>'
)


def changed(data: bytes, **fields: int) -> bytes:
    """Return a little endian file with other numbers in fields of its first directory."""
    values = {globals()[name]: value for name, value in fields.items()}
    copy = bytearray(data)
    (start,) = struct.unpack_from("<I", data, 4)
    (n_fields,) = struct.unpack_from("<H", data, start)
    for at in range(start + 2, start + 2 + 12 * n_fields, 12):
        (tag,) = struct.unpack_from("<H", data, at)
        if tag in values:
            struct.pack_into("<HII", copy, at + 2, 4, 1, values[tag])
    return bytes(copy)


def packed(rows: bytes) -> bytes:
    """Return a file with these compressed rows."""
    data = tiff((SCAN, {"compression": "zlib", "predictor": False}), byteorder="<")
    return changed(data, STRIPS=len(data), STRIP_SIZES=len(rows)) + rows


@pytest.mark.parametrize("how", [{"tile": (64, 64)}, {"compression": "zlib", "predictor": 2}])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_white_is_zero_is_turned_round(bits: int, how: dict[str, Any]) -> None:
    pixels = SCAN if bits == 8 else (SCAN.astype(np.uint16) << (bits - 8)) + (SCAN >> (16 - bits))
    black_is_zero = read(tiff((pixels, how)))
    turned = (2**bits - 1 - pixels).astype(pixels.dtype)
    found = read(tiff((turned, {"photometric": "miniswhite", **how})))
    assert np.array_equal(black_is_zero, SCAN)
    assert np.array_equal(found, SCAN)


def test_white_is_zero_leaves_transparency_as_it_is() -> None:
    how = {"photometric": "miniswhite", "extrasamples": ["unassalpha"], "planarconfig": "contig"}
    opaque, clear = (
        tiff((np.dstack([255 - SCAN, np.full_like(SCAN, alpha)]), how)) for alpha in (255, 0)
    )
    assert np.array_equal(read(opaque), SCAN)
    assert "transparent" in refused(clear)


@pytest.mark.parametrize("kind", ["thumbnail", "mask"])
def test_the_image_is_read_and_not_what_lies_beside_it(kind: str) -> None:
    small = SCAN[::4, ::4]
    beside: tuple[np.ndarray, dict[str, Any]] = (small, {"subfiletype": 1})
    if kind == "mask":
        beside = (small > 100, {"subfiletype": 4, "photometric": "mask"})
    image = (65535 - SCAN.astype(np.uint16) * 257, {"photometric": "miniswhite"})
    for pages in ([image, beside], [beside, image]):
        assert np.array_equal(read(tiff(*pages)), SCAN)


def test_frames_are_counted_without_thumbnails() -> None:
    small = (SCAN[::4, ::4], {"subfiletype": 1})
    text = refused(tiff((SCAN, {}), small, (SCAN, {}), small))
    assert "holds 2 frames, one was expected" in text
    assert np.array_equal(read(tiff((SCAN, {"subfiletype": 1}))), SCAN)
    stack = {"description": "ImageJ=1.54f\nimages=40\nslices=40\n", "metadata": None}
    assert "holds 40 frames" in refused(tiff((SCAN, stack)))


def test_the_alpha_of_a_later_page_counts() -> None:
    def page(alpha: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        pixels = np.dstack([SCAN, SCAN, SCAN, alpha])
        return pixels, {"photometric": "rgb", "extrasamples": ["unassalpha"]}

    small = (SCAN[::4, ::4], {"subfiletype": 1})
    assert "transparent" in refused(tiff(small, page(SCAN)))
    opaque = tiff(small, page(np.full_like(SCAN, 255)))
    assert np.array_equal(read(opaque), SCAN)


@pytest.mark.parametrize("kind", ["signed", "rgb", "cmyk", "palette"])
def test_whatever_is_packed_comes_back(kind: str) -> None:
    colours = np.dstack([SCAN, SCAN // 2, 255 - SCAN])
    luma = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    ink = np.dstack([255 - colours, np.zeros_like(SCAN)])
    map_of = np.stack([np.arange(256) * 257] * 3).astype(np.uint16)
    pixels, page, expected = {
        "signed": (SCAN.astype(np.int16) * 128, {}, SCAN),
        "rgb": (colours, {"photometric": "rgb"}, luma),
        "cmyk": (ink, {"photometric": "separated"}, luma),
        "palette": (SCAN, {"photometric": "palette", "colormap": map_of}, SCAN),
    }[kind]
    found = read(tiff((pixels, {**page, "compression": "zlib"})))
    assert np.array_equal(found, expected)


def test_bigtiff_and_orientation() -> None:
    for byteorder in "<>":
        data = tiff((SCAN.astype(np.uint16) * 257, {}), bigtiff=True, byteorder=byteorder)
        assert data[2:4] in (b"+\0", b"\0+")
        assert np.array_equal(read(data), SCAN)
    turned = np.ascontiguousarray(np.rot90(SCAN))
    data = tiff((turned, {"extratags": [(274, "H", 1, 6, True)]}))
    assert np.array_equal(read(data), SCAN)


def test_damage_of_compressed_pixels_is_noticed() -> None:
    data = encoded(".tif", SCAN.astype(np.uint16) * 257, cv2.IMWRITE_TIFF_COMPRESSION, 5)
    assert np.array_equal(read(data), SCAN)
    middle = len(data) // 2
    assert "damaged" in refused(data[:middle] + bytes(64) + data[middle + 64 :])
    data = packed(zlib.compress(SCAN.tobytes()))
    assert np.array_equal(read(data), SCAN)
    assert "damaged" in refused(data[:-1] + bytes([data[-1] ^ 1]))  # its checksum


def test_what_would_not_be_read_rightly_is_refused() -> None:
    def sentence(pixels: np.ndarray, **page: Any) -> str:
        return refused(tiff((pixels, page)))

    planes = np.stack([SCAN, SCAN // 2, 255 - SCAN])
    wide = np.moveaxis(planes, 0, 2).astype(np.uint16) * 257
    separate = {"planarconfig": "separate"}
    assert "3 separate planes" in sentence(planes, photometric="rgb", **separate)
    assert "16 bits" in sentence(wide, photometric="rgb")
    for kind in (np.int8, np.uint32, np.float32):
        assert f"{np.dtype(kind).itemsize * 8} bits" in sentence((SCAN // 2).astype(kind))
    plain = tiff((SCAN, {}), byteorder="<")
    assert "compression (50002)" in refused(changed(plain, COMPRESSION=JPEG_XL))
    assert "colours (8)" in refused(changed(plain, PHOTOMETRIC=CIELAB))
    assert "60000 samples" in refused(changed(plain, SAMPLES=60_000))


def test_a_damaged_file_is_refused_and_stderr_empty(capfd: pytest.CaptureFixture[str]) -> None:
    data = tiff((SCAN, {}), byteorder="<")
    offsets, unknown = (struct.pack("<H", tag) for tag in (STRIPS, 65000))
    zeros, ones = (data[:8] + part + data[208:] for part in (bytes(200), b"\xff" * 200))
    for damaged in (data[:-100], zeros, ones, data.replace(offsets, unknown, 1)):
        assert "cut short or damaged" in refused(damaged)
    assert capfd.readouterr().err == ""


def tiff_of_bits(levels: np.ndarray, bits: int, white: bool, byteorder: str) -> bytes:
    """Write a TIFF byte by byte, each sample from its highest bit on: tifffile does so wrongly."""
    ones = (levels[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(ones.astype(np.uint8).reshape(len(levels), -1), axis=1)
    strip = zlib.compress(rows.tobytes())
    height, width = levels.shape
    fields = [(256, width), (257, height), (258, bits), (259, 8)]
    fields += [(262, 0 if white else 1), (273, 8), (277, 1), (278, height), (279, len(strip))]
    fields[5] = (273, 10 + 12 * len(fields) + 4 + 8 - 8)
    mark = b"II*\0" if byteorder == "<" else b"MM\0*"
    directory = b"".join(struct.pack(byteorder + "HHII", tag, 4, 1, v) for tag, v in fields)
    head = mark + struct.pack(byteorder + "IH", 8, len(fields)) + directory + bytes(4)
    assert len(head) == fields[5][1]
    return head + strip


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize("bits", [1, 4, 12, 14])
def test_samples_of_any_bits_are_read_or_refused(bits: int, white: bool, byteorder: str) -> None:
    top = 2**bits - 1
    levels = SCAN[:101, :203].astype(int) * top // 255
    data = tiff_of_bits(top - levels if white else levels, bits, white, byteorder)
    if bits != 12:
        assert f"{bits} bits" in refused(data)
        return
    found = read(data)
    assert np.abs(found - levels * 255 / top).max() <= 1


def test_camera_raw_is_not_read_by_its_preview() -> None:
    small = SCAN[::4, ::4]
    dng = (SCAN, {"extratags": [(50706, "B", 4, b"\1\4\0\0", True)]})
    above = (small, {"subfiletype": 1, "subifds": 1})  # the image itself lies below
    for pages in ([dng], [above, (SCAN, {})]):
        text = refused(tiff(*pages))
        assert "camera raw files are not read; save the image as PNG" in text


def test_directories_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(tiff((SCAN, {"metadata": None}), byteorder="<"))
    (start,) = struct.unpack_from("<I", data, 4)
    (n_fields,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * n_fields, start)
    assert "damaged" in refused(bytes(data))
    monkeypatch.setattr("edgeseg.images.formats.directories._MOST_DIRECTORIES", 3)
    pages = [(SCAN, {"metadata": None})] * 4
    assert "3 frames" in refused(tiff(*pages[:3]))
    assert "more than 3 images" in refused(tiff(*pages))
    monkeypatch.setattr("edgeseg.images.formats.directories._MOST_FIELDS", 3)
    assert "damaged" in refused(tiff((SCAN, {})))


def test_pixels_packed_by_the_gigabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpacked is counted, and never there at once."""
    data = packed(zlib.compress(bytes(8 << 20)))
    assert peak_bytes(lambda: read(data)) < 5 << 20
    assert not read(data).any()
    monkeypatch.setattr("edgeseg.images.formats.tiff._MOST_UNPACKED", 4 << 20)
    assert "damaged" in refused(data)
    tiled = tiff((SCAN, {"tile": (64, 64), "metadata": None}), byteorder="<")
    huge = changed(tiled, TILE_WIDTH=16384, TILE_HEIGHT=16384)
    assert "cut short" in refused(huge)


def imagej(unit: str, extra: str = "") -> str:
    return f"ImageJ=1.54f\nunit={unit}\n{extra}min=0.0\nmax=255.0\n"


def calibrated(scan: np.ndarray, x_mm: float, y_mm: float, **page: Any) -> bytes:
    how = {"description": imagej("mm"), "metadata": None, "resolution": (1 / x_mm, 1 / y_mm)}
    return tiff((scan, how | page))


@pytest.mark.parametrize(
    ("unit", "per_unit"),
    [
        *(("cm", 80.0), ("millimetres", 8.0)),
        *((unit, 0.008) for unit in ("micron", "\\u00B5m", "\u00b5m", "\u03bcm")),
    ],
)
def test_the_units_of_imagej(unit: str, per_unit: float) -> None:
    assert read_pixel_size(imagej(unit), per_unit, per_unit) == PixelSize(0.125, 0.125, "tiff")


@pytest.mark.parametrize(
    ("description", "per_unit"),
    [
        *(("a scan", 80.0), ("ImageJ=1.54f\nimages=1\n", 8.0), (imagej("inch"), 200.0)),
        (imagej("mm"), 0.0),
        (imagej("m"), 8.0),  # 125 mm a pixel
        *((imagej("cm"), dpi / 2.54) for dpi in (72, 96, 150, 300, 600)),  # a printer's
        (imagej("cm"), 28.35),
        (OME.format(""), 0.0),
        (OME.format('PhysicalSizeX="125"'), 0.0),
        (OME.format('PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1"'), 0.0),
    ],
)
def test_what_is_no_calibration(description: str, per_unit: float) -> None:
    assert read_pixel_size(description, per_unit, per_unit) is None


def test_sizes_of_ome_and_of_an_image_that_is_turned(scan: np.ndarray) -> None:
    for said in (
        'PhysicalSizeX="125.0" PhysicalSizeY="250"',  # micrometres where nothing else is said
        "PhysicalSizeX='125' PhysicalSizeXUnit='&#181;m' "
        "PhysicalSizeY='0.025' PhysicalSizeYUnit='cm'",
    ):
        assert read_pixel_size(OME.format(said), 0, 0) == PixelSize(0.125, 0.25, "tiff")
    assert read_pixel_size(imagej("mm", "yunit=cm\n"), 8, 40) == PixelSize(0.125, 0.25, "tiff")
    turned = calibrated(scan, 0.125, 0.25, extratags=[(274, "H", 1, 6, True)])
    assert decode_frame(turned).pixel_size == PixelSize(0.25, 0.125, "tiff")


def test_a_files_size_is_in_the_row(segmenter: Segmenter, scan: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "scans" / "a.tif"
    path.parent.mkdir()
    path.write_bytes(calibrated(scan, 0.125, 0.25))
    own = segmenter.predict(path)
    assert own.pixel_size == PixelSize(0.125, 0.25, "tiff")
    assert segmenter.predict(str(path), 0.2).pixel_size == PixelSize(0.2, 0.2, "option")
    summary = run(segmenter, path.parent, tmp_path / "own", size_mm=None)
    row = summary.rows[0]
    assert (row["pixel_size_x_mm"], row["pixel_size_y_mm"]) == (0.125, 0.25)
    assert row["pixel_size_source"] == "tiff"
    assert float(row["hc_mm"]) == pytest.approx(own.hc_mm, abs=1e-3)
    given = run(segmenter, path.parent, tmp_path / "own", size_mm=0.2, resume=True)
    assert (given.n_kept, given.rows[0]["pixel_size_source"]) == (0, "option")
