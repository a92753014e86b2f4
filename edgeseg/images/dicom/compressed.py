"""Compressed frames: where they lie in a file (DICOM PS3.5, A.4), and those OpenCV decodes."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, BinaryIO

import cv2
import numpy as np

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats import jpeg
from edgeseg.images.formats.base import Pixels, decode_by_opencv

_LOSSLESS = frozenset((0xC3, 0xC7, 0xCB, 0xCF))
_RGB_IDS = (b"RGB", b"rgb")
# Adobe's segment, but for its last byte: which transform of colours the file was coded with
_ADOBE, _UNTRANSFORMED, _YCBCR = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0", b"\0", b"\1"
_NAME = 4  # bytes from the start of a segment to its name
_CODESTREAM, _CODING = b"\xff\x4f\xff\x51", 0xFF52
_ERRORS = 2  # OpenCV's level of its log
_BOX = b"\0\0\0\x0cjP  \r\n\x87\n"
_DAMAGED = (
    "the compressed pixels cannot be decoded: damaged, or of more than 8 bits; save the images "
    "uncompressed"
)
_ITEM, _END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_END_ITEM = struct.pack("<HHI", *_END, 0)
_UNDEFINED = 0xFFFFFFFF
_MOST_FRAGMENTS = 1_000_000
_END_OF_IMAGE, _TAIL = b"\xff\xd9", 10  # of JPEG and JPEG 2000; padding may follow
_INCOMPLETE = "the compressed pixel data is damaged or cut short; copy the file again"


Fragment = tuple[int, int]
"""A piece of compressed data: where its bytes begin in the file, and how many they are."""


def find_frames(
    stream: BinaryIO, n_frames: int, extended_offsets: bytes = b""
) -> list[list[Fragment]]:
    """Return the fragments of each frame; the stream is at the pixel data's value.

    Tables of offsets are believed where they point to the starts of fragments; without one, each
    fragment is a frame, or a frame ends with the fragment that ends an image.

    Raises ImageDecodeError if the data is damaged, or has not so many frames.
    """
    basic_offsets, *fragments = _read_items(stream)
    if not fragments:
        raise ImageDecodeError(_INCOMPLETE)
    if n_frames == 1:
        return [fragments]
    for code, table in (("Q", extended_offsets), ("I", read_frame(stream, [basic_offsets]))):
        n_offsets = len(table) // struct.calcsize(code)
        offsets = struct.unpack_from(f"<{n_offsets}{code}", table)
        if n_offsets == n_frames and (frames := _split_by_offsets(fragments, offsets)):
            return frames
    if len(fragments) == n_frames:
        return [[fragment] for fragment in fragments]
    frames = _split_by_ends(stream, fragments)
    if len(frames) != n_frames:
        raise ImageDecodeError(
            f"the file says it has {n_frames} frames, and {len(frames)} are found in it"
        )
    return frames


def ends_with_pixels(stream: BinaryIO) -> bool:
    """Tell whether a file ends as pixel data does, with nothing behind it."""
    stream.seek(max(0, stream.seek(0, io.SEEK_END) - len(_END_ITEM)))
    return stream.read() == _END_ITEM


def read_frame(stream: BinaryIO, fragments: Sequence[Fragment]) -> bytes:
    """Return a frame's compressed bytes. Raises ImageDecodeError if the file ends before them."""
    parts = []
    for start, length in fragments:
        stream.seek(start)
        parts.append(stream.read(length))
        if len(parts[-1]) != length:
            raise ImageDecodeError(_INCOMPLETE)
    return b"".join(parts)


def _read_items(stream: BinaryIO) -> list[Fragment]:
    """Return the items of the pixel data: the table of offsets, and the fragments."""
    found: list[Fragment] = []
    while len(head := stream.read(8)) == 8:
        *tag, length = struct.unpack("<HHI", head)
        if tuple(tag) == _END:
            break
        if tuple(tag) != _ITEM or length == _UNDEFINED:
            raise ImageDecodeError(_INCOMPLETE)
        found.append((stream.tell(), length))
        if len(found) > _MOST_FRAGMENTS:
            raise ImageDecodeError(
                f"the pixel data has more than {_MOST_FRAGMENTS} pieces; save it uncompressed"
            )
        stream.seek(length, io.SEEK_CUR)
    if not found:
        raise ImageDecodeError(_INCOMPLETE)
    return found


def _split_by_offsets(
    fragments: Sequence[Fragment], offsets: Sequence[int]
) -> list[list[Fragment]] | None:
    """Return the frames that a table of offsets gives; None if it cannot be one of these."""
    places = {start - fragments[0][0]: i for i, (start, _) in enumerate(fragments)}
    pairs = [*pairwise([*(places.get(offset, -1) for offset in offsets), len(fragments)])]
    if any(not 0 <= start < end for start, end in pairs):
        return None
    return [list(fragments[start:end]) for start, end in pairs]


def _split_by_ends(stream: BinaryIO, fragments: Sequence[Fragment]) -> list[list[Fragment]]:
    frames: list[list[Fragment]] = [[]]
    for fragment in fragments:
        frames[-1].append(fragment)
        start, length = fragment
        stream.seek(start + max(0, length - _TAIL))
        if _END_OF_IMAGE in stream.read(min(_TAIL, length)):
            frames.append([])
    return frames if frames[-1] else frames[:-1]


def decode_jpeg(data: bytes, size: tuple[int, int], photometric: str) -> tuple[Pixels, bool]:
    """Decode a JPEG frame of (height, width), or raise an ImageDecodeError.

    JFIF's segment says that colours are YCbCr, Adobe's which they are; without either, DICOM's
    photometric interpretation decides, as in pydicom and dcmtk. Components that are called R, G
    and B are these, and where some have fewer samples than others they are not.

    Returned are gray values or colours in the order of the file, and whether these are red, green
    and blue for certain: those of lossless files are as they were coded, and DICOM says what.
    """
    with _refuse_damage():
        found = jpeg.parse(data)
    _check_same((found.height, found.width), size)
    is_lossless, longer_by = found.process in _LOSSLESS, 0
    if len(found.component_ids) == 3 and (is_lossless or not found.colour_segments):
        is_rgb = found.component_ids in _RGB_IDS or (
            photometric == "RGB" and not found.is_subsampled
        )
        changed, untransformed = bytearray(data), is_lossless or is_rgb
        for start in found.colour_segments:
            changed[start + _NAME] ^= 0xFF  # no decoder knows the name
        changed[2:2] = _ADOBE + (_UNTRANSFORMED if untransformed else _YCBCR)
        data, longer_by = bytes(changed), len(changed) - len(data)
    samples = _decode(data, size)
    if found.scans_end:
        jpeg.refuse_cut_scans(data, found.scans_end + longer_by, samples)
    return samples, not is_lossless


def decode_jpeg_2000(data: bytes, size: tuple[int, int]) -> tuple[Pixels, bool]:
    """Decode a JPEG 2000 frame of (height, width); see `decode_jpeg`."""
    start = data.find(_CODESTREAM, 0, 4096) if data.startswith(_BOX) else 0
    if not data.startswith(_CODESTREAM, start):
        raise ImageDecodeError(_DAMAGED)
    with _refuse_damage():
        right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
        transforms = _transforms_colours(data, start + 2)
    _check_same((bottom - top, right - left), size)
    # OpenCV says of each bare codestream that it names no colours; its log has stood in two places
    logging: Any = getattr(cv2.utils, "logging", cv2)
    level = logging.getLogLevel()
    logging.setLogLevel(_ERRORS)
    try:
        return _decode(data, size), transforms
    finally:
        logging.setLogLevel(level)


@contextlib.contextmanager
def _refuse_damage() -> Iterator[None]:
    try:
        yield
    except ImageDecodeError:
        raise
    except (struct.error, IndexError, ValueError):
        raise ImageDecodeError(_DAMAGED) from None


def _decode(data: bytes, size: tuple[int, int]) -> Pixels:
    try:
        pixels = decode_by_opencv(data, cv2.IMREAD_UNCHANGED)
    except ImageDecodeError:
        raise ImageDecodeError(_DAMAGED) from None
    _check_same(pixels.shape[:2], size)
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 2::-1])


def _check_same(found: tuple[int, ...], size: tuple[int, int]) -> None:
    if found != size:
        raise ImageDecodeError(
            f"its pixels are {found[1]}x{found[0]}, the file says {size[1]}x{size[0]}"
        )


def _transforms_colours(data: bytes, position: int) -> bool:
    """Tell whether a codestream's decoder makes red, green and blue of its components."""
    while True:
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == _CODING:
            return data[position + 8] == 1
        if not 0xFF30 <= marker <= 0xFF93 or length < 2:
            return False
        position += 2 + length
