"""What a JPEG file says of itself, and whether its coded pixels are all there."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats.base import Header, Pixels, decode_by_opencv
from edgeseg.images.formats.directories import exif_orientation

_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_HUFFMAN = {0xC0, 0xC1, 0xC2}  # of DCT coefficients: what nearly all files are
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_JPEG_LS = 0xF7
_START_OF_SCAN, _END, _TABLES = 0xDA, 0xD9, {0xC4, 0xCC, 0xDB, 0xDD, 0xDA, 0xDC, 0xFE}
_RESTARTS, _HUFFMAN_TABLES = 0xDD, 0xC4
_APP0, _APP1, _APP14 = 0xE0, 0xE1, 0xEE
_EMPTY = bytes(64)  # a part of a disk that could not be read comes as zeros
_EXIF = b"Exif\0\0"
# Within the scans 0xFF is escaped by a zero; restarts and fill bytes may stand there besides.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_MOST_SCANS = 100  # of whole files a dozen; each goes over all pixels, however short it is
_DAMAGED = "the JPEG is damaged; copy it again"
_INCOMPLETE = "the JPEG is cut short; copy it again"
_NO_SIZE = "the JPEG does not say its size; save it again"
# What a decoder makes pixels of where it has run out of a file's own.
_MORE = bytes(1 + 137 * i % 249 for i in range(256))
_BLOCK_PX, _UNIT_PX, _NEARLY_BLACK = 8, 16, 2
_SPARED_UNITS = 6  # an encoder may save the last bits of a file


class Jpeg(NamedTuple):
    """What a JPEG file says of itself."""

    width: int  # In pixels, before any rotation.
    height: int
    process: int  # The marker of its frame: which kind of JPEG it is.
    component_ids: bytes  # A byte for each of its components.
    is_subsampled: bool  # Whether some component has fewer samples than others.
    # Where the segments begin that say how colours are coded: those of JFIF and Adobe.
    colour_segments: list[int]
    orientation: int  # As EXIF counts it, 1 to 8.
    scans_end: int  # Where the coded pixels end; 0 where more bytes could be meant.


def parse_file(data: bytes) -> Header:
    """Read the header of a JPEG file; see `parse`."""
    found = parse(data)

    def decode(flags: int) -> Pixels:
        pixels = decode_by_opencv(data, flags)
        if found.scans_end:
            refuse_cut_scans(data, found.scans_end, pixels)
        return pixels

    return Header(found.width, found.height, decode, orientation=found.orientation)


def parse(data: bytes) -> Jpeg:
    """Read what a JPEG file says of itself, and the structure of its scans.

    Raises ImageDecodeError if the file is cut short or damaged, as far as its structure tells;
    struct.error, IndexError or ValueError if it ends within a segment.
    """
    size, process, orientation, every, n_scans, end = None, 0, 0, 0, 0, 0
    samplings: set[int] = set()
    colour_segments: list[int] = []
    exact: dict[int, set[int]] = {}  # component -> its coefficients that are there in full
    first_codes: dict[int, int] = {}  # table of coefficients -> what its code of zeros means
    for marker, position, body, end in read_segments(data):
        if marker == _END:
            break
        if n_scans and marker not in _TABLES:
            raise ImageDecodeError(_DAMAGED)  # nothing else stands between scans
        if marker == _JPEG_LS:
            raise ImageDecodeError("JPEG-LS files are not read; save the image as PNG")
        if marker in _FRAMES and size is None:
            process, (height, width) = marker, struct.unpack_from(">HH", body, 1)
            size = (width, height)
            exact = {body[i]: set[int]() for i in range(6, 6 + 3 * body[5], 3)}
            samplings = set(body[7 : 6 + 3 * body[5] : 3])
        elif (marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14) or (
            marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12
        ):
            colour_segments.append(position)
        elif marker == _APP1 and body.startswith(_EXIF) and not orientation:
            orientation = exif_orientation(body[len(_EXIF) :])
        elif marker == _RESTARTS:
            (every,) = struct.unpack_from(">H", body)
        elif marker == _HUFFMAN_TABLES:
            first_codes |= _first_codes(body)
        elif marker == _START_OF_SCAN:
            n_scans += 1
            if size is None:
                raise ImageDecodeError(_NO_SIZE)
            if n_scans > _MOST_SCANS:
                raise ImageDecodeError(
                    f"the JPEG has more than {_MOST_SCANS} scans; save the image as PNG"
                )
            n_components = body[0]
            first, last, bits = body[1 + 2 * n_components : 4 + 2 * n_components]
            if bits & 0x0F == 0:  # the last ones of its coefficients
                for component in exact.keys() & body[1 : 1 + 2 * n_components : 2]:
                    exact[component].update(range(first, last + 1))
            start = position + 4 + len(body)
            restarts = [restart[0] - 0xD0 for restart in _RESTART.findall(data, start, end)]
            if restarts and (not every or restarts != [i % 8 for i in range(len(restarts))]):
                raise ImageDecodeError(_DAMAGED)
            # With the tables that most files have, zeros would be blocks full of one faint wave;
            # where they end every block, they may be a flat part of the picture.
            plain = process in _SEQUENTIAL and n_components == len(exact)
            used = [first_codes.get(body[2 * i] & 0x0F, 0) for i in range(1, n_components + 1)]
            if plain and any(used) and data.find(_EMPTY, start, end) >= 0:
                raise ImageDecodeError("the JPEG is damaged: a part of it is empty; copy it again")
    if size is None or not n_scans:
        raise ImageDecodeError(_NO_SIZE)
    # a progressive file that is cut short may lack late scans
    needed = 64 if process == _PROGRESSIVE else 1
    if process in _HUFFMAN and not (exact and all(len(got) >= needed for got in exact.values())):
        raise ImageDecodeError(_INCOMPLETE)
    return Jpeg(
        *(*size, process, bytes(exact), len(samplings) > 1, colour_segments),
        orientation=orientation or 1,
        scans_end=end if process in _HUFFMAN else 0,
    )


def read_segments(data: bytes) -> Iterator[tuple[int, int, bytes, int]]:
    """Yield each segment: its marker, where it begins, its contents, and where the next begins."""
    position = 2
    while True:
        while data[position] == 0xFF and data[position + 1] == 0xFF:
            position += 1
        marker = data[position + 1]
        if data[position] != 0xFF:
            raise ImageDecodeError(_DAMAGED)
        if marker in _STANDALONE:
            position += 2
            continue
        if marker == _END:
            yield marker, position, b"", position
            return
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = start = position + 2 + length
        if marker == _START_OF_SCAN:  # its coded pixels follow
            found = _NEXT_MARKER.search(data, start)
            if found is None:
                raise ImageDecodeError(_INCOMPLETE)
            end = found.start()
        yield marker, position, data[position + 4 : start], end
        position = end


def refuse_cut_scans(data: bytes, end: int, pixels: npt.NDArray[np.generic]) -> None:
    """Refuse a JPEG whose coded pixels, up to ``end``, lack some: decoders fill up without a word.

    What they fill is gray. Where the last block of ``pixels``, (height, width) or (height, width,
    3), is flat and gray, the file is decoded again with and without more behind its coded pixels,
    for which a whole file has no use. Pillow does that, since OpenCV would print a line for each.
    """
    height, width = (side - 1 for side in pixels.shape[:2])
    corner = pixels[height // _BLOCK_PX * _BLOCK_PX :, width // _BLOCK_PX * _BLOCK_PX :]
    low, high = int(corner.min()), int(corner.max())
    # a black margin is flat in whole files too, and decoding all of those again would be dear
    if low < high or not _NEARLY_BLACK < low < 255 - _NEARLY_BLACK:
        return
    differs = _decode_quietly(data[:end] + _MORE + data[end:]) != _decode_quietly(data)
    last_row, last_blocks = height // _UNIT_PX * _UNIT_PX - 2, width - _SPARED_UNITS * _UNIT_PX
    if np.any(differs[:last_row]) or np.any(differs[last_row:, : max(0, last_blocks)]):
        raise ImageDecodeError(
            "the JPEG is damaged: a part of its pixels is missing; copy it again"
        )


def _decode_quietly(data: bytes) -> npt.NDArray[np.uint8]:
    from PIL import JpegImagePlugin

    try:
        image: Any = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        image.draft("L", None)
        return np.asarray(image)
    except Exception:  # of any kind, by what the bytes are
        raise ImageDecodeError(_DAMAGED) from None


def _first_codes(tables: bytes) -> dict[int, int]:
    """Return the meaning of the code of zeros in each table of coefficients; 0 ends a block."""
    position, found = 0, {}
    while position + 17 < len(tables):
        kind, number = divmod(tables[position], 16)
        if kind == 1:
            found[number] = tables[position + 17]
        position += 17 + sum(tables[position + 1 : position + 17])
    return found
