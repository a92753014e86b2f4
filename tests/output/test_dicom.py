"""Structured reports and segmentations, read back by others: pydicom, dsrdump and dciodvfy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="DICOM reports need the extra dicom-report")
pytest.importorskip("highdicom", reason="DICOM reports need the extra dicom-report")

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from edgeseg.errors import DataError, ImageDecodeError
from edgeseg.images.calibration import Calibration
from edgeseg.measure.ellipse import Ellipse
from edgeseg.output.dicom.objects import make_segmentation, make_structured_report
from edgeseg.output.dicom.study import merge_reports
from edgeseg.prediction import Prediction
from edgeseg.system.version import __version__
from tests.output.dicom_sources import (
    HEAD,
    MODEL,
    PACKAGED,
    SIZE,
    cine,
    complaints,
    content,
    head,
    header,
    items,
    judged,
    lesions,
    meaning_of,
    nothing,
    predecessor,
    read,
)

# What dciodvfy finds is the source's own: its dates, its UIDs, and that it has frames at all.
OWN_FAULTS = {
    "ExplVR_BigEnd.dcm": ("Study Date", "Study Time", "invalid data values"),
    "color-pl.dcm": ("Study Date", "Study Time", "invalid data values", "Illegal root for UID"),
    "OBXXXX1A_expb_2frame.dcm": ("not multi-frame - attribute <ReferencedFrameNumber>",),
}


def report(source: Any = None, frame: int = 0, prediction: Prediction | None = None) -> Any:
    """Return a report, read back."""
    source = header() if source is None else source
    return read(make_structured_report(source, frame, prediction or head(), MODEL))


def segmented(source: Any = None, frame: int = 0, prediction: Prediction | None = None) -> Any:
    """Return a segmentation, read back."""
    source = header() if source is None else source
    return read(make_segmentation(source, frame, prediction or head(), MODEL))


def number(item: Any) -> tuple[float, str]:
    """Return a figure's value and unit."""
    (value,) = item.MeasuredValueSequence
    return float(value.NumericValue), value.MeasurementUnitsCodeSequence[0].CodeValue


def coded(item: Any) -> tuple[str, str]:
    (code,) = item.ConceptNameCodeSequence
    return code.CodeValue, code.CodingSchemeDesignator


def value_of(dataset: Any, meaning: str) -> str:
    """Return the text, or the coded value's meaning, of the one item of a name."""
    (item,) = items(dataset, meaning)
    return str(item.TextValue if "TextValue" in item else item.ConceptCodeSequence[0].CodeMeaning)


def test_the_figures_have_their_codes_and_are_in_mm_with_ranges_of_uncertainty() -> None:
    """Of the figures themselves: rounded ones would make an even interval uneven."""
    prediction = head(hc_mm=145.0006, hc_low_mm=140.0003, hc_high_mm=152.0009)
    made = report(prediction=prediction)
    for meaning, code, figure in (
        ("Head Circumference", "11984-2", prediction.hc_mm),
        ("Biparietal Diameter", "11820-8", prediction.figures["bpd_mm"]),
        ("Occipital-Frontal Diameter", "11851-3", prediction.figures["ofd_mm"]),
    ):
        (item,) = items(made, meaning)
        assert coded(item) == (code, "LN")
        assert number(item) == (pytest.approx(figure, abs=0.005), "mm")
    (hc,) = items(made, "Head Circumference")
    assert [(meaning_of(item), *number(item)) for item in hc.ContentSequence] == [
        ("+, range of upper measurement uncertainty", 7.0, "mm"),
        ("-, range of lower measurement uncertainty", 5.0, "mm"),
    ]
    assert {item.RelationshipType for item in hc.ContentSequence} == {"HAS PROPERTIES"}
    said = [item.TextValue for item in items(made, "Algorithm Parameters")]
    assert "range of uncertainty: holds 90 % of heads" in said


def test_a_head_is_where_it_was_measured() -> None:
    (region,) = items(report(), "Image Region")
    assert (region.ValueType, region.GraphicType) == ("SCOORD", "ELLIPSE")
    # from the first pixel's corner, where edgeseg counts from its centre
    ends = np.reshape(region.GraphicData, (4, 2)) - 0.5
    lengths = np.linalg.norm(ends[::2] - ends[1::2], axis=1)
    assert ends.reshape(2, 2, 2).mean(axis=1) == pytest.approx(np.tile(HEAD.center, (2, 1)))
    assert lengths == pytest.approx([2 * HEAD.semi_major_px, 2 * HEAD.semi_minor_px])
    assert HEAD.signed_distance(*ends.T) == pytest.approx(np.zeros(4), abs=1e-3)
    # one that is cut is drawn within the image, as DICOM has it; its figures are of the whole
    ellipse = Ellipse(140.0, 60.0, 52.0, 40.0, 0.1)
    made = report(prediction=head(ellipse=ellipse))
    (region,) = items(made, "Image Region")
    points = np.reshape(region.GraphicData, (-1, 2))
    assert region.GraphicType == "POLYLINE"
    assert (points >= 0).all() and (points <= (SIZE[1], SIZE[0])).all()
    assert (points[0] == points[-1]).all()
    on_border = points[:, 0] == SIZE[1]
    assert on_border.any()
    off = ellipse.signed_distance(*(points[~on_border] - 0.5).T)
    assert off == pytest.approx(np.zeros(len(off)), abs=1e-3)
    assert number(items(made, "Occipital-Frontal Diameter")[0])[0] == 52.0


@pytest.mark.parametrize(
    ("source", "frame"),
    [
        (header(), None),
        (cine(), 3),
        (cine(1), None),
        (header(SOPClassUID="1.2.840.10008.5.1.4.1.1.3", NumberOfFrames=9), 4),  # retired
    ],
)
def test_the_frame_is_the_one_that_was_measured(source: Any, frame: int | None) -> None:
    """Evidence is whole instances."""
    made, found = report(source, frame or 0), segmented(source, frame or 0)
    (region,) = items(made, "Image Region")
    (image,) = region.ContentSequence
    (group,) = found.PerFrameFunctionalGroupsSequence
    (derived,) = group.DerivationImageSequence
    of_pixels = image.ReferencedSOPSequence, found.SourceImageSequence, derived.SourceImageSequence
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (of_mask,) = found.ReferencedSeriesSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == ("1.2.3", "1.2.3.1")
    assert of_mask.SeriesInstanceUID == source.SeriesInstanceUID
    of_whole = series.ReferencedSOPSequence, of_mask.ReferencedInstanceSequence
    for sequences, expected in ((of_pixels, frame), (of_whole, None)):
        for (referred,) in sequences:
            assert referred.get("ReferencedFrameNumber") == expected
            assert referred.ReferencedSOPInstanceUID == source.SOPInstanceUID
            assert referred.ReferencedSOPClassUID == source.SOPClassUID


def test_who_observed_whom_with_what() -> None:
    made = report(prediction=head(calibration=Calibration(1.02, -0.5)))
    assert made.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (made.VerificationFlag, made.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    assert made.PreliminaryFlag == "PRELIMINARY"
    for meaning, expected in {
        "Observer Type": "Device", "Device Observer Name": "edgeseg", "Subject Class": "Fetus",
        "Language of Content Item and Descendants": "English (United States)", "Finding": "Head",
        "Algorithm Name": "edgeseg hc18-nano", "Algorithm Version": __version__,
    }.items():  # fmt: skip
        assert value_of(made, meaning) == expected
    said = [item.TextValue for item in items(made, "Algorithm Parameters")]
    assert f"model SHA-256: {MODEL.sha256}" in said
    assert "pixel size: 0.5 x 0.5 mm (dicom)" in said
    assert "calibration: 1.02 * circumference + -0.5 mm" in said


def test_a_doubtful_measurement_says_so_at_every_figure_and_why() -> None:
    sure = report()
    assert not items(sure, "Comment")
    assert not [item for item in content(sure) if "NumericValueQualifierCodeSequence" in item]
    prediction = head(flags=("looks_differ", "low_confidence"))
    made = report(prediction=prediction)
    assert (made.VerificationFlag, made.CompletionFlag) == ("UNVERIFIED", "PARTIAL")
    comment = value_of(made, "Comment")
    assert comment.startswith("Doubtful") and comment.endswith(prediction.reason)
    assert segmented(prediction=prediction).ContentDescription.startswith("Doubtful")
    assert not segmented().ContentDescription
    for meaning in ("Head Circumference", "Biparietal Diameter", "Occipital-Frontal Diameter"):
        (item,) = items(made, meaning)
        (qualifier,) = item.NumericValueQualifierCodeSequence
        assert (qualifier.CodeValue, qualifier.CodeMeaning) == ("114011", "Value indeterminate")


def test_of_regions_each_class_is_an_area_and_a_segment() -> None:
    prediction = lesions(("background", "lésion", "cyst"))
    made, found = report(prediction=prediction), segmented(prediction=prediction)
    areas = items(made, "Area")
    assert [number(item) for item in areas] == [(150.0, "mm2"), (50.0, "mm2")]
    assert [coded(item) for item in areas] == [("42798000", "SCT")] * 2
    codes = [item.ConceptCodeSequence[0] for item in items(made, "Finding")]
    assert [(code.CodeValue, code.CodeMeaning) for code in codes] == [
        ("class 1", "l&#233;sion"),
        ("class 2", "cyst"),
    ]
    assert not [item for item in content(made) if item.ValueType == "SCOORD"]
    assert len([item for item in content(made) if item.ValueType == "IMAGE"]) == 2
    assert not items(made, "Subject Class")
    assert [each.SegmentLabel for each in found.SegmentSequence] == ["l&#233;sion", "cyst"]
    groups = found.PerFrameFunctionalGroupsSequence
    numbers = [g.SegmentIdentificationSequence[0].ReferencedSegmentNumber for g in groups]
    assert numbers == [1, 2]
    for class_, plane in zip(numbers, bits(found), strict=True):
        assert (plane == (prediction.mask() == class_)).all()
        assert plane.any()


@pytest.mark.parametrize(
    ("make", "source", "frame", "prediction", "why"),
    [
        (make_structured_report, header(), 0, nothing(), "nothing to report: no head found"),
        (make_segmentation, header(), 0, nothing(), "nothing to report"),
        (make_structured_report, header(), 0, head(pixel_size=None), "in mm.*give the pixel size"),
        (make_segmentation, header(Rows=121), 0, head(), "of an image of 161x121"),
        (make_structured_report, cine(5), 6, head(), "frame 6 was measured of an image of 5"),
        (make_structured_report, cine(5), 0, head(), "frame 0 was measured of an image of 5"),
        (make_structured_report, header(), -1, head(), "frame -1 was measured of an image of 1"),
    ],
)
def test_what_cannot_be_reported_is_refused(
    make: Callable[..., bytes], source: Any, frame: int, prediction: Prediction, why: str
) -> None:
    with pytest.raises(DataError, match=why):
        make(source, frame, prediction, MODEL)


def bits(dataset: Any) -> np.ndarray:
    """Unpack the frames of a segmentation by hand, (n, height, width), of 0 and 1."""
    count = dataset.NumberOfFrames * dataset.Rows * dataset.Columns
    packed = np.frombuffer(dataset.PixelData, dtype=np.uint8)
    unpacked = np.unpackbits(packed, bitorder="little")[:count]
    return unpacked.reshape(dataset.NumberOfFrames, dataset.Rows, dataset.Columns)


def test_a_head_is_one_segment_and_loss_in_the_source_is_noted() -> None:
    prediction = head(pixel_size=None)  # which a mask does not need
    found = segmented(prediction=prediction)
    assert found.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"
    assert (found.SegmentationType, found.NumberOfFrames) == ("BINARY", 1)
    assert (bits(found)[0] == (prediction.mask() > 0)).all()
    assert bits(found).any()
    (segment,) = found.SegmentSequence
    assert (segment.SegmentNumber, segment.SegmentLabel) == (1, "head")
    kinds = segment.SegmentedPropertyCategoryCodeSequence, segment.SegmentedPropertyTypeCodeSequence
    assert [kind.CodeValue for (kind,) in kinds] == ["91723000", "69536005"]
    kind, name = segment.SegmentAlgorithmType, segment.SegmentAlgorithmName
    assert (kind, name) == ("AUTOMATIC", "edgeseg hc18-nano")
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmVersion == __version__
    assert f"model SHA-256={MODEL.sha256}" in algorithm.AlgorithmParameters
    lossy = header(
        LossyImageCompression="01", LossyImageCompressionRatio="12.5",
        LossyImageCompressionMethod="ISO_10918_1",
    )  # fmt: skip
    found = segmented(lossy)
    assert (found.LossyImageCompression, found.LossyImageCompressionRatio) == ("01", 12.5)
    assert found.LossyImageCompressionMethod == "ISO_10918_1"
    assert segmented().LossyImageCompression == "00"
    assert "LossyImageCompression" not in report(lossy)


def test_an_age_has_its_equation() -> None:
    prediction = head(ga_weeks_intergrowth=None)
    (age,) = items(report(prediction=prediction), "Gestational Age")
    weeks, high = (prediction.figures[f"ga{end}_weeks_hadlock"] for end in ("", "_high"))
    assert number(age) == (pytest.approx(7 * weeks, abs=0.05), "d")
    assert coded(age) == ("18185-9", "LN")
    upper, _, equation = age.ContentSequence
    assert number(upper) == (pytest.approx(7 * (high - weeks), abs=0.05), "d")
    assert equation.ConceptCodeSequence[0].CodeValue == "11932-1"
    assert len(items(report(), "Gestational Age")) == 2
    assert not items(
        report(prediction=head(ga_weeks_hadlock=None, ga_weeks_intergrowth=None)), "Gestational Age"
    )


def test_a_report_refers_to_the_order_of_its_image() -> None:
    request = Dataset()
    request.RequestedProcedureID, request.AccessionNumber = "RP1", "ACC2"
    assert "ReferencedRequestSequence" not in report()
    (found,) = report(header(RequestAttributesSequence=[request])).ReferencedRequestSequence
    assert (found.RequestedProcedureID, found.AccessionNumber) == ("RP1", "ACC2")
    assert found.StudyInstanceUID == "1.2.3"


def test_the_obstetric_report_is_as_machines_send_it(tmp_path: Path) -> None:
    prediction = head(flags=("looks_differ",))
    data = make_structured_report(cine(), 3, prediction, MODEL, "ob")
    made = read(data)
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "5000"
    assert coded(made) == ("125000", "DCM")
    (biometry,) = items(made, "Fetal Biometry")
    groups = items(biometry, "Biometry Group")
    figures = [group.ContentSequence[0] for group in groups]
    assert [coded(figure)[0] for figure in figures] == ["11984-2", "11820-8", "11851-3"]
    assert len(items(groups[0], "Gestational Age")) == 2 and len(items(groups[0], "Comment")) == 1
    frames = [str(item.value) for item in made.iterall() if item.keyword == "ReferencedFrameNumber"]
    assert frames == ["3"] * 3
    assert complaints(data, tmp_path) == []
    shown = judged("dsrdump", data, tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "") and "Biometry Group" in shown.stdout
    with pytest.raises(DataError, match="heads only"):
        make_structured_report(header(), 0, lesions(), MODEL, "ob")


@pytest.mark.parametrize("template", ["1500", "ob"])
def test_the_reports_of_a_study_become_one(template: str, tmp_path: Path) -> None:
    request = Dataset()
    request.RequestedProcedureID = "RP1"
    sources = [
        header(RequestAttributesSequence=[request]),
        header(SOPInstanceUID="1.2.3.5", InstanceNumber=2),
        header(SOPInstanceUID="1.2.4.1", SeriesInstanceUID="1.2.4"),
    ]
    flags = [(), ("looks_differ",), ()]
    parts = [
        make_structured_report(source, 0, head(flags=each), MODEL, template)
        for source, each in zip(sources, flags, strict=True)
    ]
    first, second = merge_reports(parts[:2]), merge_reports(parts[::-1])
    made, later = read(first), read(second)
    assert made.CompletionFlag == "PARTIAL"
    assert [len(items(each, "Head Circumference")) for each in (made, later)] == [2, 3]
    assert later.SOPInstanceUID == read(merge_reports(parts)).SOPInstanceUID != made.SOPInstanceUID
    assert later.SeriesInstanceUID == made.SeriesInstanceUID
    (study,) = later.CurrentRequestedProcedureEvidenceSequence
    counts = [len(series.ReferencedSOPSequence) for series in study.ReferencedSeriesSequence]
    assert counts == [2, 1]
    assert later.ReferencedRequestSequence[0].RequestedProcedureID == "RP1"
    next_data = merge_reports(parts, first)
    after = read(next_data)
    assert predecessor(after) == made.SOPInstanceUID
    assert (made.InstanceNumber, after.InstanceNumber) == (1, 2)
    assert (after.SeriesDate, after.SeriesTime) == (made.SeriesDate, made.SeriesTime)
    assert merge_reports(parts, next_data) is None
    for data in (first, next_data):
        assert complaints(data, tmp_path) == []
    other = make_structured_report(cine(), 1, head(), MODEL, {"1500": "ob", "ob": "1500"}[template])
    with pytest.raises(DataError, match="templates"):
        merge_reports([parts[0], other])
    with pytest.raises(ImageDecodeError, match="damaged"):
        merge_reports([parts[0][:400]])


@pytest.mark.parametrize(
    "prediction",
    [head(), head(flags=("looks_differ",)), head(ellipse=Ellipse(140, 60, 52, 40, 0)), lesions()],
)
@pytest.mark.parametrize(("source", "frame"), [(header(), 0), (cine(), 2)])
def test_validators_find_no_error(
    source: Any, frame: int, prediction: Prediction, tmp_path: Path
) -> None:
    made = make_structured_report(source, frame, prediction, MODEL)
    assert complaints(made, tmp_path) == []
    shown = judged("dsrdump", made, tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "") and "UNVERIFIED" in shown.stdout
    assert complaints(make_segmentation(source, frame, prediction, MODEL), tmp_path) == []


@pytest.mark.parametrize(
    "name", [*PACKAGED[:4], *(pytest.param(n, marks=pytest.mark.nightly) for n in PACKAGED[4:])]
)
def test_files_of_real_machines_can_be_reported_on(name: str, tmp_path: Path) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} is not there: it comes with the package pydicom-data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = pydicom.dcmread(path, stop_before_pixels=True)
    size = (source.Rows, source.Columns)
    prediction = head(size, HEAD.resized(SIZE, size))
    frame = 2 if int(source.get("NumberOfFrames") or 1) > 1 else 0
    document, mask = (
        make(source, frame, prediction, MODEL)
        for make in (make_structured_report, make_segmentation)
    )
    made = read(document)
    assert len(items(made, "Head Circumference")) == 1
    assert made.PatientName == source.PatientName
    assert (bits(read(mask))[0] == (prediction.mask() > 0)).all()
    faults = OWN_FAULTS.get(name, ())
    found = complaints(document, tmp_path) + complaints(mask, tmp_path)
    assert [line for line in found if not any(fault in line for fault in faults)] == []
