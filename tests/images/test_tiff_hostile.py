from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.images.image_files import read, refused
from tests.images.test_tiff import tiff


def test_a_page_that_comes_after_itself(tmp_path: Path, scan: np.ndarray) -> None:
    data = bytearray(tiff((scan, {"metadata": None})))
    (start,) = struct.unpack_from("<I", data, 4)
    (n_fields,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * n_fields, start)
    assert "damaged" in refused(tmp_path, bytes(data), "a.tif")


def test_more_pages_than_are_looked_at(
    tmp_path: Path, scan: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.images.formats.tiff._MOST_PAGES", 3)
    pages = [(scan, {"metadata": None})] * 4
    assert "4 frames" not in refused(tmp_path, tiff(*pages[:3]), "a.tif")
    assert "more than 3 images" in refused(tmp_path, tiff(*pages), "a.tif")


def test_pixels_packed_by_the_gigabyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpacked is counted, and never there at once."""
    from edgeseg.images.formats import tiff as reader

    pixels = np.zeros((64, 64), np.uint8)
    data = bytearray(tiff((pixels, {"compression": "zlib", "metadata": None})))
    bomb = zlib.compress(bytes(8 << 20))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        tags = file.pages[0].tags
        at = {name: tags[name].valueoffset for name in ("StripOffsets", "StripByteCounts")}
    for name, value in (("StripOffsets", len(data)), ("StripByteCounts", len(bomb))):
        struct.pack_into("<I", data, at[name], value)
    sizes = count_unpacked(monkeypatch)
    read(tmp_path, bytes(data + bomb), "a.tif")
    assert 0 < max(sizes) <= 1 << 20
    monkeypatch.setattr(reader, "_MOST_UNPACKED", 4 << 20)
    assert "damaged" in refused(tmp_path, bytes(data + bomb), "a.tif")


def count_unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which the size of whatever is unpacked from then on is added."""
    sizes: list[int] = []
    real = zlib.decompressobj

    class Counting:
        def __init__(self) -> None:
            self._real = real()

        def decompress(self, data: bytes, max_length: int = 0) -> bytes:
            unpacked = self._real.decompress(data, max_length)
            sizes.append(len(unpacked))
            return unpacked

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    monkeypatch.setattr("edgeseg.images.formats.tiff.zlib.decompressobj", Counting)
    return sizes


def test_rows_of_4_bits_are_read_once_and_no_more_than_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, n_strips = 64, 64
    strip = zlib.compress(bytes(1 << 20))
    tags = {256: side, 257: side, 258: 4, 259: 8, 262: 1, 277: 1, 278: 1}
    ends = 8 + 2 + 12 * (len(tags) + 2) + 4
    fields = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    fields.insert(5, struct.pack("<HHII", 273, 4, n_strips, ends))
    fields.append(struct.pack("<HHII", 279, 4, n_strips, ends + 4 * n_strips))
    start = struct.pack("<I", ends + 8 * n_strips) * n_strips
    lengths = struct.pack("<I", len(strip)) * n_strips
    data = b"II*\0" + struct.pack("<IH", 8, len(fields)) + b"".join(fields) + bytes(4)
    monkeypatch.setattr("edgeseg.images.formats.tiff._check_deflated", lambda page: None)
    sizes = count_unpacked(monkeypatch)
    assert not read(tmp_path, data + start + lengths + strip, "a.tif").any()
    assert sizes == [side * side // 2]


def test_tiles_and_samples_larger_than_any_image(tmp_path: Path, scan: np.ndarray) -> None:
    side = scan.shape[0] // 16 * 16
    data = bytearray(tiff((scan[:side, :side], {"tile": (side, side), "metadata": None})))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        tags = file.pages[0].tags
        at = {name: tags[name].offset for name in ("TileWidth", "TileLength", "SamplesPerPixel")}
    huge = data.copy()
    for name in ("TileWidth", "TileLength"):
        struct.pack_into("<HII", huge, at[name] + 2, 4, 1, 16384)
    assert "cut short" in refused(tmp_path, bytes(huge), "a.tif")
    struct.pack_into("<HII", data, at["SamplesPerPixel"] + 2, 4, 1, 60_000)
    assert "60000 samples" in refused(tmp_path, bytes(data), "a.tif")
