"""An ultrasound image file of DICOM: what it says of itself, and its frames' samples."""

from __future__ import annotations

import functools
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError
from edgeseg.images.dicom import compressed, library
from edgeseg.images.dicom.regions import Region
from edgeseg.images.formats.base import Pixels

_MOST_REGIONS, _MOST_FRAMES = 64, 100_000
_DEFLATED, _MOST_UNPACKED_BYTES = b"1.2.840.10008.1.2.1.99", 1 << 28
_NATIVE = frozenset(f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".2"))
_JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
_PIXEL_DATA, _LONG_TYPES, _UNTOLD = 0x7FE00010, (b"OB", b"OW", b"UN"), 0xFFFFFFFF
# of ultrasound, and of what does not say its machine, such as captured screens
_MODALITIES = frozenset(("US", "IVUS", "OT", "SC", "XC", "ES", ""))
_REFUSED_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.6.2": "a volume; expected images of one plane",
    "1.2.840.10008.5.1.4.1.1.77.1.6": "a whole-slide image; expected ultrasound, US",
}
_REGION_NUMBERS = {
    "spatial_format": "RegionSpatialFormat", "data_type": "RegionDataType",
    "x_units": "PhysicalUnitsXDirection", "y_units": "PhysicalUnitsYDirection",
    "left_px": "RegionLocationMinX0", "top_px": "RegionLocationMinY0",
    "right_px": "RegionLocationMaxX1", "bottom_px": "RegionLocationMaxY1",
}  # fmt: skip
_TABLES = [f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue")]
_ELEMENTS = (
    *("SOPClassUID", "Modality", "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames"),
    *("PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PlanarConfiguration", "BurnedInAnnotation"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "SequenceOfUltrasoundRegions"),
    *(f"{table}{end}" for table in _TABLES for end in ("Data", "Descriptor")),
    *(f"Segmented{table}Data" for table in _TABLES),
    *library.IDENTIFIERS.values(),
)


@dataclass(frozen=True, slots=True, eq=False)
class DicomFile:
    """An image file, as far as it is read before its pixels are."""

    dataset: Any = field(repr=False)  # Its elements before the pixels, which name the patient.
    syntax: str  # Its transfer syntax.
    size: tuple[int, int]  # (height, width) in pixels.
    n_frames: int  # As many as it says.
    start: int  # Where the value of its pixel data begins.
    is_in_pieces: bool  # Whether that is in pieces, as compressed pixels are.
    # Whether it is of words, whose bytes big endian files exchange, two samples' too.
    in_words: bool
    # Opens the file, unpacked where it is deflated.
    open: Callable[[], BinaryIO] = field(default=io.BytesIO, repr=False)
    # Of compressed pixel data, where each frame's pieces are.
    frames: list[list[compressed.Fragment]] = field(default_factory=list, repr=False)

    @property
    def photometric(self) -> str:
        """DICOM's word for what the samples are."""
        return library.text(self.dataset, "PhotometricInterpretation").upper()

    def find_frames(self, stream: BinaryIO) -> list[list[compressed.Fragment]]:
        """Return where the pieces of each frame are; see `compressed.find_frames`."""
        stream.seek(self.start)
        # a memoryview is of bytes alone, where bytes() makes as many as a number says
        as_bytes = lambda value: bytes(memoryview(value))  # noqa: E731
        table = library.value_of(self.dataset, "ExtendedOffsetTable", as_bytes) or b""
        return compressed.find_frames(stream, self.n_frames, table)

    def samples(self, number: int) -> tuple[Pixels, str]:
        """Return a frame's samples, numbered from 1, and DICOM's word for what they are.

        They are (h, w) or (h, w, 3), in the order of the file; ``RGB`` where the decoder made them
        so. Raises ImageDecodeError if they cannot be decoded.
        """
        try:
            with self.open() as stream:
                if not self.is_in_pieces:
                    stream.seek(self.start)
                    return self._decode(stream, number - 1, self.n_frames), self.photometric
                data = compressed.read_frame(stream, self.frames[number - 1])
        except OSError as error:
            raise ImageDecodeError(f"cannot be read ({error.strerror})") from error
        if self.syntax in _JPEG:
            samples, is_rgb = compressed.decode_jpeg(data, self.size, self.photometric)
        elif self.syntax in _JPEG_2000:
            samples, is_rgb = compressed.decode_jpeg_2000(data, self.size)
        else:
            samples, is_rgb = self._decode(data, 0, 1), False
        return samples, "RGB" if is_rgb and samples.ndim == 3 else self.photometric

    def palette(self) -> tuple[int, npt.NDArray[np.uint8]]:
        """Return the first value that its palette maps, and its colours, shape (n, 3), uint8."""
        with library.translate_errors("its palette"):
            count, first, _ = map(int, self.dataset[f"{_TABLES[0]}Descriptor"].value)
        places = np.arange(count or 1 << 16, dtype=np.int64) + first
        colours = library.expand_palette(self.dataset, places)
        # some write entries of 8 bits into 16
        wide = colours.max(initial=0) > 255
        return first, (colours.astype(np.uint16) >> (8 if wide else 0)).astype(np.uint8)

    def regions(self) -> list[Region]:
        """Return the regions of its screen."""
        items = library.sequence(self.dataset, "SequenceOfUltrasoundRegions", _MOST_REGIONS)
        read = library.value_or_none
        return [
            Region(
                **{name: read(item, keyword, int) for name, keyword in _REGION_NUMBERS.items()},
                x_delta=read(item, "PhysicalDeltaX", float),
                y_delta=read(item, "PhysicalDeltaY", float),
            )
            for item in items
        ]

    def _decode(self, source: BinaryIO | bytes, index: int, n_frames: int) -> Pixels:
        samples = library.decode_frame(
            self.dataset, self.syntax, source, index, n_frames, in_words=self.in_words
        )
        if samples.shape[:2] != self.size or samples.shape[2:] not in ((), (3,)):
            raise ImageDecodeError(f"pixels of the shape {samples.shape} are not read")
        return samples


def open_file(path: Path) -> DicomFile:
    """Return an image file, as `read_head` does; the last few are kept for frames that follow."""
    try:
        status = path.stat()
        return _open_version(path, (status.st_size, status.st_mtime_ns, status.st_ino))
    except OSError as error:
        raise ImageDecodeError(f"cannot be read ({error.strerror})") from error


def open_bytes(data: bytes) -> DicomFile:
    """Return an image file that is in memory; see `open_file`."""
    data = inflate(io.BytesIO(data)) or data
    return _open(lambda: io.BytesIO(data))


@functools.lru_cache(maxsize=4)
def _open_version(path: Path, version: tuple[int, ...]) -> DicomFile:
    def open_again() -> BinaryIO:
        data = _unpack_version(path, version)
        return path.open("rb") if data is None else io.BytesIO(data)

    return _open(open_again)


# Unpacked, a film is many times as large as others; one is enough.
@functools.lru_cache(maxsize=1)
def _unpack_version(path: Path, _: tuple[int, ...]) -> bytes | None:
    with path.open("rb") as stream:
        return inflate(stream)


def _open(open_: Callable[[], BinaryIO]) -> DicomFile:
    with open_() as stream:
        file = read_head(stream)
        frames = file.find_frames(stream) if file.is_in_pieces else []
    return replace(file, open=open_, frames=frames)


def inflate(stream: BinaryIO) -> bytes | None:
    """Return the elements of a deflated file (PS3.5, A.5), unpacked; None of any other."""
    head = stream.read(1024)
    if head[128:132] != b"DICM" or _DEFLATED not in head or head[132:136] != b"\2\0\0\0":
        return None
    stream.seek(144 + int.from_bytes(head[140:144], "little"))
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = unpacking.decompress(stream.read(), _MOST_UNPACKED_BYTES)
    except zlib.error:
        raise ImageDecodeError("the deflated DICOM file is damaged; copy it again") from None
    if unpacking.unconsumed_tail:
        raise ImageDecodeError(
            f"the file holds more than {_MOST_UNPACKED_BYTES >> 20} MiB deflated; save it without"
        )
    return data


def read_head(stream: BinaryIO) -> DicomFile:
    """Return what an open file says, its uncompressed pixels all there, or raise an error."""
    stream.seek(0)
    dataset = library.read_elements(stream, _ELEMENTS)
    syntax = library.syntax_of(dataset)
    height, width, n_frames = _read_shape(dataset)
    length, in_words = _read_pixel_data_head(stream, *dataset.original_encoding)
    start, is_in_pieces = stream.tell(), length == _UNTOLD
    file = DicomFile(dataset, syntax, (height, width), n_frames, start, is_in_pieces, in_words)
    if is_in_pieces and syntax in _NATIVE:
        raise ImageDecodeError(
            "the DICOM file says its pixels are uncompressed, and they are in pieces as compressed "
            "ones are; save the images uncompressed"
        )
    if not is_in_pieces:
        samples = library.value_of(dataset, "SamplesPerPixel", int) or 1
        bits = library.value_of(dataset, "BitsAllocated", int) or 8
        samples = 2 if file.photometric.endswith("_422") else samples
        needed = height * width * n_frames * samples * bits // 8
        there = min(stream.seek(0, io.SEEK_END) - start, length)  # elements may follow
        if there < needed:
            raise ImageDecodeError(
                f"the DICOM file is cut short: {max(there, 0)} of its pixels' {needed} bytes are "
                "there"
            )
    return file


def is_ultrasound(dataset: Any) -> bool:
    """Tell whether elements are those of an ultrasound image, or do not say of what."""
    return library.text(dataset, "Modality").upper() in _MODALITIES


def _read_shape(dataset: Any) -> tuple[int, int, int]:
    """Return the sides and the number of the frames; what is no ultrasound is refused."""
    modality = library.text(dataset, "Modality").upper()
    if "Rows" not in dataset:
        raise ImageDecodeError("the DICOM file holds no image")
    if refused := _REFUSED_CLASSES.get(library.text(dataset, "SOPClassUID")):
        raise ImageDecodeError(f"the DICOM file is {refused}")
    if not is_ultrasound(dataset):
        shown = modality[:16] if modality.isalnum() else "another"
        raise ImageDecodeError(f"the DICOM file's modality is {shown}; expected ultrasound, US")
    height, width = (library.value_of(dataset, side, int) or 0 for side in ("Rows", "Columns"))
    n_frames = library.value_of(dataset, "NumberOfFrames", int) or 1
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
