"""DICOM ultrasound made by pydicom, dcmtk and OpenCV, and what packages ship of it.

Frames are given as they are to be seen: gray (H, W), colours (H, W, 3) in the order red, green,
blue, or several of either, uint8. What is stored depends on the photometric interpretation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels.processing import convert_color_space

from edgeseg.phantom.head import make_phantom

TOKEN = "ZZTOPSECRET"
"""Part of everything that identifies the patient, the physician or the site."""
SINGLE, CINE = uid.UltrasoundImageStorage, uid.UltrasoundMultiFrameImageStorage
IMAGE = make_phantom(1, height=96, width=122).image
FILM = np.stack([IMAGE, IMAGE[::-1]])
"""Two frames of gray values that differ."""
_PRIVATE_GROUP = 0x0011
_CM = 3


class Region(NamedTuple):
    """A rectangle of the screen, from its first to its last column and row."""

    x0: int
    y0: int
    x1: int
    y1: int
    # Millimetres per pixel across and down; None leaves the deltas out.
    pixel_mm: tuple[float, float] | None = (0.1, 0.1)
    spatial_format: int = 1
    data_type: int = 1
    units: tuple[int, int] = (_CM, _CM)
    flags: int = 0


class Palette(NamedTuple):
    """How gray values become indices and those a look-up table."""

    index_bits: int = 8  # Of an index and of an entry of the table, 8 or 16.
    entry_bits: int = 16
    first: int = 0  # Index of the table's first entry.
    segmented: bool = False  # Whether the table is written as segments.


_PALETTE = Palette()


def write(
    path: Path,
    frames: np.ndarray,
    *,
    pixel_mm: tuple[float, float] | None = (0.1, 0.1),
    regions: Sequence[Region] | None = None,
    photometric: str = "MONOCHROME2",
    bits: int = 8,
    syntax: str = uid.ExplicitVRLittleEndian,
    **extra: Any,
) -> Path:
    """Write an ultrasound image, or a cine of several frames, without compression.

    ``pixel_mm``, across and down, is of one region that is the whole image; None writes none.
    ``regions`` are those to write instead, ``bits`` those stored of a sample, ``extra`` attributes
    by keyword; None leaves one out. The patient has all names there are, each with `TOKEN`.
    """
    frames = several(frames)
    height, width = frames.shape[1:3]
    dataset = Dataset()
    _identify(dataset, cine=len(frames) > 1)
    if regions is None:
        regions = [Region(0, 0, width - 1, height - 1, pixel_mm)] if pixel_mm else []
    if regions:
        dataset.SequenceOfUltrasoundRegions = [_region(each) for each in regions]
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    store(dataset, frames, photometric, bits=bits, order=order)
    for keyword, value in extra.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)
    return save(dataset, path, syntax)


def store(
    dataset: Dataset,
    frames: np.ndarray,
    photometric: str,
    planar: int = 0,
    bits: int = 8,
    palette: Palette = _PALETTE,
    stored_as: str | None = None,
    order: str = "<",
) -> None:
    """Put frames into a data set, without compression.

    ``stored_as`` is the interpretation of the pixels where the file states it wrongly, ``planar`` 1
    stores a colour after the other, ``bits`` are those stored of a sample.
    """
    frames, really = several(frames), stored_as or photometric
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    if len(frames) > 1:
        dataset.NumberOfFrames, dataset.FrameTime = len(frames), "33.3"
        dataset.FrameIncrementPointer = 0x00181063
    if really == "PALETTE COLOR":
        bits = palette.index_bits
        samples = _indices(dataset, frames, palette, order)
    elif really.startswith("MONOCHROME"):
        # the upper bits are those given, and white is white
        samples = np.round(frames * (((1 << bits) - 1) / 255.0)).astype(np.uint16)
        samples = (1 << bits) - 1 - samples if really == "MONOCHROME1" else samples
    else:
        colours = np.repeat(frames[..., None], 3, axis=3) if frames.ndim == 3 else frames
        samples = colours if really == "RGB" else convert_color_space(colours, "RGB", "YBR_FULL")
    n_samples = samples.shape[3] if samples.ndim == 4 else 1
    if really == "YBR_FULL_422":
        samples = _halved_chroma(samples)
    elif n_samples == 3 and planar:
        samples = np.moveaxis(samples, 3, 1)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = n_samples, photometric
    if n_samples == 3:
        dataset.PlanarConfiguration = planar
    dataset.BitsAllocated = 8 if bits == 8 else 16
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
    data = samples.astype(np.uint8 if bits == 8 else f"{order}u2").tobytes()
    dataset.PixelData = data + bytes(len(data) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def save(
    dataset: Dataset, path: Path, syntax: str = uid.ExplicitVRLittleEndian, *, preamble: bool = True
) -> Path:
    """Write a data set as a file, or bare."""
    if not preamble:
        kind = uid.UID(syntax)
        how = {"implicit_vr": kind.is_implicit_VR, "little_endian": kind.is_little_endian}
        pydicom.dcmwrite(path, Dataset(dataset), **how)
        return path
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def save_coded(
    dataset: Dataset,
    frames: Sequence[bytes],
    path: Path,
    syntax: str,
    *,
    offsets: str = "basic",
    fragments: int = 1,
) -> Path:
    """Write a data set with its frames compressed, a stream each.

    What says where they begin is ``basic``, ``none`` or ``extended``, which takes one fragment.
    """
    if offsets == "extended":
        data, starts, lengths = encapsulate_extended([*frames])
        dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = starts, lengths
    else:
        data = encapsulate([*frames], fragments_per_frame=fragments, has_bot=offsets == "basic")
    dataset.PixelData = data
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return save(dataset, path, syntax)


def several(frames: np.ndarray) -> np.ndarray:
    one = frames.ndim == 2 or (frames.ndim == 3 and frames.shape[2] == 3)
    return frames[None] if one else frames


def _halved_chroma(samples: np.ndarray) -> np.ndarray:
    """Store luma, luma, blue and red of each pair of neighbours."""
    first, second = samples[:, :, ::2], samples[:, :, 1::2]
    chroma = np.round((first[..., 1:] + 0.0 + second[..., 1:]) / 2)
    pairs = [first[..., :1], second[..., :1], chroma]
    return np.concatenate(pairs, axis=3).astype(np.uint8)


def _indices(dataset: Dataset, frames: np.ndarray, palette: Palette, order: str) -> np.ndarray:
    """Write the look-up tables and return the indices of gray frames."""
    assert frames.ndim == 3, "palettes are made for gray frames"
    values = np.arange(256)
    # of a table in segments, which are straight lines, neighbours stay neighbours
    place = values if palette.segmented else (values * 77 + 31) % 256
    table = np.empty(256, int)
    table[place] = values * 257 if palette.entry_bits == 16 else values
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTable"
        setattr(dataset, f"{name}Descriptor", [256, palette.first, palette.entry_bits])
        dataset[f"{name}Descriptor"].VR = "US"
        if palette.segmented:
            setattr(dataset, f"Segmented{name}Data", _segments(table, order))
        else:
            kind = np.dtype(np.uint8 if palette.entry_bits == 8 else f"{order}u2")
            setattr(dataset, f"{name}Data", table.astype(kind).tobytes())
    return np.asarray(place[frames] + palette.first)


def _segments(table: np.ndarray, order: str) -> bytes:
    """Return a straight table as a discrete segment and two linear ones."""
    discrete, linear = [0, 2, table[0], table[1]], [1, 126, table[127], 1, 128, table[255]]
    return np.array([*discrete, *linear]).astype(f"{order}u2").tobytes()


def _identify(dataset: Dataset, *, cine: bool) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = CINE if cine else SINGLE
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(dataset, keyword, uid.generate_uid())
    dataset.Modality, dataset.Manufacturer = "US", "Edge Ultrasound"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "", "0001"]
    for keyword, value in {
        "StudyDate": "20261126", "ContentDate": "20261126", "StudyTime": "101500",
        "ContentTime": "101500", "PatientName": f"{TOKEN}^Jane", "PatientID": f"{TOKEN}-17",
        "PatientBirthDate": "19910203", "PatientSex": "F", "AccessionNumber": f"{TOKEN}A1",
        "ReferringPhysicianName": f"{TOKEN}^Doctor",
    }.items():  # fmt: skip
        setattr(dataset, keyword, value)
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, 1
    dataset.PatientOrientation, dataset.LossyImageCompression = "", "00"
    dataset.InstitutionName, dataset.InstitutionAddress = f"{TOKEN} Clinic", f"1 {TOKEN} Road"
    dataset.OperatorsName, dataset.StationName = f"{TOKEN}^Operator", f"{TOKEN}1"
    dataset.PatientComments, dataset.StudyDescription = f"{TOKEN} twin", f"OB {TOKEN}"
    block = dataset.private_block(_PRIVATE_GROUP, "EDGESEG TEST", create=True)
    block.add_new(0x01, "LO", f"{TOKEN} private")


def _region(region: Region) -> Dataset:
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType = region.spatial_format, region.data_type
    item.RegionFlags = region.flags
    item.RegionLocationMinX0, item.RegionLocationMinY0 = region.x0, region.y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = region.x1, region.y1
    item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = region.units
    if region.pixel_mm:
        item.PhysicalDeltaX, item.PhysicalDeltaY = (side_mm / 10 for side_mm in region.pixel_mm)
    return item
