"""Images as an ultrasound machine sends them: DICOM data sets with the scale of their region."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from edgeseg.drawing.encode import encode
from edgeseg.images.frame import GrayImage


def wrapped(gray: GrayImage, pixel_size_mm: float) -> Dataset:
    """Return an image of ultrasound that is one region throughout.

    Parameters
    ----------
    gray
        Shape (height, width), uint8.
    """
    height, width = gray.shape
    region = Dataset()
    region.RegionSpatialFormat = region.RegionDataType = 1
    region.RegionFlags = 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = width - 1, height - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = pixel_size_mm / 10
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = UltrasoundImageStorage, generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.Modality, image.PatientName, image.PatientID = "US", "Phantom", "0"
    image.SequenceOfUltrasoundRegions = [region]
    image.Rows, image.Columns, image.SamplesPerPixel = height, width, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelRepresentation = 0
    image.PixelData = gray.tobytes()
    return image


def film(grays: Sequence[GrayImage], pixel_size_mm: float) -> Dataset:
    """Return a film of gray images of one size, in JPEG, as machines send it."""
    image = wrapped(grays[0], pixel_size_mm)
    image.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    image.SOPClassUID, image.NumberOfFrames = UltrasoundMultiFrameImageStorage, len(grays)
    image.LossyImageCompression = "01"
    image.PixelData = encapsulate([encode(".jpg", gray) for gray in grays])
    image["PixelData"].is_undefined_length = True
    return image
