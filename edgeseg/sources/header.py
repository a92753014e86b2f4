"""What an image file says of itself, read before any pixel is allocated."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from edgeseg.errors import ImageDecodeError

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")  # the latter two are BigTIFF
_JPEG_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_NOT_READ = {
    b"GIF8": "GIF",
    b"RIFF": "WebP",
    b"%PDF": "PDF",
}
READABLE = "PNG, JPEG, BMP or TIFF"
CUT_SHORT = "the file is cut short or damaged; copy it again"


class Header(NamedTuple):
    """The facts that decide how, and whether, an image is decoded.

    Attributes
    ----------
    format
        ``png``, ``jpeg``, ``bmp`` or ``tiff``.
    width, height
        In pixels, before any EXIF rotation.
    frames
        Number of images in the file, without the thumbnails of a TIFF.
    may_be_transparent
        Whether an alpha channel or a transparent colour is declared.
    white_is_zero
        Whether a TIFF's gray values are the darker the larger they are.
    page
        Which of a TIFF's images, thumbnails counted, from 0.
    """

    format: str
    width: int
    height: int
    frames: int = 1
    may_be_transparent: bool = False
    white_is_zero: bool = False
    page: int = 0


def parse(data: bytes) -> Header:
    """Read the header of an image file and check that the file is whole.

    Parameters
    ----------
    data
        The file's bytes.

    Raises
    ------
    ImageDecodeError
        If the file is empty, of another kind, cut short or damaged; the text does not name the
        file.
    """
    if not data:
        raise ImageDecodeError(f"the file is empty; expected a {READABLE} image")
    try:
        if data.startswith(_PNG):
            return _png(data)
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data.startswith(b"BM"):
            return _bmp(data)
        if data.startswith(_TIFF):
            from edgeseg.sources import tiff  # imports tifffile, which only these files need

            return tiff.parse(data)
    except (struct.error, IndexError):
        raise ImageDecodeError(CUT_SHORT) from None
    if data[128:132] == b"DICM":
        raise ImageDecodeError(f"this is a DICOM file, not a {READABLE} image; export it as PNG")
    kind = _NOT_READ.get(data[:4])
    if kind:
        raise ImageDecodeError(f"{kind} files are not read; save the image as PNG")
    raise ImageDecodeError(f"this is not a {READABLE} image, whatever its name says")


def _png(data: bytes) -> Header:
    width, height, _, colour = struct.unpack_from(">IIBB", data, 16)
    frames, transparent, ended = 1, colour in (4, 6), False
    for kind, start, _ in _png_chunks(data):
        if kind == b"acTL":
            frames = struct.unpack_from(">I", data, start)[0]
        elif kind == b"tRNS":
            transparent = True
        elif kind == b"IEND":
            ended = True
    if not ended:
        raise ImageDecodeError("the PNG is cut short; copy it again")
    return Header("png", width, height, frames, transparent)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start of contents, length) of each chunk up to IEND."""
    position = len(_PNG)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        if position + 12 + length > len(data):
            return
        yield kind, position + 8, length
        if kind == b"IEND":
            return
        position += 12 + length


def _jpeg(data: bytes) -> Header:
    position, size = 2, None
    while True:
        while data[position] == 0xFF and data[position + 1] == 0xFF:
            position += 1
        if data[position] != 0xFF:
            raise ImageDecodeError("the JPEG is damaged; copy it again")
        marker = data[position + 1]
        if marker in _JPEG_STANDALONE:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            size = (width, height)
        if marker == 0xDA:
            break
        position += 2 + length
    # Within the scans 0xFF is always escaped, so the end marker proves that they are all there;
    # a thumbnail, with an end marker of its own, can only come before them.
    if data.find(b"\xff\xd9", position) < 0:
        raise ImageDecodeError("the JPEG is cut short; copy it again")
    if size is None:
        raise ImageDecodeError("the JPEG does not say its size; save it again")
    return Header("jpeg", *size)


def _bmp(data: bytes) -> Header:
    (file_bytes,) = struct.unpack_from("<I", data, 2)
    header_bytes, width, height = struct.unpack_from("<Iii", data, 14)
    (bits,) = struct.unpack_from("<H", data, 28)
    if header_bytes < 40 or width <= 0:
        raise ImageDecodeError("this kind of BMP is not read; save the image as PNG")
    if len(data) < file_bytes:
        raise ImageDecodeError("the BMP is cut short; copy it again")
    return Header("bmp", width, abs(height), may_be_transparent=bits == 32)


def png_palette(data: bytes) -> list[int]:
    """Return the colours of a palette PNG as 0xRRGGBB, in the order of their numbers.

    Empty for any other file.
    """
    if not data.startswith(_PNG):
        return []
    for kind, start, length in _png_chunks(data):
        if kind == b"PLTE":
            return [int.from_bytes(data[i : i + 3]) for i in range(start, start + length - 2, 3)]
    return []
