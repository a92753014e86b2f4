"""An ultrasound image file of DICOM: what it says of itself, and its frames' samples."""

from __future__ import annotations

import contextlib
import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from edgeseg.errors import ImageDecodeError
from edgeseg.sources.dicom import compressed, encapsulated, library
from edgeseg.sources.dicom.deflated import unpacked
from edgeseg.sources.dicom.gray import Colours, Samples, read_palette
from edgeseg.sources.dicom.regions import Region

IDENTIFIERS = {
    "patient_id": "PatientID", "accession_number": "AccessionNumber",
    "study_instance_uid": "StudyInstanceUID", "sop_instance_uid": "SOPInstanceUID",
}  # fmt: skip
"""Columns that tell whose an image is, and the elements that they hold."""
_MOST_FRAMES, _MOST_REGIONS, _MOST_REMEMBERED = 100_000, 64, 4
_JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
_NATIVE = frozenset(f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".2"))
_PIXEL_DATA, _LONG_TYPES, _UNTOLD = 0x7FE00010, (b"OB", b"OW", b"UN"), 0xFFFFFFFF
# of ultrasound, and of what does not say its machine, such as captured screens
_MODALITIES = frozenset(("US", "IVUS", "OT", "SC", "XC", "ES", ""))
_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"
_REGION_NUMBERS = {
    "spatial_format": "RegionSpatialFormat", "data_type": "RegionDataType",
    "x_units": "PhysicalUnitsXDirection", "y_units": "PhysicalUnitsYDirection",
    "left_px": "RegionLocationMinX0", "top_px": "RegionLocationMinY0",
    "right_px": "RegionLocationMaxX1", "bottom_px": "RegionLocationMaxY1",
}  # fmt: skip
_COLOURS = ("Red", "Green", "Blue")
_TABLES = [f"{colour}PaletteColorLookupTableData" for colour in _COLOURS]
_DESCRIPTOR = "RedPaletteColorLookupTableDescriptor"
_ELEMENTS = (
    *("SOPClassUID", "Modality", "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames"),
    *("PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated", "BitsStored"),
    *("HighBit", "PixelRepresentation", "BurnedInAnnotation", "SequenceOfUltrasoundRegions"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", *IDENTIFIERS.values(), *_TABLES),
    *(f"Segmented{table}" for table in _TABLES),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in _COLOURS),
)


@dataclass(frozen=True, slots=True, eq=False)
class DicomFile:
    """An image file, as far as it is read before its pixels are.

    Attributes
    ----------
    path
        Where it is; None of one in memory.
    data
        Its bytes, where it is in memory or was unpacked.
    dataset
        Its elements before the pixels, those that are read.
    syntax
        Its transfer syntax.
    size
        (height, width) in pixels.
    start
        Where the value of its pixel data begins.
    in_words
        Whether that is of words, whose bytes big endian files exchange, two samples' too.
    n_frames
        As many as are there.
    frames
        Of compressed pixel data, where each frame's pieces are.
    """

    path: Path | None
    data: bytes | None = field(repr=False)
    dataset: Any = field(repr=False)
    syntax: str
    size: tuple[int, int]
    start: int
    in_words: bool
    n_frames: int
    frames: list[list[encapsulated.Fragment]] | None = field(repr=False)

    @property
    def may_name_patient(self) -> bool:
        """Whether the file does not rule out that its pixels show the patient's name."""
        return library.text(self.dataset, "BurnedInAnnotation").upper() != "NO"

    def samples(self, number: int) -> tuple[Samples, str]:
        """Return a frame's samples, and DICOM's word for what they are.

        Parameters
        ----------
        number
            From 1.

        Returns
        -------
        ndarray, shape (h, w) or (h, w, 3), and str
            In the order of the file; ``RGB`` where the decoder made them so.

        Raises
        ------
        ImageDecodeError
            If they cannot be decoded.
        """
        photometric = library.text(self.dataset, "PhotometricInterpretation").upper()
        with self._opened() as stream:
            if self.frames is None:
                stream.seek(self.start)
                return self._by_pydicom(stream, number - 1, self.n_frames), photometric
            data = encapsulated.read_frame(stream, self.frames[number - 1])
        if self.syntax not in _JPEG | _JPEG_2000:
            return self._by_pydicom(library.encapsulated(data), 0, 1), photometric
        of_jpeg = self.syntax in _JPEG
        decode = compressed.decode_jpeg if of_jpeg else compressed.decode_jpeg_2000
        samples, is_rgb = decode(data, self.size)
        return samples, "RGB" if is_rgb and samples.ndim == 3 else photometric

    def palette(self) -> tuple[int, Colours]:
        """Return the first value that its palette maps, and the colours; see `read_palette`."""
        with library.reading("its palette"):
            count, first, bits = map(int, self.dataset[_DESCRIPTOR].value)
            if _TABLES[0] in self.dataset:
                tables = [self.dataset[table].value for table in _TABLES]
                order = "<" if self.dataset.original_encoding[1] else ">"
                return read_palette(tables, (count, first, bits), order)
        colours = library.expanded_palette(
            self.dataset, np.arange(count or 1 << 16, dtype=np.int64) + first
        )
        wide = colours.max(initial=0) > 255
        return first, (colours.astype(np.uint16) >> (8 if wide else 0)).astype(np.uint8)

    def regions(self) -> list[Region]:
        """Return the regions of its screen."""
        items = library.sequence(self.dataset, "SequenceOfUltrasoundRegions", _MOST_REGIONS)
        return [
            Region(
                **{
                    n: library.told(library.whole_number, item, k)
                    for n, k in _REGION_NUMBERS.items()
                },
                x_delta=library.told(library.fraction, item, "PhysicalDeltaX"),
                y_delta=library.told(library.fraction, item, "PhysicalDeltaY"),
            )
            for item in items
        ]

    def identifiers(self) -> dict[str, str]:
        """Return what tells whose the image is, by the columns of `IDENTIFIERS`."""
        return {name: library.text(self.dataset, key) for name, key in IDENTIFIERS.items()}

    def _by_pydicom(self, source: BinaryIO | bytes, index: int, n_frames: int) -> Samples:
        samples = library.decoded(
            *(self.dataset, self.syntax, source, index, n_frames), in_words=self.in_words
        )
        if samples.shape[:2] != self.size or samples.shape[2:] not in ((), (3,)):
            raise ImageDecodeError(f"pixels of the shape {samples.shape} are not read")
        return samples

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        if self.data is not None:
            yield io.BytesIO(self.data)
        elif self.path is not None:
            try:
                with self.path.open("rb") as stream:
                    yield stream
            except OSError as error:
                raise ImageDecodeError(f"cannot be read ({error.strerror})") from error


_remembered: OrderedDict[tuple[str, int, int, int], DicomFile] = OrderedDict()
_remembering = threading.Lock()


def open_file(path: Path) -> DicomFile:
    """Return an image file, which is remembered for the frames that follow.

    Raises
    ------
    ImageDecodeError
        If it cannot be read or holds no ultrasound image.
    MissingExtraError
        If pydicom is not installed.
    """
    try:
        status = path.stat()
        key = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
        with _remembering:
            if known := _remembered.get(key):
                _remembered.move_to_end(key)
                return known
        with path.open("rb") as stream:
            found = _parsed(stream, path)
    except OSError as error:
        raise ImageDecodeError(f"cannot be read ({error.strerror})") from error
    with _remembering:
        if found.data is not None:  # unpacked: many times as large as others, and one is enough
            for other in [key for key, file in _remembered.items() if file.data is not None]:
                del _remembered[other]
        _remembered[key] = found
        while len(_remembered) > _MOST_REMEMBERED:
            _remembered.popitem(last=False)
    return found


def open_bytes(data: bytes) -> DicomFile:
    """Return an image file that is in memory; see `open_file`."""
    return _parsed(io.BytesIO(data), None)


def count_frames_in(stream: BinaryIO) -> int:
    """Return how many frames a file has that is open, without its pixels; see `open_file`."""
    data = unpacked(stream)
    stream.seek(0)
    return _shape(library.read_elements(io.BytesIO(data) if data else stream, _ELEMENTS))[2]


def _parsed(stream: BinaryIO, path: Path | None) -> DicomFile:
    data = unpacked(stream)
    if data is None and path is None:
        stream.seek(0)
        data = stream.read()
    if data is not None:
        stream = io.BytesIO(data)
    stream.seek(0)
    dataset = library.read_elements(stream, _ELEMENTS)
    syntax = library.syntax_of(dataset)
    height, width, n_frames = _shape(dataset)
    length, in_words = _pixel_data_head(stream, *dataset.original_encoding)
    start, frames = stream.tell(), None
    if length == _UNTOLD and syntax in _NATIVE:
        raise ImageDecodeError(
            "the DICOM file says its pixels are uncompressed, and they are in pieces as compressed "
            "ones are; save the images uncompressed"
        )
    if length == _UNTOLD:
        frames = encapsulated.find_frames(stream, n_frames, library.offsets(dataset))
    else:
        _refuse_short(stream, dataset, (height, width, n_frames), start, length)
    told = dataset, syntax, (height, width), start, in_words, n_frames, frames
    return DicomFile(path, data, *told)


def _shape(dataset: Any) -> tuple[int, int, int]:
    """Return the sides and the number of the frames; what is no ultrasound is refused."""
    _refuse_others(dataset)
    height, width = (library.whole_number(dataset, side) or 0 for side in ("Rows", "Columns"))
    n_frames = library.whole_number(dataset, "NumberOfFrames") or 1
    if min(height, width) < 1 or not 1 <= n_frames <= _MOST_FRAMES:
        raise ImageDecodeError(f"{n_frames} frames of {width}x{height} pixels are not read")
    return height, width, n_frames


def _refuse_others(dataset: Any) -> None:
    modality = library.text(dataset, "Modality").upper()
    if "Rows" not in dataset:
        raise ImageDecodeError("the DICOM file holds no image")
    if modality not in _MODALITIES:
        shown = modality[:16] if modality.isalnum() else "another"
        raise ImageDecodeError(f"the DICOM file's modality is {shown}; expected ultrasound, US")
    if library.text(dataset, "SOPClassUID") == _VOLUME:
        raise ImageDecodeError("the DICOM file is a volume; expected images of one plane")


def _pixel_data_head(stream: BinaryIO, is_implicit: bool, is_little: bool) -> tuple[int, bool]:
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
