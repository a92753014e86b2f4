"""Frames that OpenCV decodes: JPEG and JPEG 2000 as DICOM files have them."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats import jpeg
from edgeseg.images.image_file import refuse_cut_scans

_LOSSLESS = frozenset((0xC3, 0xC7, 0xCB, 0xCF))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_OF_COLOURS = (0xE0, 0xEE)  # JFIF, Adobe
# says that no colours were transformed, so that the decoder leaves them as they are
_UNTRANSFORMED = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
_CODESTREAM, _CODING = b"\xff\x4f\xff\x51", 0xFF52
_ERRORS = 2  # OpenCV's level of its log
_BOX = b"\0\0\0\x0cjP  \r\n\x87\n"
_DAMAGED = (
    "the compressed pixels cannot be decoded: damaged, or of more than 8 bits; save the images "
    "uncompressed"
)


def decode_jpeg(data: bytes, size: tuple[int, int]) -> tuple[npt.NDArray[np.generic], bool]:
    """Decode a JPEG frame of (height, width).

    Returns
    -------
    ndarray, shape (height, width) or (height, width, 3), and bool
        Gray values, or colours in the order of the file; whether these are red, green and blue
        for certain. Those of lossless files are as they were coded, and DICOM says what they are.

    Raises
    ------
    ImageDecodeError
        If it is damaged, or of another size.
    """
    try:
        head = jpeg.parse(data)
    except ImageDecodeError:
        raise
    except (struct.error, IndexError, ValueError):
        raise ImageDecodeError(_DAMAGED) from None
    _check_same((head.height, head.width), size)
    process, segments = _segments_before_frame(data)
    if process not in _LOSSLESS:
        samples = _decoded(data, size)
        if head.scans_end:
            seen = samples if samples.ndim == 2 else samples[..., ::-1]
            refuse_cut_scans(data, head.scans_end, seen, cv2.IMREAD_UNCHANGED)
        return samples, True
    # JFIF's marker would have the decoder turn colours that were never transformed
    kept = [segment for segment in segments if segment[1] not in _OF_COLOURS]
    rest = data[2 + sum(map(len, segments)) :]
    return _decoded(b"".join((data[:2], _UNTRANSFORMED, *kept, rest)), size), False


def decode_jpeg_2000(data: bytes, size: tuple[int, int]) -> tuple[npt.NDArray[np.generic], bool]:
    """Decode a JPEG 2000 frame of (height, width); see `decode_jpeg`."""
    start = data.find(_CODESTREAM, 0, 4096) if data.startswith(_BOX) else 0
    if data[start : start + 4] != _CODESTREAM:
        raise ImageDecodeError(_DAMAGED)
    try:
        right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
        transforms = _transforms_colours(data, start + 2)
    except (struct.error, IndexError):
        raise ImageDecodeError(_DAMAGED) from None
    _check_same((bottom - top, right - left), size)
    with _quiet_opencv():
        return _decoded(data, size), transforms


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep back what OpenCV says of each bare codestream: that it names no colours."""
    # these have stood in both places
    logging: Any = getattr(cv2.utils, "logging", cv2)
    level = logging.getLogLevel()
    logging.setLogLevel(_ERRORS)
    try:
        yield
    finally:
        logging.setLogLevel(level)


def _decoded(data: bytes, size: tuple[int, int]) -> npt.NDArray[np.generic]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.shape[:2] != size:
        raise ImageDecodeError(_DAMAGED)
    if pixels.ndim == 2:
        return pixels
    return np.ascontiguousarray(pixels[..., 2::-1])


def _check_same(found: tuple[int, int], size: tuple[int, int]) -> None:
    if found != size:
        raise ImageDecodeError(
            f"its pixels are {found[1]}x{found[0]}, the file says {size[1]}x{size[0]}"
        )


def _segments_before_frame(data: bytes) -> tuple[int, list[bytes]]:
    """Return a JPEG's frame marker, and the segments between its start and that.

    They are there and whole: the file was parsed before.
    """
    position = 2
    segments: list[bytes] = []
    while True:
        start = position
        while data[position + 1] == 0xFF:
            position += 1
        marker = data[position + 1]
        if marker in _FRAMES:
            return marker, segments
        is_alone = marker == 0x01 or 0xD0 <= marker <= 0xD8
        position += 2 if is_alone else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        segments.append(data[start:position])


def _transforms_colours(data: bytes, position: int) -> bool:
    """Tell whether a codestream's decoder makes red, green and blue of its components."""
    while True:
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == _CODING:
            return data[position + 8] == 1
        if not 0xFF30 <= marker <= 0xFF93 or length < 2:
            return False
        position += 2 + length
