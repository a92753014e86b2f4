"""What an ultrasound image of DICOM says before its pixels, and whether these are all there."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO, Literal, NamedTuple

from edgeseg.errors import ImageDecodeError
from edgeseg.images.dicom import encapsulated, library

_MOST_FRAMES = 100_000
_DEFLATED, _MOST_UNPACKED_BYTES = b"1.2.840.10008.1.2.1.99", 1 << 28
_NATIVE = frozenset(f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".2"))
_PIXEL_DATA, _LONG_TYPES, _UNTOLD = 0x7FE00010, (b"OB", b"OW", b"UN"), 0xFFFFFFFF
# of ultrasound, and of what does not say its machine, such as captured screens
_MODALITIES = frozenset(("US", "IVUS", "OT", "SC", "XC", "ES", ""))
_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"
_ELEMENTS = (
    *("SOPClassUID", "Modality", "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames"),
    *("PhotometricInterpretation", "BitsAllocated"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)


class Head(NamedTuple):
    """What is known of a file before its pixels are read."""

    dataset: Any  # Its elements before the pixels, those that were asked for.
    syntax: str  # Its transfer syntax.
    size: tuple[int, int]  # (height, width) in pixels.
    n_frames: int  # As many as it says.
    start: int  # Where the value of its pixel data begins.
    is_in_pieces: bool  # Whether that is in pieces, as compressed pixels are.
    # Whether it is of words, whose bytes big endian files exchange, two samples' too.
    in_words: bool

    def find_frames(self, stream: BinaryIO) -> list[list[encapsulated.Fragment]]:
        """Return where the pieces of each frame are; see `encapsulated.find_frames`."""
        stream.seek(self.start)
        return encapsulated.find_frames(stream, self.n_frames, library.offsets(self.dataset))


def read_head(stream: BinaryIO, elements: Sequence[str] = ()) -> Head:
    """Return what an open file says; pixels that are not in pieces are all there.

    Further ``elements`` are read besides those of the head.

    Raises ImageDecodeError if it is damaged, cut short or no ultrasound image;
    MissingExtraError if pydicom is not installed.
    """
    stream.seek(0)
    dataset = library.read_elements(stream, [*_ELEMENTS, *elements])
    syntax = library.syntax_of(dataset)
    height, width, n_frames = _read_shape(dataset)
    length, in_words = _read_pixel_data_head(stream, *dataset.original_encoding)
    start, is_in_pieces = stream.tell(), length == _UNTOLD
    if is_in_pieces and syntax in _NATIVE:
        raise ImageDecodeError(
            "the DICOM file says its pixels are uncompressed, and they are in pieces as compressed "
            "ones are; save the images uncompressed"
        )
    if not is_in_pieces:
        _refuse_short(stream, dataset, (height, width, n_frames), start, length)
    return Head(dataset, syntax, (height, width), n_frames, start, is_in_pieces, in_words)


def count_frames_in(stream: BinaryIO) -> int:
    """Return how many frames an open file has, without reading its pixels; see `read_head`.

    Of compressed pixels only the end is looked at, unless it is another than they have.
    """
    data = inflate(stream)
    if data is not None:
        stream = io.BytesIO(data)
    head = read_head(stream)
    if head.is_in_pieces and not encapsulated.ends_with_pixels(stream):
        head.find_frames(stream)
    return head.n_frames


def inflate(stream: BinaryIO) -> bytes | None:
    """Return the elements of a deflated file (PS3.5, A.5), unpacked; None of any other.

    Raises ImageDecodeError if it is damaged, or holds too much.
    """
    head = stream.read(1024)
    if head[128:132] != b"DICM" or _DEFLATED not in head or head[132:136] != b"\2\0\0\0":
        return None
    stream.seek(144 + int.from_bytes(head[140:144], "little"))
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflate.decompress(stream.read(), _MOST_UNPACKED_BYTES)
    except zlib.error:
        raise ImageDecodeError("the deflated DICOM file is damaged; copy it again") from None
    if inflate.unconsumed_tail:
        raise ImageDecodeError(
            f"the file holds more than {_MOST_UNPACKED_BYTES >> 20} MiB deflated; save it without"
        )
    return data


def _read_shape(dataset: Any) -> tuple[int, int, int]:
    """Return the sides and the number of the frames; what is no ultrasound is refused."""
    modality = library.text(dataset, "Modality").upper()
    if "Rows" not in dataset:
        raise ImageDecodeError("the DICOM file holds no image")
    if modality not in _MODALITIES:
        shown = modality[:16] if modality.isalnum() else "another"
        raise ImageDecodeError(f"the DICOM file's modality is {shown}; expected ultrasound, US")
    if library.text(dataset, "SOPClassUID") == _VOLUME:
        raise ImageDecodeError("the DICOM file is a volume; expected images of one plane")
    height, width = (library.whole_number(dataset, side) or 0 for side in ("Rows", "Columns"))
    n_frames = library.whole_number(dataset, "NumberOfFrames") or 1
    if min(height, width) < 1 or not 1 <= n_frames <= _MOST_FRAMES:
        raise ImageDecodeError(f"{n_frames} frames of {width}x{height} pixels are not read")
    return height, width, n_frames


def _read_pixel_data_head(stream: BinaryIO, is_implicit: bool, is_little: bool) -> tuple[int, bool]:
    """Read the head of the pixel data's element: its length, and whether it is of words."""
    order: Literal["little", "big"] = "little" if is_little else "big"
    head = stream.read(8)
    group, element = int.from_bytes(head[:2], order), int.from_bytes(head[2:4], order)
    if len(head) < 8 or group << 16 | element != _PIXEL_DATA:
        raise ImageDecodeError("the DICOM file is cut short or damaged: it ends before its pixels")
    if is_implicit:
        return int.from_bytes(head[4:], order), True
    if head[4:6] not in _LONG_TYPES:
        raise ImageDecodeError("the DICOM file's pixel data is of a type that has no pixels")
    return int.from_bytes(stream.read(4), order), head[4:6] == b"OW"


def _refuse_short(
    stream: BinaryIO, dataset: Any, shape: tuple[int, int, int], start: int, length: int
) -> None:
    """Refuse uncompressed pixels of which some are missing."""
    height, width, n_frames = shape
    samples = library.whole_number(dataset, "SamplesPerPixel") or 1
    bits = library.whole_number(dataset, "BitsAllocated") or 8
    halved = library.text(dataset, "PhotometricInterpretation").upper().endswith("_422")
    needed = height * width * n_frames * (2 if halved else samples) * bits // 8
    there = min(stream.seek(0, io.SEEK_END) - start, length)  # elements may follow
    if there < needed:
        raise ImageDecodeError(
            f"the DICOM file is cut short: {max(there, 0)} of its pixels' {needed} bytes are there"
        )
