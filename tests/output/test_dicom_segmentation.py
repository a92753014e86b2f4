"""Segmentations, read back by others: pydicom and dciodvfy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="DICOM reports need the extra dicom-report")
pytest.importorskip("highdicom", reason="DICOM reports need the extra dicom-report")

from edgeseg.errors import DataError
from edgeseg.measure.ellipse import Ellipse
from edgeseg.output.dicom import segmentation, structured_report
from edgeseg.prediction import Prediction
from edgeseg.system.version import __version__
from tests.output.dicom_sources import (
    HEAD,
    MODEL,
    PACKAGED,
    SIZE,
    cine,
    complaints,
    head,
    header,
    lesions,
    nothing,
    packaged,
    read,
)
from tests.output.test_dicom import OWN_FAULTS


def made(source: Any = None, frame: int = 0, prediction: Prediction | None = None) -> Any:
    source = header() if source is None else source
    return read(segmentation(source, frame, prediction or head(), MODEL))


def bits(dataset: Any) -> np.ndarray:
    """Unpack the frames by hand, (n, height, width), of 0 and 1."""
    count = dataset.NumberOfFrames * dataset.Rows * dataset.Columns
    packed = np.frombuffer(dataset.PixelData, dtype=np.uint8)
    return np.unpackbits(packed, bitorder="little")[:count].reshape(
        dataset.NumberOfFrames, dataset.Rows, dataset.Columns
    )


def test_a_head_is_one_segment_of_the_masks_pixels() -> None:
    prediction = head()
    found = made(prediction=prediction)
    assert found.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"
    assert (found.SegmentationType, found.NumberOfFrames) == ("BINARY", 1)
    assert (found.Rows, found.Columns) == SIZE
    assert (bits(found)[0] == (prediction.mask() > 0)).all()
    assert bits(found).any()
    assert np.squeeze(found.pixel_array).shape == SIZE
    (segment,) = found.SegmentSequence
    assert (segment.SegmentNumber, segment.SegmentLabel) == (1, "head")
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91723000"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "69536005"


def test_the_algorithm_is_said() -> None:
    (segment,) = made().SegmentSequence
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert segment.SegmentAlgorithmName == "edgeseg hc18-nano"
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmVersion == __version__
    assert f"model SHA-256={MODEL.sha256}" in algorithm.AlgorithmParameters


def test_of_regions_each_class_is_a_segment() -> None:
    prediction = lesions()
    found = made(prediction=prediction)
    assert [segment.SegmentLabel for segment in found.SegmentSequence] == ["lesion", "cyst"]
    codes = [s.SegmentedPropertyTypeCodeSequence[0].CodeValue for s in found.SegmentSequence]
    assert codes == ["class 1", "class 2"]
    groups = found.PerFrameFunctionalGroupsSequence
    numbers = [g.SegmentIdentificationSequence[0].ReferencedSegmentNumber for g in groups]
    assert numbers == [1, 2]
    for number, plane in zip(numbers, bits(found), strict=True):
        assert (plane == (prediction.mask() == number)).all()
        assert plane.any()


@pytest.mark.parametrize(("source", "frame"), [(header(), None), (cine(), 4)])
def test_it_refers_to_the_frame_that_was_measured(source: Any, frame: int | None) -> None:
    found = made(source, frame or 0)
    (group,) = found.PerFrameFunctionalGroupsSequence
    (derived,) = group.DerivationImageSequence
    for (image,) in (found.SourceImageSequence, derived.SourceImageSequence):
        assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert image.ReferencedSOPClassUID == source.SOPClassUID
        assert image.get("ReferencedFrameNumber") == frame
    (series,) = found.ReferencedSeriesSequence
    (instance,) = series.ReferencedInstanceSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    assert instance.ReferencedSOPClassUID == source.SOPClassUID
    assert "ReferencedFrameNumber" not in instance


def test_it_needs_no_pixel_size() -> None:
    assert bits(made(prediction=head(pixel_size=None))).any()


def test_doubt_is_said() -> None:
    assert made(prediction=head(flags=("looks_differ",))).ContentDescription.startswith("Doubtful")
    assert not made().ContentDescription


def test_nothing_found_makes_no_segmentation() -> None:
    with pytest.raises(DataError, match="nothing to report"):
        segmentation(header(), 0, nothing(), MODEL)


def test_loss_in_the_source_is_said() -> None:
    lossy = header(
        LossyImageCompression="01", LossyImageCompressionRatio="12.5",
        LossyImageCompressionMethod="ISO_10918_1",
    )  # fmt: skip
    found = made(lossy)
    assert (found.LossyImageCompression, found.LossyImageCompressionRatio) == ("01", 12.5)
    assert found.LossyImageCompressionMethod == "ISO_10918_1"
    assert made().LossyImageCompression == "00"
    assert "LossyImageCompression" not in read(structured_report(lossy, 0, head(), MODEL))
    wrong = header(LossyImageCompression="01", LossyImageCompressionRatio="12")
    raw = wrong.get_item("LossyImageCompressionRatio")
    wrong["LossyImageCompressionRatio"] = raw._replace(value=b"??", length=2)
    assert made(wrong).LossyImageCompression == "01"


@pytest.mark.parametrize(
    "prediction",
    [head(), head(flags=("looks_differ",)), head(ellipse=Ellipse(140, 60, 52, 40, 0)), lesions()],
)
@pytest.mark.parametrize(("source", "frame"), [(header(), 0), (cine(), 2)])
def test_a_validator_finds_no_error(
    source: Any, frame: int, prediction: Prediction, tmp_path: Path
) -> None:
    assert complaints(segmentation(source, frame, prediction, MODEL), tmp_path) == []


@pytest.mark.parametrize("name", PACKAGED)
def test_files_of_real_machines_can_be_segmented(name: str, tmp_path: Path) -> None:
    source = packaged(name)
    size = (source.Rows, source.Columns)
    prediction = head(size, HEAD.resized(SIZE, size))
    frame = 2 if int(source.get("NumberOfFrames") or 1) > 1 else 0
    data = segmentation(source, frame, prediction, MODEL)
    assert (bits(read(data))[0] == (prediction.mask() > 0)).all()
    faults = OWN_FAULTS.get(name, ())
    new = [line for line in complaints(data, tmp_path) if not any(f in line for f in faults)]
    assert new == []
