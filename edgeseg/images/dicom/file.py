"""An ultrasound image file of DICOM: what it says of itself, and its frames' samples."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edgeseg.errors import ImageDecodeError
from edgeseg.images.dicom import compressed, encapsulated, library
from edgeseg.images.dicom.gray import Colours, Samples
from edgeseg.images.dicom.head import Head, inflate, read_head
from edgeseg.images.dicom.regions import Region

IDENTIFIERS = {
    "patient_id": "PatientID", "accession_number": "AccessionNumber",
    "study_instance_uid": "StudyInstanceUID", "sop_instance_uid": "SOPInstanceUID",
}  # fmt: skip
"""Columns that tell whose an image is, and the elements that they hold."""
_MOST_REGIONS = 64
_JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
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
    *("PlanarConfiguration", "BitsStored", "HighBit", "PixelRepresentation"),
    *("BurnedInAnnotation", "SequenceOfUltrasoundRegions", *IDENTIFIERS.values(), *_TABLES),
    *(f"Segmented{table}" for table in _TABLES),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in _COLOURS),
)

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class DicomFile:
    """An image file, as far as it is read before its pixels are."""

    head: Head = field(repr=False)  # Its elements name the patient.
    path: Path | None  # None of one in memory.
    version: Version  # Its size, time of change and number on the disk when it was opened.
    data: bytes | None = field(repr=False)  # The bytes of one in memory.
    # Of compressed pixel data, where each frame's pieces are.
    frames: list[list[encapsulated.Fragment]] | None = field(repr=False)

    @property
    def may_name_patient(self) -> bool:
        """Whether the file does not rule out that its pixels show the patient's name."""
        return library.text(self.head.dataset, "BurnedInAnnotation").upper() != "NO"

    def samples(self, number: int) -> tuple[Samples, str]:
        """Return a frame's samples, numbered from 1, and DICOM's word for what they are.

        Returns
        -------
        ndarray, shape (h, w) or (h, w, 3), and str
            In the order of the file; ``RGB`` where the decoder made them so.

        Raises ImageDecodeError if they cannot be decoded.
        """
        photometric = library.text(self.head.dataset, "PhotometricInterpretation").upper()
        with self._opened() as stream:
            if self.frames is None:
                stream.seek(self.head.start)
                return self._by_pydicom(stream, number - 1, self.head.n_frames), photometric
            data = encapsulated.read_frame(stream, self.frames[number - 1])
        if self.head.syntax not in _JPEG | _JPEG_2000:
            return self._by_pydicom(library.encapsulate_frame(data), 0, 1), photometric
        if self.head.syntax in _JPEG:
            samples, is_rgb = compressed.decode_jpeg(data, self.head.size, photometric)
        else:
            samples, is_rgb = compressed.decode_jpeg_2000(data, self.head.size)
        return samples, "RGB" if is_rgb and samples.ndim == 3 else photometric

    def palette(self) -> tuple[int, Colours]:
        """Return the first value that its palette maps, and its colours, shape (n, 3), uint8."""
        with library.translate_errors("its palette"):
            count, first, _ = map(int, self.head.dataset[_DESCRIPTOR].value)
        colours = library.expand_palette(
            self.head.dataset, np.arange(count or 1 << 16, dtype=np.int64) + first
        )
        # some write entries of 8 bits into 16
        wide = colours.max(initial=0) > 255
        return first, (colours.astype(np.uint16) >> (8 if wide else 0)).astype(np.uint8)

    def regions(self) -> list[Region]:
        """Return the regions of its screen."""
        items = library.sequence(self.head.dataset, "SequenceOfUltrasoundRegions", _MOST_REGIONS)
        read = library.number_or_none
        return [
            Region(
                **{name: read(item, keyword, int) for name, keyword in _REGION_NUMBERS.items()},
                x_delta=read(item, "PhysicalDeltaX", float),
                y_delta=read(item, "PhysicalDeltaY", float),
            )
            for item in items
        ]

    def identifiers(self) -> dict[str, str]:
        """Return what tells whose the image is, by the columns of `IDENTIFIERS`."""
        return {name: library.text(self.head.dataset, key) for name, key in IDENTIFIERS.items()}

    def _by_pydicom(self, source: BinaryIO | bytes, index: int, n_frames: int) -> Samples:
        samples = library.decode_frame(
            *(self.head.dataset, self.head.syntax, source, index, n_frames),
            in_words=self.head.in_words,
        )
        if samples.shape[:2] != self.head.size or samples.shape[2:] not in ((), (3,)):
            raise ImageDecodeError(f"pixels of the shape {samples.shape} are not read")
        return samples

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        if self.path is None:
            yield io.BytesIO(self.data or b"")
            return
        try:
            data = _unpack_version(self.path, self.version)
            with io.BytesIO(data) if data is not None else self.path.open("rb") as stream:
                yield stream
        except OSError as error:
            raise ImageDecodeError(f"cannot be read ({error.strerror})") from error


def open_file(path: Path) -> DicomFile:
    """Return an image file; the last few are kept, for the frames that follow.

    Raises ImageDecodeError if it cannot be read or holds no ultrasound image; MissingExtraError
    if pydicom is not installed.
    """
    try:
        status = path.stat()
        return _open_version(path, (status.st_size, status.st_mtime_ns, status.st_ino))
    except OSError as error:
        raise ImageDecodeError(f"cannot be read ({error.strerror})") from error


def open_bytes(data: bytes) -> DicomFile:
    """Return an image file that is in memory; see `open_file`."""
    return _parse(inflate(io.BytesIO(data)) or data, None, (0, 0, 0))


@functools.lru_cache(maxsize=4)
def _open_version(path: Path, version: Version) -> DicomFile:
    return _parse(_unpack_version(path, version), path, version)


# Unpacked, a film is many times as large as others; one is enough.
@functools.lru_cache(maxsize=1)
def _unpack_version(path: Path, _: Version) -> bytes | None:
    """Return the elements of a deflated file, unpacked; None of any other."""
    with path.open("rb") as stream:
        return inflate(stream)


def _parse(data: bytes | None, path: Path | None, version: Version) -> DicomFile:
    with contextlib.ExitStack() as stack:
        if data is not None or path is None:
            stream: BinaryIO = io.BytesIO(data or b"")
        else:
            stream = stack.enter_context(path.open("rb"))
        head = read_head(stream, _ELEMENTS)
        frames = head.find_frames(stream) if head.is_in_pieces else None
    return DicomFile(head, path, version, data if path is None else None, frames)
